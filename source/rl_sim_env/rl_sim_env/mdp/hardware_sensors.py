"""Sensors as on hardware: what a drive reports and an IMU sees is not what is true.

None of it can be known from the signals of one robot alone; it stays as it is for an episode.
"""

from __future__ import annotations

import torch
from mjlab.utils.lab_api.math import quat_apply_inverse, quat_from_euler_xyz

from rl_sim_env.mdp.hardware_sensors_cfg import HardwareSensorsCfg


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

        shared = 1.0 + uniform(cfg.torque_constant, 1)
        self._torque_gain[env_ids] = shared * (1.0 + uniform(cfg.joint_torque_constant, num_joints))
        self._torque_offset[env_ids] = cfg.torque_offset * self.active * torch.randn_like(like)
        angles = uniform(cfg.imu_mounting, 3)
        self._mounting[env_ids] = quat_from_euler_xyz(*angles.unbind(dim=-1))
        self._gyro_bias[env_ids] = uniform(cfg.gyro_bias, 3)
        self.encoder_offset[env_ids] = uniform(cfg.encoder_offset, num_joints)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """What the running episodes have of their own: what was drawn for them."""
        return {
            "encoder_offset": self.encoder_offset,
            "torque_gain": self._torque_gain,
            "torque_offset": self._torque_offset,
            "gyro_bias": self._gyro_bias,
            "mounting": self._mounting,
        }

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
