"""The drives of the legs: PD control behind a late command bus, limited like a motor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from mjlab.actuator import DcMotorActuator, DcMotorActuatorCfg
from mjlab.actuator.actuator import ActuatorCmd

if TYPE_CHECKING:
    from mjlab.entity import Entity


@dataclass(kw_only=True)
class LegDriveCfg(DcMotorActuatorCfg):
    """mjlab's DC motor; ``delay_max_lag`` bounds the delay, whoever resets a robot draws it."""

    def build(self, entity: Entity, target_ids: list[int], target_names: list[str]) -> LegDrive:
        """Build the drives."""
        return LegDrive(self, entity, target_ids, target_names)


class LegDrive(DcMotorActuator[LegDriveCfg]):
    """DC motors that follow position targets, each environment with its own constant delay.

    mjlab's delay buffer counts its place on the host and replaces its tensors, which a recorded
    control step cannot repeat; it also draws new lags in every physics step. Here targets move
    through a line of fixed tensors.
    """

    def compute(self, cmd: ActuatorCmd) -> torch.Tensor:
        """Torques [N m], shape (num_envs, num_joints).

        mjlab fuses drives that do not define this with others, behind a delay buffer of its own.
        """
        return super().compute(cmd)

    def _init_delay_buffer(self, num_envs: int, device: str) -> None:
        # Newest target first.
        shape = (self.cfg.delay_max_lag + 1, num_envs, len(self.target_names))
        self._line = torch.zeros(shape, device=device)
        self._lags = torch.zeros(num_envs, dtype=torch.long, device=device)
        self._just_reset = torch.ones(num_envs, dtype=torch.bool, device=device)

    def apply_delay(self, cmd: ActuatorCmd) -> ActuatorCmd:
        """Take in the newest position targets and give out the late ones.

        Velocity and effort targets pass: nothing issues any.
        """
        newest = cmd.position_target
        older = torch.cat((newest[None], self._line[:-1]))
        # An episode starts with its first target in every place.
        self._line.copy_(torch.where(self._just_reset[:, None], newest, older))
        self._just_reset.fill_(False)
        at = self._lags[None, :, None].expand(1, *newest.shape)
        return replace(cmd, position_target=self._line.gather(0, at)[0])

    def set_lags(self, lags: torch.Tensor, env_ids: torch.Tensor | slice | None = None) -> None:
        """Set the delay of some environments.

        Args:
            lags: Physics steps, 0 to ``delay_max_lag``. Shape (number of environments,).
            env_ids: The environments; None for all.
        """
        self._lags[slice(None) if env_ids is None else env_ids] = lags

    def reset(self, env_ids: torch.Tensor | slice | None = None) -> None:
        """Forget the targets of some environments, or all."""
        self._just_reset[slice(None) if env_ids is None else env_ids] = True
