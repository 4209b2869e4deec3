"""Constants of the GRQ20 V2d3. What is known and what is assumed: README.md beside this file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal, get_args

import mujoco
from mjlab.actuator import BuiltinPositionActuatorCfg
from mjlab.actuator.actuator import ActuatorCfg
from mjlab.entity import EntityArticulationInfoCfg, EntityCfg

from rl_sim_env.errors import UserError
from rl_sim_env.robots.leg_drive import LegDriveCfg
from rl_sim_env.robots.names import RobotNames, check_robot_model

MJCF_PATH = Path(__file__).parent / "grq20_v2d3.xml"

LEG_NAMES = ("FL", "FR", "RL", "RR")
LEG_JOINT_NAMES = tuple(
    f"{leg}_{part}_joint" for part in ("hip", "thigh", "calf") for leg in LEG_NAMES
)
"""Canonical order: by joint type, then by leg."""

FOOT_BODY_NAMES = tuple(f"{leg}_foot" for leg in LEG_NAMES)
FOOT_SITE_NAMES = FOOT_BODY_NAMES
BASE_BODY_NAME = "base_link"
ARM_ANGLE_JOINT = "arm_base_joint"
ARM_LENGTH_JOINT = "arm_length_joint"
LOAD_BODY_NAME = "arm_load_link"

GRQ20_V2D3_NAMES = RobotNames(
    base_body=BASE_BODY_NAME,
    leg_joints=LEG_JOINT_NAMES,
    feet=FOOT_BODY_NAMES,
    foot_geoms=tuple(f"{leg}_foot_collision" for leg in LEG_NAMES),
    thighs_and_calves=tuple(f"{leg}_{part}" for part in ("thigh", "calf") for leg in LEG_NAMES),
    arm_angle_joint=ARM_ANGLE_JOINT,
    arm_length_joint=ARM_LENGTH_JOINT,
    load_body=LOAD_BODY_NAME,
)

_DEFAULT_HIP = {"FL": -0.05, "FR": 0.05, "RL": -0.05, "RR": 0.05}
DEFAULT_LEG_JOINT_POS = (*_DEFAULT_HIP.values(), *(0.795,) * 4, *(-1.61,) * 4)
"""Standing pose in canonical order [rad]."""

DEFAULT_ARM_LENGTH = 0.6
"""Boom length in the default pose [m]."""

SPAWN_HEIGHT = 0.5
"""Height of the base link at spawn, above the ground [m]."""

STANDING_HEIGHT = 0.426
"""Height of the base link in the standing pose [m]."""

FOOT_RADIUS = 0.027
"""Radius of the foot sphere [m]."""

STIFFNESS = 70.0
"""Leg position gain [N m/rad]."""

DAMPING = 2.0
"""Leg velocity gain [N m s/rad]."""

EFFORT_LIMIT = 120.0
"""Largest leg joint torque [N m]."""

VELOCITY_LIMIT = 16.0
"""No-load speed of the leg joints [rad/s]."""

STALL_TORQUE = 240.0
"""Where the torque-speed line meets zero speed [N m]; the drive cuts it at EFFORT_LIMIT."""

MAX_COMMAND_DELAY = 0.015
"""Longest delay from the policy's target to the joint controller [s]."""

SOFT_JOINT_LIMIT_FACTOR = 0.9
"""Share of the joint range that counts as comfortable."""

ArmMode = Literal["locked", "viscous"]
"""How the boom is held: where it was drawn, or only damped."""

ARM_LOCK_STIFFNESS = {ARM_ANGLE_JOINT: 10_000.0, ARM_LENGTH_JOINT: 60_000.0}
"""Servo stiffness of the locked boom [N m/rad, N/m]: 6 kg at 20 degrees of pitch pull with 20 N and
16 N m, which gives 0.3 mm and 0.1 degrees."""

ARM_LOCK_DAMPING = {ARM_ANGLE_JOINT: 200.0, ARM_LENGTH_JOINT: 1_000.0}
"""Servo damping of the locked boom [N m s/rad, N s/m]: about critical under full load."""

ARM_VISCOUS_DAMPING = 1_000.0
"""Damping of the viscous boom, which nothing holds in place [N m s/rad, N s/m]."""


def _load_spec(path: Path, names: RobotNames) -> mujoco.MjSpec:
    try:
        spec = mujoco.MjSpec.from_file(str(path))
    except (ValueError, OSError) as error:
        raise UserError(f"cannot read robot model {path}: {error}") from error
    check_robot_model(spec, names, str(path))
    return spec


def _arm_actuators(mode: ArmMode) -> tuple[ActuatorCfg, ...]:
    def servo(joint: str) -> ActuatorCfg:
        locked = mode == "locked"
        return BuiltinPositionActuatorCfg(
            target_names_expr=(joint,),
            stiffness=ARM_LOCK_STIFFNESS[joint] if locked else 0.0,
            damping=ARM_LOCK_DAMPING[joint] if locked else ARM_VISCOUS_DAMPING,
        )

    return servo(ARM_ANGLE_JOINT), servo(ARM_LENGTH_JOINT)


def grq20_v2d3_cfg(
    *,
    mjcf_path: Path | str = MJCF_PATH,
    names: RobotNames = GRQ20_V2D3_NAMES,
    arm: ArmMode = "locked",
) -> EntityCfg:
    """The robot as an mjlab entity.

    Args:
        mjcf_path: The model; a user's own file replaces ours if it has the parts in ``names``.
        names: Names of those parts.
        arm: ``locked`` holds the boom where it was drawn; ``viscous`` only damps it, so that it
            drifts under gravity as in the original system.

    Raises:
        UserError: There is no such way to hold the boom. When the scene is built: the model cannot
            be read or lacks a part.
    """
    if arm not in get_args(ArmMode):
        raise UserError(f"arm '{arm}'; there are {', '.join(get_args(ArmMode))}")
    legs = LegDriveCfg(
        target_names_expr=names.leg_joints,
        stiffness=STIFFNESS,
        damping=DAMPING,
        effort_limit=EFFORT_LIMIT,
        saturation_effort=STALL_TORQUE,
        velocity_limit=VELOCITY_LIMIT,
        max_delay=MAX_COMMAND_DELAY,
    )
    joint_pos = dict(zip(names.leg_joints, DEFAULT_LEG_JOINT_POS, strict=True))
    joint_pos |= {names.arm_angle_joint: 0.0, names.arm_length_joint: DEFAULT_ARM_LENGTH}
    return EntityCfg(
        spec_fn=partial(_load_spec, Path(mjcf_path), names),
        init_state=EntityCfg.InitialStateCfg(
            pos=(0.0, 0.0, SPAWN_HEIGHT), joint_pos=joint_pos, joint_vel={".*": 0.0}
        ),
        articulation=EntityArticulationInfoCfg(
            actuators=(legs, *_arm_actuators(arm)),
            soft_joint_pos_limit_factor=SOFT_JOINT_LIMIT_FACTOR,
        ),
    )
