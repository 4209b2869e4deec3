"""The drives of the legs: PD control behind a late command bus, limited like a motor."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated

import mujoco
import torch
from mjlab.actuator import ActuatorCfg, DcMotorActuator
from mjlab.actuator.actuator import Actuator, ActuatorCmd
from mjlab.utils.spec import create_motor_actuator

from rl_sim_env.configuration.limits import DELAY
from rl_sim_env.errors import UserError
from rl_sim_env.robots.robot import Drive

if TYPE_CHECKING:
    import mujoco_warp as mjwarp
    from mjlab.entity import Entity

_ROUNDING = 1e-6
"""What a delay may be longer than so many physics steps without asking for one more."""


@dataclass(kw_only=True)
class LegDriveCfg(ActuatorCfg):
    """mjlab's DC motor with gains and limits for each joint."""

    drives: dict[str, Drive] = field(default_factory=dict)
    """Gains and limits by joint; the targets of the actuator."""

    max_delay: Annotated[float, DELAY] = 0.0
    """Longest delay of position targets [s]. Whoever resets a robot draws its own."""

    def build(self, entity: Entity, target_ids: list[int], target_names: list[str]) -> LegDrive:
        """Build the drives."""
        return LegDrive(self, entity, target_ids, target_names)


class LegDrive(DcMotorActuator):
    """DC motors that follow position targets, each environment with its own constant delay.

    mjlab's delay buffer counts its place on the host and replaces its tensors, which a captured
    control step cannot repeat; it also draws new lags in every physics step. Here targets move
    through a line of fixed tensors.

    A delay is a real number of seconds. Where it is no multiple of the physics step, a target
    takes over within a step, which a PD drive feels as the mean of the old and the new one,
    weighted by time: the linear interpolation of the two.
    """

    cfg: LegDriveCfg  # type: ignore[assignment]
    stiffness: torch.Tensor  # type: ignore[assignment]
    damping: torch.Tensor  # type: ignore[assignment]
    default_stiffness: torch.Tensor  # type: ignore[assignment]
    default_damping: torch.Tensor  # type: ignore[assignment]
    force_limit: torch.Tensor  # type: ignore[assignment]
    default_force_limit: torch.Tensor  # type: ignore[assignment]
    saturation_effort: torch.Tensor  # type: ignore[assignment]
    velocity_limit_motor: torch.Tensor  # type: ignore[assignment]

    @property
    def has_delay(self) -> bool:
        """Whether targets may be late."""
        return self.cfg.max_delay > 0.0

    def edit_spec(self, spec: mujoco.MjSpec, target_names: list[str]) -> None:
        """Add a motor for each joint."""
        for name in target_names:
            self._mjs_actuators.append(
                create_motor_actuator(spec, name, effort_limit=self.cfg.drives[name].effort_limit)
            )

    def initialize(
        self,
        mj_model: mujoco.MjModel,
        model: mjwarp.Model,
        data: mjwarp.Data,
        device: str,
    ) -> None:
        """Allocate gains, limits and the line of targets."""
        if self.cfg.delay_max_lag:
            raise UserError(
                f"delay_max_lag {self.cfg.delay_max_lag} of a LegDriveCfg: its delay is max_delay, "
                f"in seconds; one physics step takes {mj_model.opt.timestep:g} s"
            )
        self._period = mj_model.opt.timestep
        # Not mjlab's own: it gives all joints of an actuator the same gains.
        Actuator.initialize(self, mj_model, model, data, device)

        def by_joint(name: str) -> torch.Tensor:
            values = [getattr(self.cfg.drives[joint], name) for joint in self.target_names]
            return torch.tensor(values, device=device).repeat(data.nworld, 1)

        self.stiffness, self.damping = by_joint("stiffness"), by_joint("damping")
        self.force_limit = by_joint("effort_limit")
        self.saturation_effort = by_joint("stall_torque")
        self.velocity_limit_motor = by_joint("velocity_limit")
        self.default_stiffness, self.default_damping = self.stiffness.clone(), self.damping.clone()
        self.default_force_limit = self.force_limit.clone()

    def compute(self, cmd: ActuatorCmd) -> torch.Tensor:
        """Torques [N m], shape (num_envs, num_joints).

        mjlab fuses drives that do not define this with others, behind a delay buffer of its own.
        """
        return super().compute(cmd)

    def _init_delay_buffer(self, num_envs: int, device: str) -> None:
        # Newest target first, one for each physics step.
        depth = math.ceil(self.cfg.max_delay / self._period - _ROUNDING) + 1
        self._line = torch.zeros(depth, num_envs, len(self.target_names), device=device)
        self._age = torch.arange(depth, device=device)[:, None]
        self._weights = (self._age == 0).float().repeat(1, num_envs)
        self._just_reset = torch.ones(num_envs, dtype=torch.bool, device=device)

    def apply_delay(self, cmd: ActuatorCmd) -> ActuatorCmd:
        """Take in the newest position targets and give out the late ones.

        Velocity and effort targets pass: nothing issues any.
        """
        newest = cmd.position_target
        older = torch.cat((newest[None], self._line[:-1]))
        # An episode starts with its first target in every place.
        torch.where(self._just_reset[:, None], newest, older, out=self._line)
        self._just_reset.fill_(False)
        late = (self._weights[:, :, None] * self._line).sum(dim=0)
        return replace(cmd, position_target=late)

    def set_delays(self, delays: torch.Tensor, env_ids: torch.Tensor | slice | None = None) -> None:
        """Set the delay of some environments.

        Args:
            delays: 0 to ``cfg.max_delay`` [s]. Shape (number of environments,).
            env_ids: The environments; None for all.
        """
        weights = (1.0 - (delays / self._period - self._age).abs()).clamp(min=0.0)
        self._weights[:, slice(None) if env_ids is None else env_ids] = weights

    def state_dict(self) -> dict[str, torch.Tensor]:
        """What the running episodes have of their own: delays, late targets, gains, limits."""
        return {
            "line": self._line,
            "weights": self._weights,
            "just_reset": self._just_reset,
            "stiffness": self.stiffness,
            "damping": self.damping,
            "force_limit": self.force_limit,
        }

    def reset(self, env_ids: torch.Tensor | slice | None = None) -> None:
        """Forget the targets of some environments, or all."""
        self._just_reset[slice(None) if env_ids is None else env_ids] = True
