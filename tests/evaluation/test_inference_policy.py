"""What can be evaluated."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from rl_sim_env.cli.options import POLICIES
from rl_sim_env.deploy import open_session
from rl_sim_env.deploy.onnx_export import POLICY_FILE
from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.errors import UserError
from rl_sim_env.evaluation.inference_policy import (
    OnnxInferencePolicy,
    accepts_truth,
    exported_targets,
)
from rl_sim_env.learning.estimate_cfg import velocity_mass_com
from small_policy import small_policy

ACTIONS, ESTIMATES, MEMORY = 12, 7, 4


@pytest.fixture(scope="module")
def vec_env(make_env) -> AmpVaeVecEnv:
    return AmpVaeVecEnv(make_env(2))


def linear_model(
    layout, *, inputs=("actor_obs", "vae_obs", "memory"), weight=1.0
) -> onnxruntime.InferenceSession:
    """An ONNX model that picks its outputs from its inputs: the first columns of each."""
    widths = [layout.width("actor_obs"), layout.width("vae_obs"), MEMORY]
    outputs = {"actions": ACTIONS, "estimates": ESTIMATES, "next_memory": MEMORY}
    nodes, weights = [], []
    for port, width, (name, count) in zip(inputs, widths, outputs.items(), strict=True):
        pick = np.eye(width, count, dtype=np.float32) * np.float32(weight)
        weights.append(numpy_helper.from_array(pick, f"pick_{name}"))
        nodes.append(helper.make_node("MatMul", [port, f"pick_{name}"], [name]))
    graph = helper.make_graph(
        nodes,
        "linear",
        [
            helper.make_tensor_value_info(port, TensorProto.FLOAT, ["N", width])
            for port, width in zip(inputs, widths, strict=True)
        ],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", count])
            for name, count in outputs.items()
        ],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def test_an_exported_policy_acts_and_believes(vec_env):
    layout = vec_env.observation_layout
    exported = OnnxInferencePolicy(linear_model(layout), layout, velocity_mass_com())
    obs = {group: torch.randn(5, layout.width(group)) for group in ("actor_obs", "vae_obs")}
    assert torch.equal(exported.initial_memory(5), torch.zeros(5, MEMORY))
    memory = torch.randn(5, MEMORY)
    output = exported(obs, memory)
    assert output.std is None
    assert torch.allclose(output.actions, obs["actor_obs"][:, :ACTIONS])
    assert torch.allclose(output.estimate.joined(), obs["vae_obs"][:, :ESTIMATES])
    widths = {name: part.shape[-1] for name, part in output.estimate.items()}
    assert widths == {"velocity": 3, "mass": 1, "com": 3}
    assert torch.equal(output.memory, memory)


def test_an_exported_policy_cannot_be_fed_the_truth(vec_env):
    layout = vec_env.observation_layout
    exported = OnnxInferencePolicy(linear_model(layout), layout, velocity_mass_com())
    obs = {group: torch.zeros(1, layout.width(group)) for group in ("actor_obs", "vae_obs")}
    with pytest.raises(UserError, match="checkpoint"):
        exported(obs, exported.initial_memory(1), p_boot=0.0)
    assert not accepts_truth(exported)
    assert accepts_truth(small_policy(vec_env))


def test_files_of_another_kind_are_refused(vec_env):
    layout = vec_env.observation_layout
    wrong = linear_model(layout, inputs=("joint_pos", "joint_vel", "memory"))
    with pytest.raises(UserError, match=r"joint_pos, joint_vel, memory -> .* without history"):
        OnnxInferencePolicy(wrong, layout, velocity_mass_com())


def test_networks_that_are_not_finite_are_refused(vec_env):
    layout = vec_env.observation_layout
    with pytest.raises(UserError, match=r"not finite.*export it anew"):
        OnnxInferencePolicy(linear_model(layout, weight=np.nan), layout, velocity_mass_com())


def test_truth_is_in_si_units_whatever_the_network_was_scaled_by(vec_env):
    layout = vec_env.observation_layout
    exported = OnnxInferencePolicy(linear_model(layout), layout, velocity_mass_com())
    obs = vec_env.get_observations()
    policy = small_policy(vec_env)
    truth, same = (one.targets.to_si(one.targets.truth(obs)) for one in (exported, policy))
    for name, part in truth.items():
        assert torch.allclose(part, same[name], atol=1e-6)


def test_files_of_the_time_before_declarations_still_say_what_they_estimate():
    _, metadata = open_session(POLICIES / "grq20_v2d3" / POLICY_FILE)
    assert exported_targets(metadata) == velocity_mass_com()
