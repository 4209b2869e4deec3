"""Delayed proprioception: what the robot's bus delivers, a few milliseconds late."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import mujoco
import torch
from mjlab.sensor.sensor import Sensor, SensorCfg
from mjlab.utils.lab_api.math import quat_apply_inverse

from rl_sim_env.configuration.limits import DELAY
from rl_sim_env.mdp.hardware_sensors import HardwareSensors
from rl_sim_env.mdp.hardware_sensors_cfg import HardwareSensorsCfg
from rl_sim_env.robots.index import base_orientation

if TYPE_CHECKING:
    import mujoco_warp as mjwarp
    from mjlab.entity import Entity


@dataclass
class ProprioceptionData:
    """Delayed measurements of one control step."""

    base_ang_vel: torch.Tensor
    """Angular velocity of the base, base frame [rad/s]. Shape (num_envs, 3)."""
    projected_gravity: torch.Tensor
    """Direction of gravity in the base frame. Shape (num_envs, 3)."""
    joint_pos: torch.Tensor
    """Leg joint positions, canonical order [rad]. Shape (num_envs, num_leg_joints)."""
    joint_vel: torch.Tensor
    """Leg joint velocities, canonical order [rad/s]. Shape (num_envs, num_leg_joints)."""
    joint_torques: torch.Tensor
    """Torques of the leg drives after limits, canonical order [N m]. Shape (num_envs,
    num_leg_joints)."""


@dataclass
class ProprioceptionCfg(SensorCfg):
    """Signals, each with its own delay, drawn per episode and environment.

    Ideal torques are true and not late; where sensors are as on hardware, they are a signal as the
    others. A delay is a real number of seconds: frames are kept at the physics rate and
    interpolated linearly, so that it does not matter whether it is a multiple of the physics step.
    """

    name: str = "proprioception"
    entity_name: str = "robot"
    joint_names: tuple[str, ...] = ()
    """Leg joints in canonical order."""
    max_delay_s: Annotated[float, DELAY] = 0.0075
    """Longest delay of ideal sensors [s]; 0 switches delays off."""
    hardware: HardwareSensorsCfg | None = None
    """Errors of sensors as on hardware; None: ideal sensors. The environment fills it in, as
    ``env.sensors`` says."""

    def build(self) -> Proprioception:
        """Build the sensor."""
        return Proprioception(self)


class Proprioception(Sensor[ProprioceptionData]):
    """Ring of physics-rate frames, read at each environment's own delays.

    Attributes:
        hardware: Errors of sensors as on hardware; None where sensors are ideal.
    """

    cfg: ProprioceptionCfg
    _robot: Entity

    def __init__(self, cfg: ProprioceptionCfg) -> None:
        super().__init__()
        self.cfg = cfg
        self.hardware: HardwareSensors | None = None

    def edit_spec(self, scene_spec: mujoco.MjSpec, entities: dict[str, Entity]) -> None:
        """Remember the robot; nothing is added to the model."""
        del scene_spec
        self._robot = entities[self.cfg.entity_name]

    def initialize(
        self, mj_model: mujoco.MjModel, model: mjwarp.Model, data: mjwarp.Data, device: str
    ) -> None:
        """Allocate the ring: newest frame first."""
        del model
        self._base_quat, self._base_ang_vel = base_orientation(self._robot)
        joint_ids = self._robot.find_joints(self.cfg.joint_names, preserve_order=True)[0]
        self._joint_ids = torch.tensor(joint_ids, dtype=torch.long, device=device)
        # As in RobotIndex: indices of 32 bits would be converted in every step.
        self._qpos = self._robot.indexing.joint_q_adr[joint_ids].long()
        self._dofs = self._robot.indexing.joint_v_adr[joint_ids].long()
        num_joints, num_envs = len(joint_ids), data.nworld
        self._widths = (3, 3, num_joints, num_joints)
        self._longest = self.cfg.max_delay_s
        if (hardware := self.cfg.hardware) is not None:
            self.hardware = HardwareSensors(hardware, num_envs, num_joints, device)
            self._widths = (*self._widths, num_joints)
            self._longest = max(self._longest, hardware.max_delay)
        # Whatever sets the time step: there is one frame for each physics step.
        self._frame_period = mj_model.opt.timestep
        depth = math.ceil(self._longest / self._frame_period) + 1
        self._frames = torch.zeros(depth, num_envs, sum(self._widths), device=device)
        self._delay = torch.zeros(num_envs, len(self._widths), device=device)
        self._signal_of_column = torch.repeat_interleave(
            torch.arange(len(self._widths), device=device),
            torch.tensor(self._widths, device=device),
        )
        self._gravity = torch.tensor((0.0, 0.0, -1.0), device=device).expand(num_envs, 3)
        self._just_reset = torch.ones(num_envs, dtype=torch.bool, device=device)

    def reset(self, env_ids: torch.Tensor | slice | None = None) -> None:
        """Draw new delays; the ring is refilled when the reset state is first read."""
        super().reset(env_ids)
        ids = slice(None) if env_ids is None else env_ids
        self._just_reset[ids] = True
        drawn = torch.rand_like(self._delay[ids])
        if self.hardware is None:
            self._delay[ids] = drawn * self.cfg.max_delay_s
            return
        beyond = self.hardware.cfg.max_delay - self.cfg.max_delay_s
        longest = self.cfg.max_delay_s + self.hardware.active * beyond
        self._delay[ids] = drawn * longest
        self.hardware.draw(ids)
        # The drive's control has the same zero: mjlab takes it off the targets.
        self._robot.data.encoder_bias[:, self._joint_ids] = self.hardware.encoder_offset

    def state_dict(self) -> dict[str, torch.Tensor]:
        """What the running episodes have of their own: frames, delays, errors of the sensors."""
        state = {"frames": self._frames, "delay": self._delay, "just_reset": self._just_reset}
        return state if self.hardware is None else state | self.hardware.state_dict()

    def update(self, dt: float) -> None:
        """Take in the frame after one physics step."""
        super().update(dt)
        self._frames[1:] = self._frames[:-1].clone()
        self._frames[0] = self._measure()

    def _measure(self) -> torch.Tensor:
        # Straight from qpos and qvel, which are current at any time; derived body velocities are
        # one physics step behind inside the decimation loop.
        data = self._robot.data.data
        signals = (
            data.qvel[:, self._base_ang_vel],
            quat_apply_inverse(data.qpos[:, self._base_quat], self._gravity),
            data.qpos[:, self._qpos],
            data.qvel[:, self._dofs],
            data.qfrc_actuator[:, self._dofs],
        )
        return torch.cat(signals[: len(self._widths)], dim=-1)

    def _compute_data(self) -> ProprioceptionData:
        # An episode starts with what is measured after the reset, at every delay.
        just_reset = self._just_reset[:, None]
        torch.where(just_reset, self._measure(), self._frames, out=self._frames)
        self._just_reset.fill_(False)
        gyro, gravity, joint_pos, joint_vel, *late = self._delayed().split(self._widths, dim=-1)
        torques = self._robot.data.data.qfrc_actuator[:, self._dofs]
        if (hardware := self.hardware) is not None:
            gyro, gravity = hardware.gyro(gyro), hardware.gravity(gravity)
            joint_pos = joint_pos + hardware.encoder_offset
            torques = hardware.torques(torch.where(hardware.active, late[0], torques))
        return ProprioceptionData(
            base_ang_vel=gyro,
            projected_gravity=gravity,
            joint_pos=joint_pos,
            joint_vel=joint_vel,
            joint_torques=torques,
        )

    def _delayed(self) -> torch.Tensor:
        """The frame of each environment, every signal as old as its delay."""
        if self._frames.shape[0] == 1:
            return self._frames[0]
        delay = self._delay
        if self.hardware is not None:
            jitter = self.hardware.cfg.delay_jitter * self.hardware.active
            delay = delay + jitter * (2.0 * torch.rand_like(delay) - 1.0)
            delay = delay.clamp(0.0, self._longest)
        age = delay / self._frame_period
        newer = age.floor().clamp(max=self._frames.shape[0] - 2)
        blend = (age - newer)[:, self._signal_of_column]
        row = newer.long()[:, self._signal_of_column]
        return torch.lerp(
            self._frames.gather(0, row[None])[0], self._frames.gather(0, row[None] + 1)[0], blend
        )
