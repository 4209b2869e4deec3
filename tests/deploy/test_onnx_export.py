"""Exporting a policy to ONNX."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from grq20 import (
    DAMPING,
    DEFAULT_LEG_JOINT_POS,
    EFFORT_LIMIT,
    FOOT_SITE_NAMES,
    LEG_JOINT_NAMES,
    STALL_TORQUE,
    STIFFNESS,
    VELOCITY_LIMIT,
    amp_vae_env_cfg,
)
from rl_sim_env.configuration import to_plain
from rl_sim_env.deploy import open_session
from rl_sim_env.deploy.deployed_policy import HISTORY, LAST_ACTION, MEMORY, OUTPUTS, STD
from rl_sim_env.deploy.drawn_facts import drawn_facts
from rl_sim_env.deploy.metadata import Drawn
from rl_sim_env.deploy.onnx_export import NETWORK_FILE, OPSET, POLICY_FILE, export_policy
from rl_sim_env.errors import UserError
from rl_sim_env.learning.policy import POLICY_STATE, VARIANCE_STATE
from rl_sim_env.mdp import observations
from rl_sim_env.mdp.hardware_sensors_cfg import HardwareSensorsCfg
from small_policy import TASK, save, small_policy

STEPS = 100
TOLERANCE = 1e-5


def read_sensors(env) -> dict[str, np.ndarray]:
    """What the environment's robots measure, in SI units."""
    values = {
        "base_ang_vel": observations.delayed_base_ang_vel(env),
        "projected_gravity": observations.delayed_projected_gravity(env),
        "joint_pos": observations.delayed_joint_pos_rel(env) + env.default_leg_joint_pos,
        "joint_vel": observations.delayed_joint_vel(env),
        "joint_torques": observations.joint_torques(env),
        "velocity_commands": observations.velocity_commands(env),
    }
    return {name: value.numpy().copy() for name, value in values.items()}


def without_term(checkpoint, old: str, new: str):
    """The checkpoint with an observation term by another name."""
    groups = {
        name: {
            **group,
            "terms": [
                {**term, "name": new} if term["name"] == old else term for term in group["terms"]
            ],
        }
        if name in ("actor_obs", "vae_obs")
        else group
        for name, group in checkpoint.layout.items()
    }
    return replace(checkpoint, layout=groups)


@torch.no_grad()
def test_both_files_do_what_torch_does_over_whole_episodes(vec_env, exported):
    env = vec_env.unwrapped
    policy = small_policy(vec_env)
    whole, metadata = open_session(exported / POLICY_FILE)
    network, _ = open_session(exported / NETWORK_FILE)
    joints = len(metadata.joint_names)
    obs = vec_env.reset()
    frames, width = metadata.layout["vae_obs"]["history"], obs["actor_obs"].shape[1]
    history = np.full((env.num_envs, frames, width), np.nan, dtype=np.float32)
    last_action = np.full((env.num_envs, joints), np.nan, dtype=np.float32)
    memory = policy.initial_memory(env.num_envs)
    remembered = np.full(memory.shape, np.nan, dtype=np.float32)
    resets = 0
    for _ in range(STEPS):
        observations = {key: obs[key].numpy() for key in ("actor_obs", "vae_obs")}
        of_network = network.run(None, observations | {MEMORY: memory.numpy()})
        output = policy(obs, memory)
        actions, memory, std = output.actions, output.memory, output.std
        state = {HISTORY: history, LAST_ACTION: last_action, MEMORY: remembered}
        targets, estimates, history, last_action, remembered, deviations = whole.run(
            (*OUTPUTS, STD), state | read_sensors(env)
        )
        obs, _, dones, _ = vec_env.step(actions)
        expected = output.estimate.joined().numpy()
        true_targets = env.default_leg_joint_pos + 0.35 * actions
        np.testing.assert_allclose(targets, true_targets, atol=TOLERANCE, rtol=0.0)
        np.testing.assert_allclose(estimates, expected, atol=TOLERANCE, rtol=0.0)
        np.testing.assert_allclose(last_action, actions, atol=TOLERANCE, rtol=0.0)
        np.testing.assert_allclose(of_network[0], actions, atol=TOLERANCE, rtol=0.0)
        np.testing.assert_allclose(of_network[1], expected, atol=TOLERANCE, rtol=0.0)
        np.testing.assert_allclose(of_network[2], memory, atol=TOLERANCE, rtol=0.0)
        np.testing.assert_allclose(deviations, std.joined().numpy(), atol=TOLERANCE, rtol=0.0)
        np.testing.assert_allclose(of_network[3], deviations, atol=TOLERANCE, rtol=0.0)
        np.testing.assert_allclose(remembered, memory, atol=TOLERANCE, rtol=0.0)
        done = dones.bool().numpy()
        for value in (history, last_action, remembered):
            value[done] = np.nan
        memory[done] = 0.0
        resets += done.sum()
    assert resets >= 2 * env.num_envs


def test_files_state_their_opset_and_pass_the_checker(exported):
    for name in (POLICY_FILE, NETWORK_FILE):
        model = onnx.load(exported / name)
        onnx.checker.check_model(model, full_check=True)
        assert {each.version for each in model.opset_import if each.domain == ""} == {OPSET}


def test_metadata_are_the_facts_of_robot_and_checkpoint(exported, vec_env):
    _, metadata = open_session(exported / POLICY_FILE)
    assert metadata.joint_names == LEG_JOINT_NAMES
    assert metadata.default_joint_pos == DEFAULT_LEG_JOINT_POS
    for value, fact in (
        (metadata.stiffness, STIFFNESS),
        (metadata.damping, DAMPING),
        (metadata.effort_limit, EFFORT_LIMIT),
        (metadata.stall_torque, STALL_TORQUE),
        (metadata.velocity_limit, VELOCITY_LIMIT),
    ):
        assert value == (fact,) * 12
    assert metadata.control_period == vec_env.step_dt
    assert metadata.slices["actor_obs"]["joint_pos"] == (6, 18)
    assert metadata.slices["vae_obs"]["joint_pos"] == (4 * 57 + 6, 4 * 57 + 18)
    assert metadata.robot.feet == FOOT_SITE_NAMES
    assert (metadata.task, metadata.iteration, metadata.checkpoint) == (TASK, 3, "model_3.pt")
    assert metadata.training_commit == ""
    assert metadata == open_session(exported / NETWORK_FILE)[1]


def test_what_training_drew_stands_in_the_file(exported):
    def drawn(change) -> Drawn:
        env_cfg = amp_vae_env_cfg(terrain="flat")
        change(env_cfg)
        return drawn_facts(to_plain(env_cfg, classes=True))

    def on_hardware(cfg) -> None:
        cfg.sensors, cfg.hardware_sensors.joint_friction = "hardware", 3.0
        cfg.hardware_sensors.max_delay = 0.03

    def without_drives(cfg) -> None:
        on_hardware(cfg)
        cfg.events["drive_mechanics"] = cfg.events["command_delay"] = None

    ideal = Drawn(command_delay=0.015, signal_delay=0.0075, torque_delay=0.0, hardware=None)
    assert open_session(exported / POLICY_FILE)[1].drawn == ideal
    hardware = HardwareSensorsCfg(joint_friction=3.0, max_delay=0.03)
    assert drawn(on_hardware) == ideal.on_hardware(hardware)
    smooth = replace(hardware, joint_friction=0.0, armature=0.0)
    assert drawn(without_drives) == replace(ideal.on_hardware(smooth), command_delay=0.0)


def test_settings_of_the_run_count_not_those_of_the_task(limited):
    session, metadata = open_session(limited)
    assert metadata.action_scale == (0.1,) * 4 + (0.2,) * 8
    assert metadata.target_limits == ((-0.3, 0.3),) * 12
    zeros = {
        node.name: np.zeros((1, *node.shape[1:]), dtype=np.float32) for node in session.get_inputs()
    }
    targets, _, _, actions, _ = session.run(OUTPUTS, zeros)
    free = np.array(metadata.default_joint_pos) + np.array(metadata.action_scale) * actions
    np.testing.assert_allclose(targets, free.clip(-0.3, 0.3), atol=1e-6)
    assert (np.abs(free) > 0.3).any()


def test_unknown_observation_is_named(checkpoint, tmp_path):
    path = save(without_term(checkpoint, "joint_torques", "moon_phase"), tmp_path)
    with pytest.raises(UserError, match=r"'moon_phase' of group 'actor_obs'.*joint_torques"):
        export_policy(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_facts_say_between_which_masses_training_was(limited):
    ranges = {each.name: each.trained_range for each in open_session(limited)[1].estimates}
    assert ranges["mass"] == (pytest.approx((-3.0, 11.0)),)
    assert len(ranges["com"]) == 3


def test_a_policy_without_variances_has_no_output_for_them(checkpoint, tmp_path):
    checkpoint.config["vae"]["variance_weight"] = 0.0
    state = checkpoint.algorithm[POLICY_STATE]
    for name in [name for name in state if name.startswith(VARIANCE_STATE)]:
        del state[name]
    for path in export_policy(save(checkpoint, tmp_path), tmp_path):
        session, metadata = open_session(path)
        assert STD not in {port.name for port in session.get_outputs()}
        assert {each.trained_range for each in metadata.estimates} == {None}
