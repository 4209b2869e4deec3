"""The order in which legs and joints are described changes the order of columns, and nothing else.

All joints differ in gains, limits and action scale, so that a value of a wrong joint is seen.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from reordered import reordered
from rl_sim_env.evaluation.gait_metrics import GaitMeter
from rl_sim_env.learning.symmetry import ACTIONS
from rl_sim_env.mdp import observations
from rl_sim_env.mdp.reflections import reflections
from rl_sim_env.robots import Robot
from rl_sim_env.robots.grq20_v2d3 import GRQ20_V2D3
from rl_sim_env.tasks.grq20_v2d3 import GRQ20_V2D3_WALKING
from rl_sim_env.tasks.payload_walking import walking_env_cfg

NUM_ENVS, STEPS = 2, 6


def uneven(robot: Robot) -> Robot:
    drives = {
        joint: replace(
            drive,
            stiffness=60.0 + place,
            damping=1.5 + 0.05 * place,
            effort_limit=70.0 + 3.0 * place,
            velocity_limit=10.0 + place,
            stall_torque=120.0 + 5.0 * place,
        )
        for place, (joint, drive) in enumerate(robot.drives.items())
    }
    pose = {
        joint: angle + 0.01 * place
        for place, (joint, angle) in enumerate(robot.default_pose.items())
    }
    return replace(robot, drives=drives, default_pose=pose)


ROBOT = uneven(GRQ20_V2D3)
OTHER = reordered(ROBOT, 0)
JOINTS = [ROBOT.leg_joints.index(joint) for joint in OTHER.leg_joints]
LEGS = [ROBOT.legs.index(leg) for leg in OTHER.legs]
"""Where the columns of the other description are in ours."""


def rearranged(values: torch.Tensor, name: str) -> torch.Tensor:
    """Our columns of an observation term in the order of the other description."""
    if name == "foot_positions":
        return values.unflatten(-1, (4, 3))[..., LEGS, :].flatten(-2)
    return values[..., JOINTS] if values.shape[-1] == len(JOINTS) else values


@pytest.fixture(scope="module")
def envs(make_env):
    def edit(cfg) -> None:
        # What is drawn for each joint is drawn in another order.
        cfg.events.clear()
        cfg.commands["velocity"].heading_prob = 0.0
        cfg.rewards = walking_env_cfg(GRQ20_V2D3_WALKING, terrain="rough").rewards
        scales = {joint: 0.2 + 0.02 * place for place, joint in enumerate(ROBOT.leg_joints)}
        cfg.actions["joint_pos"].scale = scales

    def make(robot: Robot):
        walking = replace(GRQ20_V2D3_WALKING, robot=robot)
        env = make_env(NUM_ENVS, walking=walking, edit=edit)
        env.velocity_command.set_constant((0.5, 0.1, 0.3))
        env.leg_drive.set_delays(torch.tensor([0.005, 0.015]))
        return env

    return make(ROBOT), make(OTHER)


@pytest.fixture(scope="module")
def walked(envs, place):
    """What both observe, are paid and do, from the same state and with the same actions."""
    torch.manual_seed(0)
    joint_pos = torch.tensor(ROBOT.default_joint_pos).float() + 0.1 * torch.randn(NUM_ENVS, 12)
    joint_vel = torch.randn(NUM_ENVS, 12)
    actions = torch.randn(STEPS, NUM_ENVS, 12)
    found = []
    for env, order in zip(envs, (list(range(12)), JOINTS), strict=True):
        place(
            env,
            yaw=0.4,
            lin_vel=(0.4, 0.1, 0.0),
            joint_pos=joint_pos[:, order],
            joint_vel=joint_vel[:, order],
        )
        steps = []
        for action in actions:
            obs, reward, *_ = env.step(action[:, order])
            steps.append(({name: value.clone() for name, value in obs.items()}, reward.clone()))
        found.append(steps)
    return found


def test_the_legs_are_in_another_order():
    assert sorted(LEGS) != LEGS and sorted(JOINTS) != JOINTS
    assert OTHER.mirror_legs != ROBOT.mirror_legs and OTHER.diagonal_legs != ROBOT.diagonal_legs


def test_observations_are_the_same_but_for_the_order_of_their_columns(envs, walked):
    layout = envs[0].observation_layout
    compared = 0
    for (ours, _), (theirs, _) in zip(*walked, strict=True):
        for group in ("actor_obs", "critic_obs", "amp_obs"):
            for name in layout.names(group):
                column = layout.slice(group, name)
                expected = rearranged(ours[group][:, column], name)
                torch.testing.assert_close(
                    theirs[group][:, column], expected, atol=1e-6, rtol=1e-6, msg=name
                )
                compared += name in ("joint_pos", "joint_vel", "joint_torques", "foot_positions")
    assert compared == STEPS * 8


def test_rewards_are_the_same(envs, walked):
    for (_, ours), (_, theirs) in zip(*walked, strict=True):
        torch.testing.assert_close(theirs, ours, atol=1e-6, rtol=1e-6)
    for name, term in envs[0].cfg.rewards.items():
        ours, theirs = (env.cfg.rewards[name].func(env, **term.params) for env in envs)
        torch.testing.assert_close(theirs, ours, atol=1e-6, rtol=1e-6, msg=name)


def test_gaits_and_margins_are_the_same(envs, walked):
    command = torch.tensor([[0.5, 0.1, 0.3]] * NUM_ENVS)
    ours, theirs = (GaitMeter(env).sample(command) for env in envs)
    for name, value in ours.items():
        expected = value[:, LEGS] if value.dim() == 2 else value
        torch.testing.assert_close(theirs[name], expected, atol=1e-6, rtol=1e-6, msg=name)
    assert 0.0 < ours["stance"].mean() < envs[0].step_dt, "some feet carry, some do not"
    sound = torch.ones(NUM_ENVS, dtype=torch.bool)
    ours, theirs = (env.constraint_monitor.judge(sound) for env in envs)
    worst = [
        env.constraint_monitor.layout.worst(of)
        for env, of in zip(envs, (ours, theirs), strict=True)
    ]
    torch.testing.assert_close(*worst, atol=1e-5, rtol=1e-5)


def test_mirror_images_of_reordered_columns_are_reordered_mirror_images(envs):
    ours, theirs = (reflections(env) for env in envs)
    assert {"joint_pos", "joint_torques", ACTIONS} <= ours.keys() == theirs.keys()
    for name, image in ours.items():
        values = torch.randn(3, len(image.sign))
        torch.testing.assert_close(
            theirs[name].apply(rearranged(values, name)), rearranged(image.apply(values), name)
        )


def test_clearance_is_that_of_the_leg_that_is_lifted(envs, place):
    straight = torch.tensor(ROBOT.default_joint_pos).float().repeat(NUM_ENVS, 1)
    lifted = straight.clone()
    lifted[:, ROBOT.leg_joints.index("RL_calf_joint")] -= 0.6
    clearance = []
    for env, order in zip(envs, (list(range(12)), JOINTS), strict=True):
        place(env, height=0.6, joint_pos=lifted[:, order])
        clearance.append(observations.foot_height(env)[0])
    ours, theirs = clearance
    torch.testing.assert_close(theirs, ours[LEGS])
    assert OTHER.legs[int(theirs.argmax())].name == "RL"
    assert np.ptp(theirs.numpy()) > 0.05
