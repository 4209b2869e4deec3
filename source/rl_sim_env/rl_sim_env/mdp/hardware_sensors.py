"""Sensors as on hardware: what a drive reports and an IMU sees is not what is true.

None of it can be known from the signals of one robot alone; it stays as it is for an episode.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import torch
from mjlab.utils.lab_api.math import quat_apply_inverse, quat_from_euler_xyz

from rl_sim_env.configuration.limits import DELAY, NOT_NEGATIVE, SHARE, Number

SensorModel = Literal["ideal", "hardware"]
"""Delays of some milliseconds and white noise alone, or what :class:`HardwareSensorsCfg` says."""

REFERENCE_TORQUE = 120.0
"""Greatest torque of the drives that the defaults are for [N m]."""

Amount = Annotated[float, NOT_NEGATIVE]


@dataclass(kw_only=True)
class HardwareSensorsCfg:
    """How far sensors and drives may be off; what is drawn is drawn anew for each episode.

    The defaults are for drives that give :data:`REFERENCE_TORQUE`.
    """

    torque_constant: Annotated[float, SHARE] = 0.05
    """Largest error of the drives' torque constant that all joints of a robot share: a drive
    reports its current times the nominal constant. Uniform; 1 is all of the torque."""

    joint_torque_constant: Annotated[float, SHARE] = 0.1
    """Largest error of each joint's own constant besides. Uniform; 1 is all of the torque."""

    torque_offset: Amount = 1.0
    """Standard deviation of a constant error of each joint's reported torque [N m]. Normal."""

    torque_noise: Amount = 0.5
    """Standard deviation of the white noise of reported torques [N m]. Normal."""

    torque_resolution: Amount = 0.1
    """Steps in which drives report torques [N m]; 0: none."""

    joint_friction: Amount = 2.0
    """Most friction of a joint beyond that of the model [N m]: torque that its drive gives and
    reports, and that never reaches the leg. Uniform from 0, for each joint."""

    armature: Amount = 0.05
    """Most inertia of a drive's rotor, as seen at the joint, beyond that of the model [kg m^2].
    Uniform from 0, the same for all joints of a robot."""

    imu_mounting: Annotated[float, Number(at_least=0, at_most=math.pi / 4)] = math.radians(2.0)
    """Largest angle about each axis by which the IMU is mounted askew [rad]. Uniform."""

    gyro_bias: Amount = 0.05
    """Largest constant error of the angular velocity about each axis [rad/s]. Uniform."""

    encoder_offset: Amount = 0.01
    """Largest error of each joint's zero [rad], for the drive as for the policy. Uniform."""

    max_delay: Annotated[float, DELAY] = 0.02
    """Longest delay of a signal, torques among them [s]. Uniform from 0."""

    delay_jitter: Annotated[float, DELAY] = 0.002
    """Most by which a signal's delay differs from step to step [s], in between 0 and the longest.
    Uniform to both sides."""

    @classmethod
    def for_drives(cls, torque: float) -> HardwareSensorsCfg:
        """The defaults, but friction, inertia and errors of torques in proportion to the drives.

        Args:
            torque: Greatest torque of the drives [N m].
        """
        default, size = cls(), torque / REFERENCE_TORQUE
        return replace(default, **{name: size * getattr(default, name) for name in _SIZED})


_SIZED = ("torque_offset", "torque_noise", "torque_resolution", "joint_friction", "armature")


class HardwareSensors:
    """Errors of the sensors of all robots, drawn when their episodes begin.

    It reads nothing from the device, and its state stays in place: a control step that a GPU
    captures may hold it.

    Args:
        cfg: How large errors are.
        num_envs: Number of environments.
        num_joints: Number of leg joints.
        device: Where the tensors live.

    Attributes:
        cfg: As given.
        active: Whether episodes that begin have errors; a tensor of one bool, to be filled in
            place.
        encoder_offset: Reported minus true joint positions [rad]. Shape (num_envs, num_joints).
    """

    def __init__(
        self, cfg: HardwareSensorsCfg, num_envs: int, num_joints: int, device: str
    ) -> None:
        self.cfg = cfg
        self.active = torch.ones((), dtype=torch.bool, device=device)

        def zeros(width: int) -> torch.Tensor:
            return torch.zeros(num_envs, width, device=device)

        self.encoder_offset = zeros(num_joints)
        self._torque_gain, self._torque_offset = zeros(num_joints), zeros(num_joints)
        self._gyro_bias, self._mounting = zeros(3), zeros(4)
        self.draw(slice(None))

    def draw(self, env_ids: torch.Tensor | slice) -> None:
        """Draw the errors of some environments, or set them to zero where there shall be none."""
        cfg, num_joints = self.cfg, self.encoder_offset.shape[1]
        like = self.encoder_offset[env_ids]

        def uniform(limit: float, width: int) -> torch.Tensor:
            return limit * self.active * (2.0 * like.new_empty(len(like), width).uniform_() - 1.0)

        shared, own = (
            1.0 + uniform(cfg.torque_constant, 1),
            1.0 + uniform(cfg.joint_torque_constant, num_joints),
        )
        self._torque_gain[env_ids] = shared * own
        self._torque_offset[env_ids] = cfg.torque_offset * self.active * torch.randn_like(like)
        angles = uniform(cfg.imu_mounting, 3)
        self._mounting[env_ids] = quat_from_euler_xyz(*angles.unbind(dim=-1))
        self._gyro_bias[env_ids] = uniform(cfg.gyro_bias, 3)
        self.encoder_offset[env_ids] = uniform(cfg.encoder_offset, num_joints)

    def gyro(self, base_ang_vel: torch.Tensor) -> torch.Tensor:
        """What the IMU says of an angular velocity [rad/s], shape (num_envs, 3)."""
        return quat_apply_inverse(self._mounting, base_ang_vel) + self._gyro_bias

    def gravity(self, projected_gravity: torch.Tensor) -> torch.Tensor:
        """What the IMU says of the direction of gravity, shape (num_envs, 3)."""
        return quat_apply_inverse(self._mounting, projected_gravity)

    def torques(self, joint_torques: torch.Tensor) -> torch.Tensor:
        """What drives say of their torques [N m], shape (num_envs, num_joints)."""
        noise = self.cfg.torque_noise * self.active * torch.randn_like(joint_torques)
        reported = self._torque_gain * joint_torques + self._torque_offset + noise
        step = self.cfg.torque_resolution
        if not step:
            return reported
        return torch.where(self.active, step * (reported / step).round(), reported)
