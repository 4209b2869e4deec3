"""Twelve actions in canonical order move the joints of those names, after each episode's delay."""

from __future__ import annotations

import pytest
import torch

from grq20 import ACTION_SCALE, EFFORT_LIMIT, LEG_JOINT_NAMES

NUM_LEGS = len(LEG_JOINT_NAMES)
MAX_LAG = 3


def test_each_action_moves_the_joint_of_its_name(make_env, place):
    def same_drives(cfg):
        cfg.events.pop("gains")

    # One robot for each action, and one that does nothing.
    env = make_env(NUM_LEGS + 1, edit=same_drives)
    assert env.action_manager.total_action_dim == NUM_LEGS
    place(env, height=5.0)
    boom_target = env.robot.data.joint_pos_target[:, env.index.boom_joints].clone()
    actions = torch.eye(NUM_LEGS + 1)[:, :NUM_LEGS]
    for _ in range(3):
        env.step(actions)
    joints = [env.robot.joint_names.index(name) for name in LEG_JOINT_NAMES]
    target = env.robot.data.joint_pos_target[:, joints] - env.default_leg_joint_pos
    torch.testing.assert_close(target, ACTION_SCALE * actions)
    moved = env.robot.data.joint_pos - env.robot.data.joint_pos[-1]
    assert [int(i) for i in moved[:-1].abs().argmax(dim=-1)] == joints
    assert torch.equal(env.robot.data.joint_pos_target[:, env.index.boom_joints], boom_target)


def lags_of_a_new_action(env, action: float, torque: torch.Tensor) -> torch.Tensor:
    """Physics step in which the drives answer to a step of the action. Shape (num_envs,)."""
    env.action_manager.process_action(torch.full((env.num_envs, NUM_LEGS), action))
    jumps = []
    for _ in range(env.cfg.decimation):
        env.action_manager.apply_action()
        env.scene.write_data_to_sim()
        applied = env.sim.data.ctrl[:, env.leg_drive.global_ctrl_ids]
        jumps.append((applied - torque).abs().mean(dim=-1))
        torque.copy_(applied)
        env.sim.step()
        env.scene.update(env.physics_dt)
    return torch.stack(jumps).argmax(dim=0)


@pytest.fixture(scope="module")
def env(make_env):
    return make_env(48)


def test_command_delay_is_drawn_per_episode(env):
    drawn = []
    for _ in range(2):
        env.reset()
        torque = torch.zeros(env.num_envs, NUM_LEGS)
        first = lags_of_a_new_action(env, 2.0, torque)
        second = lags_of_a_new_action(env, -2.0, torque)
        assert torch.equal(first, second), "constant within the episode"
        assert set(first.tolist()) == set(range(MAX_LAG + 1))
        drawn.append(first)
    assert not torch.equal(*drawn)


def test_drives_hold_the_reset_pose_until_the_first_action_arrives(env):
    env.reset()
    env.scene.write_data_to_sim()
    assert env.sim.data.ctrl[:, env.leg_drive.global_ctrl_ids].abs().max() < 1e-3


def test_torque_never_exceeds_the_drives_limit(env):
    env.reset()
    for sign in (50.0, -50.0, 50.0):
        env.step(torch.full((env.num_envs, NUM_LEGS), sign))
        torque = env.robot.data.qfrc_actuator[:, env.index.leg_joints].abs()
        assert torque.max() <= EFFORT_LIMIT + 1e-3
    assert torque.max() > 1.0
