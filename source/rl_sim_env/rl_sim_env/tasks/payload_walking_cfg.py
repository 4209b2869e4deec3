"""What walking under an unknown load has to know of a robot; no simulator is needed to say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rl_sim_env.robots import Robot

TerrainName = Literal["rough", "flat"]
"""The seven families, or an endless plane."""


@dataclass(kw_only=True)
class PayloadWalkingCfg:
    """What the task has to know of a robot beside its description: how large things are for it."""

    robot: Robot
    """The robot."""

    action_scale: float
    """Factor from actions to offsets of the joint targets [rad]; > 0."""

    torque_scale: float
    """Factor of observed torques [1/(N m)]; > 0: such that walking gives values of about 1."""

    scan_offset: float
    """Subtracted from the height of the base above the ground where it is observed [m]; a little
    more than the standing height."""

    swing_height: float
    """Height above the ground that moving feet should reach [m]; > 0."""

    trunk_mass: tuple[float, float]
    """What may be added to the trunk's mass [kg]."""

    trunk_com: tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
    """What may be added to the trunk's centre of mass along x, y and z [m]."""

    terrain_scale: float = 1.0
    """Factor of the heights of stairs, blocks and rubble; > 0: 1 for legs of 0.57 m."""
