"""The same robot, described with its legs and joints in another order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rl_sim_env.robots import Robot


def reordered(robot: Robot, seed: int) -> Robot:
    """The robot with its legs and joints in an order of the seed's."""
    order = np.random.default_rng(seed)
    legs = tuple(robot.legs[leg] for leg in order.permutation(len(robot.legs)))
    joints = tuple(robot.leg_joints[joint] for joint in order.permutation(len(robot.leg_joints)))
    return replace(robot, legs=legs, leg_joints=joints)
