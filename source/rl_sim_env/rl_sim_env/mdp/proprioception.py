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


@dataclass
class ProprioceptionCfg(SensorCfg):
    """Four signals, each with its own delay, drawn per episode and environment.

    The delay is a real number of seconds: frames are kept at the physics rate and interpolated
    linearly, so that it does not matter whether it is a multiple of the physics step.
    """

    name: str = "proprioception"
    entity_name: str = "robot"
    joint_names: tuple[str, ...] = ()
    """Leg joints in canonical order."""
    max_delay_s: Annotated[float, DELAY] = 0.0075
    """Longest delay [s]; 0 switches delays off."""

    def build(self) -> Proprioception:
        """Build the sensor."""
        return Proprioception(self)


class Proprioception(Sensor[ProprioceptionData]):
    """Ring of physics-rate frames, read at each environment's own delays."""

    cfg: ProprioceptionCfg

    def __init__(self, cfg: ProprioceptionCfg) -> None:
        super().__init__()
        self.cfg = cfg
        self._robot: Entity | None = None

    def edit_spec(self, scene_spec: mujoco.MjSpec, entities: dict[str, Entity]) -> None:
        """Remember the robot; nothing is added to the model."""
        del scene_spec
        self._robot = entities[self.cfg.entity_name]

    def initialize(
        self, mj_model: mujoco.MjModel, model: mjwarp.Model, data: mjwarp.Data, device: str
    ) -> None:
        """Allocate the ring: newest frame first."""
        del model
        assert self._robot is not None
        self._base_quat, self._base_ang_vel = base_orientation(self._robot)
        joint_ids = self._robot.find_joints(self.cfg.joint_names, preserve_order=True)[0]
        # As in RobotIndex: indices of 32 bits would be converted in every step.
        self._qpos = self._robot.indexing.joint_q_adr[joint_ids].long()
        self._dofs = self._robot.indexing.joint_v_adr[joint_ids].long()
        num_joints = len(joint_ids)
        self._widths = (3, 3, num_joints, num_joints)
        # Whatever sets the time step: there is one frame for each physics step.
        self._frame_period = mj_model.opt.timestep
        depth = math.ceil(self.cfg.max_delay_s / self._frame_period) + 1
        num_envs = data.nworld
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
        self._delay[ids] = torch.rand_like(self._delay[ids]) * self.cfg.max_delay_s

    def state_dict(self) -> dict[str, torch.Tensor]:
        """What the running episodes have of their own: frames and delays."""
        return {"frames": self._frames, "delay": self._delay, "just_reset": self._just_reset}

    def update(self, dt: float) -> None:
        """Take in the frame after one physics step."""
        super().update(dt)
        self._frames[1:] = self._frames[:-1].clone()
        self._frames[0] = self._measure()

    def _measure(self) -> torch.Tensor:
        # Straight from qpos and qvel, which are current at any time; derived body velocities are
        # one physics step behind inside the decimation loop.
        assert self._robot is not None
        qpos, qvel = self._robot.data.data.qpos, self._robot.data.data.qvel
        return torch.cat(
            (
                qvel[:, self._base_ang_vel],
                quat_apply_inverse(qpos[:, self._base_quat], self._gravity),
                qpos[:, self._qpos],
                qvel[:, self._dofs],
            ),
            dim=-1,
        )

    def _compute_data(self) -> ProprioceptionData:
        # An episode starts with what is measured after the reset, at every delay.
        just_reset = self._just_reset[:, None]
        torch.where(just_reset, self._measure(), self._frames, out=self._frames)
        self._just_reset.fill_(False)
        if self._frames.shape[0] == 1:
            delayed = self._frames[0]
        else:
            age = self._delay / self._frame_period
            newer = age.floor().clamp(max=self._frames.shape[0] - 2)
            blend = (age - newer)[:, self._signal_of_column]
            row = newer.long()[:, self._signal_of_column]
            delayed = torch.lerp(
                self._frames.gather(0, row[None])[0],
                self._frames.gather(0, row[None] + 1)[0],
                blend,
            )
        return ProprioceptionData(*delayed.split(self._widths, dim=-1))
