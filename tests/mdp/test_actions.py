"""Twelve actions in canonical order move the joints of those names, after each episode's delay."""

from __future__ import annotations

import pytest
import torch

from grq20 import ACTION_SCALE, EFFORT_LIMIT, LEG_JOINT_NAMES

NUM_LEGS = len(LEG_JOINT_NAMES)
MAX_DELAY = 0.015
"""Seconds."""


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


def delays_of_a_new_action(env, action: float) -> torch.Tensor:
    """Time until the drives of resting robots answer to a step of the action [s], by robot."""
    drives = env.leg_drive.global_ctrl_ids
    before = env.sim.data.ctrl[:, drives].clone()
    env.action_manager.process_action(torch.full((env.num_envs, NUM_LEGS), action))
    torques = []
    for _ in range(2 * env.cfg.decimation):
        env.action_manager.apply_action()
        env.scene.write_data_to_sim()
        torques.append(env.sim.data.ctrl[:, drives] - before)
    answered = torch.stack(torques).sum(dim=-1) / torques[-1].sum(dim=-1)
    return env.physics_dt * (1.0 - answered).sum(dim=0)


@pytest.fixture(scope="module")
def env(make_env):
    return make_env(48)


def test_command_delay_is_drawn_per_episode(env):
    drawn = []
    for _ in range(2):
        env.reset()
        first, second = (delays_of_a_new_action(env, action) for action in (0.5, -0.5))
        torch.testing.assert_close(first, second, atol=1e-5, rtol=0.0)
        assert -1e-5 < first.min() < 0.1 * MAX_DELAY < 0.9 * MAX_DELAY < first.max()
        assert first.max() < MAX_DELAY + 1e-5
        drawn.append(first)
    assert (drawn[0] - drawn[1]).abs().max() > 0.1 * MAX_DELAY


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
