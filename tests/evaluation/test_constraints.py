"""Limits that a robot exceeds because it was put so."""

from __future__ import annotations

import math

import pytest
import torch

from rl_sim_env.evaluation.constraints import ConstraintMeter, torque_at_limit


@pytest.mark.parametrize(
    ("torque", "speed", "expected"),
    [
        (120.0, 0.0, True),
        (-120.0, 0.0, True),
        (119.0, 0.0, True),
        (118.0, 0.0, False),
        (60.0, 12.0, True),  # on the torque-speed line
        (50.0, 12.0, False),
        (-60.0, -12.0, True),
        (-60.0, 12.0, False),  # it brakes, with up to 120
        (-120.0, 12.0, True),
        (1.0, 17.0, True),  # faster than it can drive
        (0.0, 0.0, False),
    ],
)
def test_torque_is_judged_by_the_torque_speed_curve(torque, speed, expected):
    found = torque_at_limit(
        torch.tensor(torque),
        torch.tensor(speed),
        effort_limit=torch.tensor(120.0),
        stall_torque=torch.tensor(240.0),
        no_load_speed=torch.tensor(16.0),
    )
    assert bool(found) == expected


@pytest.fixture(scope="module")
def env(make_env):
    return make_env(2)


def violated(env) -> set[str]:
    """What the first robot violates."""
    found = ConstraintMeter(env).sample()
    assert found.pop("steps").all()
    return {name for name, value in found.items() if value[0]}


def put(env, place, **state) -> None:
    """Place the robots in mid-episode."""
    place(env, **state)
    env.episode_length_buf[:] = 1


def test_standing_violates_nothing(env, place):
    put(env, place)
    assert violated(env) == set()


def test_each_limit_is_told_apart(env, place):
    first = torch.zeros(2, 12)
    first[0, 5] = 1.0
    put(env, place, height=1.0, joint_vel=17.0 * first)
    assert violated(env) == {"velocity"}
    put(env, place, height=1.0, joint_pos=env.default_leg_joint_pos + 2.0 * first)
    assert violated(env) == {"position"}
    # On its side, lying on two thighs.
    straight = env.default_leg_joint_pos.clone()
    straight[:, :4] = 0.0
    put(env, place, height=0.21, roll=-math.pi / 2, joint_pos=straight)
    assert violated(env) == {"legs"}
    put(env, place)
    far = env.default_leg_joint_pos + 3.0 * first
    env.robot.set_joint_position_target(far, joint_ids=env.index.leg_joints)
    assert violated(env) == {"torque"}
    env.episode_length_buf[0] = 0
    assert violated(env) == set()


def test_a_trunk_that_touches_the_ground_is_counted_though_its_robot_starts_anew(env, place):
    put(env, place, height=0.11, roll=math.radians(90.0))
    env.termination_manager.compute()
    env.reset()
    assert violated(env) == {"body"}
