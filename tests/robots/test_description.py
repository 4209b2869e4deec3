"""A robot's description: what contradicts itself is refused, and what follows from the names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from mjlab.asset_zoo.robots.unitree_go1 import go1_constants

from reordered import reordered
from rl_sim_env.errors import UserError
from rl_sim_env.robots import Drive, Robot
from rl_sim_env.robots.go1 import GO1
from rl_sim_env.robots.grq20_v2d3 import GRQ20_V2D3
from rl_sim_env.robots.robot import joint_columns, torque_limits

DRIVE = {
    "stiffness": 70.0,
    "damping": 2.0,
    "effort_limit": 120.0,
    "velocity_limit": 16.0,
    "stall_torque": 240.0,
}
MIRRORED = {"FL": "FR", "FR": "FL", "RL": "RR", "RR": "RL"}
DIAGONAL = {"FL": "RR", "FR": "RL", "RL": "FR", "RR": "FL"}


def without(values, joint: str) -> dict:
    return {name: value for name, value in values.items() if name != joint}


def front_left(robot: Robot, **changes) -> tuple:
    first, *others = robot.legs
    return (replace(first, **changes), *others)


CONTRADICTIONS: dict[str, tuple[Callable[[Robot], dict], tuple[str, ...]]] = {
    "a pose without a joint": (
        lambda robot: {"default_pose": without(robot.default_pose, "RL_calf_joint")},
        ("default_pose", "RL_calf_joint"),
    ),
    "a pose of another joint": (
        lambda robot: {"default_pose": {**robot.default_pose, "tail_joint": 0.0}},
        ("default_pose", "tail_joint"),
    ),
    "a joint without a drive": (
        lambda robot: {"drives": without(robot.drives, "FR_hip_joint")},
        ("drives", "FR_hip_joint"),
    ),
    "a joint that is no leg's": (
        lambda robot: {"leg_joints": (*robot.leg_joints, "arm_base_joint")},
        ("leg_joints", "arm_base_joint"),
    ),
    "a leg's joint that is not listed": (
        lambda robot: {"leg_joints": robot.leg_joints[1:]},
        ("leg_joints", "FL_hip_joint"),
    ),
    "a joint that is listed twice": (
        lambda robot: {"leg_joints": (*robot.leg_joints, "FR_calf_joint")},
        ("leg_joints", "FR_calf_joint"),
    ),
    "two legs in one corner": (
        lambda robot: {"legs": front_left(robot, side="right")},
        ("leg FL is right front", "one leg on each side of each end"),
    ),
    "front legs alone": (
        lambda robot: {
            "legs": robot.legs[:2],
            **{
                name: {joint: value for joint, value in values.items() if joint[0] == "F"}
                for name, values in (
                    ("default_pose", robot.default_pose),
                    ("drives", robot.drives),
                )
            },
            "leg_joints": tuple(joint for joint in robot.leg_joints if joint[0] == "F"),
        },
        ("one leg on each side of each end",),
    ),
    "a joint that two legs share": (
        lambda robot: {
            "legs": front_left(robot, calf_joint="FR_calf_joint"),
            "leg_joints": tuple(
                "FR_calf_joint" if joint == "FL_calf_joint" else joint for joint in robot.leg_joints
            ),
            "default_pose": without(robot.default_pose, "FL_calf_joint"),
            "drives": without(robot.drives, "FL_calf_joint"),
        },
        ("FR_calf_joint",),
    ),
    "a foot that two legs share": (
        lambda robot: {"legs": front_left(robot, foot_geom="FR_foot_collision")},
        ("FR_foot_collision",),
    ),
}


@pytest.mark.parametrize("contradiction", CONTRADICTIONS)
def test_a_contradiction_is_refused_and_says_where(contradiction):
    change, words = CONTRADICTIONS[contradiction]
    with pytest.raises(UserError) as error:
        replace(GRQ20_V2D3, **change(GRQ20_V2D3))
    assert "\n" not in str(error.value)
    for word in ("robot grq20_v2d3", *words):
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stall_torque": 100.0}, "stall_torque 100 is below effort_limit 120"),
        ({"stiffness": 0.0}, "stiffness is 0"),
        ({"velocity_limit": -1.0}, "velocity_limit is -1"),
        ({"effort_limit": float("nan")}, "effort_limit is nan"),
        ({"damping": -1.0}, "damping is -1"),
        ({"armature": -0.01}, r"armature is -0\.01"),
    ],
)
def test_a_drive_that_no_motor_is_is_refused(change, words):
    with pytest.raises(UserError, match=words):
        Drive(**{**DRIVE, **change})


@pytest.mark.parametrize("robot", [GRQ20_V2D3, GO1, reordered(GRQ20_V2D3, 0), reordered(GO1, 11)])
def test_mirrored_and_diagonal_parts_are_found_whatever_their_order(robot):
    names = [leg.name for leg in robot.legs]
    assert [names[leg] for leg in robot.mirror_legs] == [MIRRORED[name] for name in names]
    assert [names[leg] for leg in robot.diagonal_legs] == [DIAGONAL[name] for name in names]
    for joint, other in zip(robot.leg_joints, robot.mirror_joints, strict=True):
        assert robot.leg_joints[other] == MIRRORED[joint[:2]] + joint[2:]
    for leg, columns in zip(robot.legs, joint_columns(robot.legs, robot.leg_joints), strict=True):
        assert tuple(robot.leg_joints[column] for column in columns) == leg.joints


def test_orders_of_legs_and_joints_that_are_in_use():
    assert GRQ20_V2D3.mirror_legs == GO1.mirror_legs == (1, 0, 3, 2)
    assert GRQ20_V2D3.diagonal_legs == GO1.diagonal_legs == (3, 2, 1, 0)
    assert GRQ20_V2D3.mirror_joints == (1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10)
    assert GO1.mirror_joints == (3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8)
    assert joint_columns(GRQ20_V2D3.legs, GRQ20_V2D3.leg_joints).tolist() == [
        [leg, leg + 4, leg + 8] for leg in range(4)
    ]
    assert joint_columns(GO1.legs, GO1.leg_joints).tolist() == [
        [k, k + 1, k + 2] for k in (0, 3, 6, 9)
    ]


def test_values_by_joint_are_in_the_order_of_the_joints():
    robot = reordered(GO1, 0)
    effort = robot.drive_arrays()["effort_limit"]
    for joint, pose, limit in zip(robot.leg_joints, robot.default_joint_pos, effort, strict=True):
        assert pose == GO1.default_pose[joint]
        assert limit == GO1.drives[joint].effort_limit
    assert len({*effort}) == 2, "nothing would be shown by drives that are all alike"


def test_drives_give_less_the_faster_they_turn_and_brake_beyond_their_no_load_speed():
    drives = {name: np.array([value] * 5) for name, value in DRIVE.items()}
    lowest, highest = torque_limits(drives, np.array([0.0, 8.0, 12.0, 16.0, 20.0]))
    np.testing.assert_allclose(highest, [120.0, 120.0, 60.0, 0.0, -60.0])
    np.testing.assert_allclose(lowest, [-120.0] * 5)


def test_only_a_boom_can_be_held_in_another_way():
    assert GRQ20_V2D3.with_boom_mode("viscous").payload.mode == "viscous"
    assert GRQ20_V2D3.payload.mode == "locked", "the robot itself has not changed"
    for robot in (GO1, replace(GRQ20_V2D3, payload=None)):
        with pytest.raises(UserError, match=f"robot {robot.name} has no boom"):
            robot.with_boom_mode("viscous")


def test_who_carries_nothing_falls_on_its_trunk_alone():
    assert GO1.untouchable == ("trunk", "payload")
    bare = replace(GO1, payload=None)
    assert bare.untouchable == ("trunk",) and bare.max_load == 0.0


def test_the_go1_has_the_model_and_the_motors_that_mjlab_describes():
    # It is described without importing mjlab, so that a task's name costs no seconds.
    assert GO1.mjcf_path == go1_constants.GO1_XML
    for joint, motor in (
        ("FR_hip_joint", go1_constants.HIP_ACTUATOR),
        ("RL_calf_joint", go1_constants.KNEE_ACTUATOR),
    ):
        drive = GO1.drives[joint]
        assert drive.effort_limit == motor.effort_limit
        assert drive.velocity_limit == motor.velocity_limit
        assert drive.armature == pytest.approx(motor.reflected_inertia)
