"""Exported files with a right digest that say, or return, something that cannot be."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest

from fuzzing import refused_or_works, wrong_facts
from grq20 import DAMPING, LEG_JOINT_NAMES, STIFFNESS
from rl_sim_env.deploy import DeployedPolicy, SensorReading
from rl_sim_env.deploy.deployed_policy import open_session
from rl_sim_env.deploy.digest import DIGEST_KEY, with_digest
from rl_sim_env.deploy.metadata import METADATA_KEY
from rl_sim_env.deploy.onnx_export import NETWORK_FILE, POLICY_FILE
from rl_sim_env.errors import UserError
from rl_sim_env.evaluation.inference_policy import OnnxInferencePolicy, exported_targets
from soak import soak_seed, times

READING = SensorReading(
    base_ang_vel=np.zeros(3),
    projected_gravity=(0.0, 0.0, -1.0),
    joint_pos=np.zeros(12),
    joint_vel=np.zeros(12),
    joint_torques=np.zeros(12),
    velocity_commands=np.zeros(3),
)


def use(path: Path) -> None:
    """What a robot's program does."""
    policy = DeployedPolicy.load(
        path, joint_names=LEG_JOINT_NAMES, stiffness=STIFFNESS, damping=DAMPING
    )
    output = policy.step(READING)
    assert output.joint_targets.shape == (12,)
    assert output.velocity.shape == output.com.shape == (3,)
    assert isinstance(output.mass, float) and policy.metadata.control_period > 0.0


def save(model: onnx.ModelProto, facts: dict[str, str], path: Path) -> None:
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, facts)
    path.write_bytes(with_digest(model.SerializeToString()))


def facts_of(model: onnx.ModelProto) -> dict[str, str]:
    return {each.key: each.value for each in model.metadata_props if each.key != DIGEST_KEY}


def plain_json(value: object) -> str:
    return json.dumps(value, default=lambda tensor: tensor.tolist())


def test_wrong_metadata_are_refused_in_one_line(exported, tmp_path):
    model, path = onnx.load(exported / POLICY_FILE), tmp_path / POLICY_FILE
    metadata = json.loads(facts_of(model)[METADATA_KEY])
    for what, changed in wrong_facts(metadata, 150, seed=soak_seed()):
        save(model, {METADATA_KEY: plain_json(changed)}, path)
        with refused_or_works(what):
            try:
                use(path)
            except UserError as error:
                # Joints and gains stand side by side.
                if "(left)" not in str(error) and "as the policy has them" not in str(error):
                    raise


@pytest.mark.parametrize("name", ["", "mass"])
def test_estimates_without_a_name_of_their_own_are_refused(exported, tmp_path, name):
    model, path = onnx.load(exported / POLICY_FILE), tmp_path / POLICY_FILE
    metadata = json.loads(facts_of(model)[METADATA_KEY])
    metadata["estimates"][-1]["name"] = name
    save(model, {METADATA_KEY: plain_json(metadata)}, path)
    with pytest.raises(UserError, match="a name of its own"):
        use(path)


def test_what_a_policy_does_not_estimate_is_said(exported, tmp_path):
    model, path = onnx.load(exported / POLICY_FILE), tmp_path / POLICY_FILE
    metadata = json.loads(facts_of(model)[METADATA_KEY])
    metadata["estimates"][-1]["name"] = "friction"
    save(model, {METADATA_KEY: plain_json(metadata)}, path)
    with pytest.raises(UserError, match="no com; it estimates velocity, mass, friction"):
        use(path)


def wrong_graphs(good: onnx.ModelProto, count: int) -> Iterator[tuple[str, onnx.ModelProto]]:
    """What was changed, and the model with one of its ports or tensors changed."""
    rng = random.Random(soak_seed())
    for _ in range(count):
        model = onnx.ModelProto()
        model.CopyFrom(good)
        graph = model.graph
        kind = rng.choice(("input", "output", "tensor", "node"))
        if kind in ("input", "output"):
            port = rng.choice(list(getattr(graph, kind)))
            dims = port.type.tensor_type.shape.dim
            change = rng.choice(("name", "type", "width", "rank", "missing"))
            what = f"{kind} {port.name}: {change}"
            if change == "name":
                port.name += "x"
            elif change == "type":
                port.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
            elif change == "width":
                dims[-1].dim_value += 1
            elif change == "rank":
                dims.add().dim_value = 1
            else:
                getattr(graph, kind).remove(port)
        elif kind == "tensor":
            tensor = rng.choice(list(graph.initializer))
            values = onnx.numpy_helper.to_array(tensor)
            other = rng.choice((values[..., None], values.ravel()[:-1], values.astype(np.int64)))
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(other), tensor.name))
            what = f"tensor {tensor.name} is {other.dtype} {other.shape}, was {values.shape}"
        else:
            node = rng.choice(list(graph.node))
            what = f"node {node.name} is missing"
            graph.node.remove(node)
        yield what, model


@pytest.mark.parametrize("file", [POLICY_FILE, NETWORK_FILE])
def test_a_wrong_graph_is_refused_in_one_line(exported, vec_env, tmp_path, file):
    good, path = onnx.load(exported / file), tmp_path / file
    facts = facts_of(good)
    for what, model in wrong_graphs(good, times(80)):
        save(model, facts, path)
        with refused_or_works(what):
            if file == POLICY_FILE:
                use(path)
                continue
            session, metadata = open_session(path)
            layout = vec_env.observation_layout
            policy = OnnxInferencePolicy(session, layout, exported_targets(metadata))
            policy(vec_env.get_observations(), policy.initial_memory(vec_env.num_envs))


def test_any_number_of_robots_goes_through_a_file(exported):
    for file in (POLICY_FILE, NETWORK_FILE):
        session, _ = open_session(exported / file)
        assert {port.shape[0] for port in session.get_outputs()} == {"robots"}
        for robots in (1, 3):
            feed = {
                port.name: np.zeros((robots, *port.shape[1:]), dtype=np.float32)
                for port in session.get_inputs()
            }
            assert {len(output) for output in session.run(None, feed)} == {robots}
