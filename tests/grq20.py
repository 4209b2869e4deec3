"""Facts about the GRQ20 V2d3 that tests compare with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rl_sim_env.envs import AmpVaeEnvCfg
from rl_sim_env.learning.config import AmpVaeRunnerCfg
from rl_sim_env.robots import BoomMode
from rl_sim_env.robots.grq20_v2d3 import GRQ20_V2D3
from rl_sim_env.tasks.grq20_v2d3 import GRQ20_V2D3_WALKING
from rl_sim_env.tasks.payload_walking import (
    PayloadWalkingCfg,
    TerrainName,
    walking_env_cfg,
)
from rl_sim_env.tasks.payload_walking_runner import walking_runner_cfg

MJCF_PATH = GRQ20_V2D3.mjcf_path
LEG_NAMES = tuple(leg.name for leg in GRQ20_V2D3.legs)
LEG_JOINT_NAMES = GRQ20_V2D3.leg_joints
DEFAULT_LEG_JOINT_POS = tuple(GRQ20_V2D3.default_joint_pos)
FOOT_SITE_NAMES = GRQ20_V2D3.feet
FOOT_RADIUS = 0.027
"""Radius of the foot sphere [m]."""
STANDING_HEIGHT = 0.426
"""Height of the base link in the standing pose [m]."""
DEFAULT_ARM_LENGTH = 0.6
ARM_ANGLE_JOINT = "arm_base_joint"
ARM_LENGTH_JOINT = "arm_length_joint"
ARM_VISCOUS_DAMPING = 1_000.0
LOAD_BODY_NAME = "arm_load_link"
STIFFNESS, DAMPING = 70.0, 2.0
EFFORT_LIMIT, STALL_TORQUE, VELOCITY_LIMIT = 120.0, 240.0, 16.0
"""Of each leg drive [N m/rad, N m s/rad, N m, rad/s]."""
ACTION_SCALE = 0.35
MAX_LOAD = 6.0
"""Heaviest load in training [kg]."""


def amp_vae_env_cfg(
    *,
    walking: PayloadWalkingCfg = GRQ20_V2D3_WALKING,
    terrain: TerrainName = "rough",
    play: bool = False,
    mjcf_path: Path | None = None,
    arm: BoomMode | None = None,
) -> AmpVaeEnvCfg:
    """Environment configuration of the robot's task, or of another robot's."""
    robot = walking.robot
    if arm is not None:
        robot = robot.with_boom_mode(arm)
    if mjcf_path is not None:
        robot = robot.with_model(mjcf_path)
    return walking_env_cfg(replace(walking, robot=robot), terrain=terrain, play=play)


def amp_vae_runner_cfg(*, terrain: TerrainName = "rough") -> AmpVaeRunnerCfg:
    """Trainer configuration of the robot's task."""
    return walking_runner_cfg(GRQ20_V2D3_WALKING, terrain=terrain)
