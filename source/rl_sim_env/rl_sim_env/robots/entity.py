"""A robot as an mjlab entity."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from mjlab.actuator import BuiltinPositionActuatorCfg
from mjlab.actuator.actuator import ActuatorCfg
from mjlab.entity import EntityArticulationInfoCfg, EntityCfg

from rl_sim_env.robots.leg_drive import LegDriveCfg
from rl_sim_env.robots.model import load_model
from rl_sim_env.robots.robot import Boom, Robot


def entity_cfg(robot: Robot) -> EntityCfg:
    """Model, initial state and drives of a robot.

    Args:
        robot: The robot.

    Raises:
        UserError: When the scene is built: the model cannot be read or lacks a part.
    """
    legs = LegDriveCfg(
        target_names_expr=robot.leg_joints,
        # A copy: settings change this environment's drives, not the robot.
        drives={joint: replace(robot.drives[joint]) for joint in robot.leg_joints},
        max_delay=robot.max_command_delay,
    )
    joint_pos = {joint: robot.default_pose[joint] for joint in robot.leg_joints}
    boom: tuple[ActuatorCfg, ...] = ()
    if isinstance(robot.payload, Boom):
        joint_pos |= dict(
            zip(robot.payload.joints, (0.0, robot.payload.default_length), strict=True)
        )
        boom = _boom_servos(robot.payload)
    return EntityCfg(
        spec_fn=partial(load_model, robot),
        init_state=EntityCfg.InitialStateCfg(
            pos=(0.0, 0.0, robot.spawn_height), joint_pos=joint_pos, joint_vel={".*": 0.0}
        ),
        articulation=EntityArticulationInfoCfg(
            actuators=(legs, *boom),
            soft_joint_pos_limit_factor=robot.soft_joint_limit_factor,
        ),
    )


def _boom_servos(boom: Boom) -> tuple[ActuatorCfg, ...]:
    locked = boom.mode == "locked"
    return tuple(
        BuiltinPositionActuatorCfg(
            target_names_expr=(joint,),
            stiffness=stiffness if locked else 0.0,
            damping=damping if locked else boom.viscous_damping,
        )
        for joint, stiffness, damping in zip(boom.joints, boom.stiffness, boom.damping, strict=True)
    )
