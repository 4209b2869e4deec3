"""Which limits of the robot are exceeded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from mjlab.actuator import DcMotorActuator
from mjlab.actuator.dc_actuator import dc_motor_clip

from rl_sim_env.errors import UserError
from rl_sim_env.mdp import rewards
from rl_sim_env.tasks.payload_walking import LEG_CONTACT

if TYPE_CHECKING:
    from rl_sim_env.envs import AmpVaeEnv

AT_LIMIT = 0.99
"""Share of what a drive can give from which on it counts as at its limit."""

CONTACT_FORCE = 1.0
"""Smallest force with which thighs or calves touch the ground [N]."""


def torque_at_limit(
    torque: torch.Tensor,
    joint_vel: torch.Tensor,
    *,
    effort_limit: torch.Tensor,
    stall_torque: torch.Tensor,
    no_load_speed: torch.Tensor,
) -> torch.Tensor:
    """Whether a drive gives at least :data:`AT_LIMIT` of what it can at its speed.

    All arguments have the same shape, which the result shares. The limit is the drive's constant
    one or its torque-speed line, whichever is less in the direction of the torque.

    Args:
        torque: What it gives [N m].
        joint_vel: Its speed [rad/s].
        effort_limit: Constant limit [N m].
        stall_torque: Where the torque-speed line meets zero speed [N m].
        no_load_speed: Where it meets zero torque [rad/s].
    """
    toward = torch.copysign(torch.ones_like(torque), torque)
    limit = dc_motor_clip(toward * torch.inf, stall_torque, no_load_speed, effort_limit, joint_vel)
    return torque * toward >= AT_LIMIT * limit * toward


class ConstraintMeter:
    """Which limits robots exceed at the end of a control step.

    Args:
        env: The environment that is watched.

    Raises:
        UserError: The legs' drives have no torque-speed curve.
    """

    def __init__(self, env: AmpVaeEnv) -> None:
        drive = env.leg_drive
        if not isinstance(drive, DcMotorActuator):
            raise UserError(
                f"the legs are driven by {type(drive).__name__}; violations are judged by the "
                "torque-speed curve of a DcMotorActuator"
            )
        self._env = env
        self._drive = drive

    def sample(self) -> dict[str, torch.Tensor]:
        """Violations by name, each of shape (num_robots,), and ``steps``, which is 1.

        Torques are those with which the drives answer the state at the end of the step; those
        that led there answered the state before. Trunk and load touch the ground only in the last
        step of an episode, which it ends; what a robot did in that step otherwise is gone and
        counts as no violation.
        """
        env, drive, robot = self._env, self._drive, self._env.robot.data
        joints = drive.target_ids
        assert drive.force_limit is not None
        assert drive.saturation_effort is not None and drive.velocity_limit_motor is not None
        command = drive.get_command(robot)
        low, high = robot.joint_pos_limits[:, joints].unbind(dim=-1)
        saturated = torque_at_limit(
            drive.compute(command),
            command.vel,
            effort_limit=drive.force_limit,
            stall_torque=drive.saturation_effort,
            no_load_speed=drive.velocity_limit_motor,
        )
        touching = rewards.undesired_contacts(
            env, sensor_name=LEG_CONTACT, force_threshold=CONTACT_FORCE
        )
        lives = env.episode_length_buf > 0
        values = {
            "steps": torch.ones_like(lives),
            "torque": saturated.any(dim=-1) & lives,
            "velocity": (command.vel.abs() > drive.velocity_limit_motor).any(dim=-1) & lives,
            "position": ((command.pos < low) | (command.pos > high)).any(dim=-1) & lives,
            "legs": (touching > 0.0) & lives,
            "body": env.termination_manager.get_term("body_contact"),
        }
        return {name: value[: env.num_robots] for name, value in values.items()}
