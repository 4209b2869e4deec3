"""A mirrored robot that acts mirrored sees the mirror image of everything, physics included."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from rl_sim_env.errors import UserError
from rl_sim_env.learning.symmetry import ACTIONS, Reflection
from rl_sim_env.mdp.reflections import reflections
from rl_sim_env.motions.kinematics import LegKinematics
from rl_sim_env.robots.go1 import GO1
from rl_sim_env.tasks.go1 import GO1_WALKING

SIDES = (1.0, -1.0)
"""As it is, and mirrored: the sign of all that has a side."""


class Ramp:
    """Ground that rises to one side, far below: only the height scan sees it."""

    def __init__(self, slope: float) -> None:
        self.slope = slope

    def heights(self, xy: torch.Tensor) -> torch.Tensor:
        return self.slope * xy[..., 1] + 0.1 * xy[..., 0]


def test_physics_agrees_with_the_reflections(make_env, place):
    env = make_env(2, play=True, edit=_commands_are_rates)
    reflected = reflections(env)
    layout = env.observation_layout
    torch.manual_seed(0)
    joints = env.default_leg_joint_pos + 0.2 * torch.randn(12)
    actions = 0.5 * torch.randn(6, 2, 12)
    seen = []
    for side in SIDES:
        # The same load and delays on both sides.
        env.reset(seed=1)
        env.height_map = Ramp(0.2 * side)
        legs, acted = joints, actions
        if side < 0.0:
            rel = reflected[ACTIONS].apply(joints - env.default_leg_joint_pos)
            legs, acted = env.default_leg_joint_pos + rel, reflected[ACTIONS].apply(actions)
        place(
            env,
            roll=0.1 * side,
            pitch=0.2,
            yaw=0.5 * side,
            lin_vel=(0.5, 0.3 * side, 0.0),
            ang_vel=(0.4 * side, -0.3, 0.8 * side),
            joint_pos=legs,
            arm=(1.0 * side, 0.7),
        )
        env.velocity_command.command[:] = torch.tensor((0.6, 0.3 * side, -0.5 * side))
        env.velocity_command.time_left[:] = 10.0
        for action in acted:
            obs = env.step(action)[0]
        seen.append({group: obs[group].clone() for group in ("actor_obs", "critic_obs")})
    straight, mirrored = seen
    for group in straight:
        for name in layout.names(group):
            column = layout.slice(group, name)
            image = reflected[name].apply(straight[group][:, column])
            torch.testing.assert_close(mirrored[group][:, column], image, atol=2e-3, rtol=1e-3)
            # Nothing would be shown by a term that is zero, or has no side.
            assert straight[group][:, column].abs().max() > 1e-3
    assert not torch.allclose(straight["actor_obs"], mirrored["actor_obs"], atol=0.05)


def test_a_mirror_image_of_a_mirror_image_is_the_thing_itself(make_env):
    for image in reflections(make_env(1)).values():
        values = torch.randn(3, len(image.sign))
        torch.testing.assert_close(image.apply(image.apply(values)), values)


def test_mirrored_joints_put_the_feet_of_the_go1_where_those_of_the_other_side_were(make_env):
    image = reflections(make_env(1, walking=GO1_WALKING))[ACTIONS]
    legs, default = LegKinematics.from_robot(GO1), GO1.default_joint_pos
    offset = 0.3 * torch.randn(8, 12, dtype=torch.double)
    feet = legs.forward(default + offset.numpy())
    mirrored = legs.forward(default + image.apply(offset).numpy())
    np.testing.assert_allclose(mirrored[:, GO1.mirror_legs] * [1.0, -1.0, 1.0], feet, atol=1e-6)


def test_vectors_one_after_the_other_have_joined_reflections():
    first = Reflection.make((1, 0), (-1.0, -1.0), "cpu")
    second = Reflection.make((0,), (-1.0,), "cpu")
    joined = Reflection.join((first, second))
    assert joined.apply(torch.tensor((1.0, 2.0, 3.0))).tolist() == [-2.0, -1.0, -3.0]


def test_joints_that_are_no_mirror_images_are_named(make_env):
    env = make_env(1)
    robot = env.cfg.robot
    first, *others = robot.legs
    mixed_up = dataclasses.replace(first, hip_joint=first.thigh_joint, thigh_joint=first.hip_joint)
    env.cfg.robot = dataclasses.replace(robot, legs=(mixed_up, *others))
    with pytest.raises(UserError, match=r"FL_hip_joint and FR_thigh_joint.*mirror_loss_coef=0"):
        reflections(env)


def _commands_are_rates(cfg):
    cfg.commands["velocity"].heading_prob = 0.0
