"""How close every robot comes to every limit, in each control step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from rl_sim_env.envs.episode_meter import Totals, read_tally
from rl_sim_env.learning.constraint_figures import VIOLATED
from rl_sim_env.learning.constraint_layout import ConstraintLayout
from rl_sim_env.learning.reward_faults import CONSTRAINT_FAULTS
from rl_sim_env.mdp.constraints import CONSTRAINTS, TORQUE

if TYPE_CHECKING:
    from rl_sim_env.envs.amp_vae_env import AmpVaeEnv

THERMAL_TIME = 10.0
"""Time constant of the mean of squared torques, as of a winding that warms up [s]."""

_UNUSED = -1.0
"""Margin of a limit of which nothing is used; also of a robot whose physics has broken down."""


class ConstraintMonitor:
    """Measures the constraints of :data:`~rl_sim_env.mdp.constraints.CONSTRAINTS`.

    Nothing in it reads from the device, and its tensors stay where they are.

    Args:
        env: The environment, which has its sensors and indices.

    Attributes:
        limits: Limit of each constraint, shape (columns,).
        layout: Which columns of the margins are whose.
        mean_square_torque: Exponential mean over :data:`THERMAL_TIME` since the episode began, when
            the drives were cold [N^2 m^2]. Shape (num_envs, num_leg_joints).
    """

    def __init__(self, env: AmpVaeEnv) -> None:
        self._env = env
        self._constraints = {name: each for name, each in CONSTRAINTS.items() if each.applies(env)}
        self.mean_square_torque = torch.zeros_like(env.leg_speed_limits)
        self.limits = {name: each.limit(env) for name, each in self._constraints.items()}
        widths = {name: len(limit) for name, limit in self.limits.items()}
        self.layout = ConstraintLayout(widths, str(env.device))
        self._limit_of_column = torch.cat(tuple(self.limits.values()))
        moments = {name: each.moment for name, each in self._constraints.items()}
        self._watched = [name for name, moment in moments.items() if moment != "end"]
        self._watched_widths = [widths[name] for name in self._watched]
        # What must last is watched with its sign turned, so that of all the greatest counts.
        self._sign = torch.cat(
            [
                torch.full_like(self.limits[name], -1.0 if moments[name] == "throughout" else 1.0)
                for name in self._watched
            ]
        )
        self._greatest = torch.zeros(env.num_envs, len(self._sign), device=env.device)
        # Violations and faults of each constraint, and the robot-steps that were looked at.
        self._tally = torch.zeros(2 * len(widths) + 1, dtype=torch.long, device=env.device)

    def begin_step(self) -> None:
        """Forget the step before."""
        self._greatest.fill_(-torch.inf)

    def after_physics_step(self) -> None:
        """Take in what the sensors show."""
        values = {name: self._measured(name) for name in self._watched}
        signed = self._sign * torch.cat(tuple(values.values()), dim=-1)
        torch.maximum(self._greatest, signed, out=self._greatest)
        square = values[TORQUE].square()
        self.mean_square_torque.lerp_(square, self._env.physics_dt / THERMAL_TIME)

    def judge(self, state_is_valid: torch.Tensor) -> torch.Tensor:
        """Margins of the control step, in the state before resets.

        Args:
            state_is_valid: Whose physics is sound, shape (num_envs,). Others violate nothing; what
                is not a number does not, either, and is counted as a fault.

        Returns:
            Signed, positive where violated, in units of the limit. Shape (num_envs, columns).
        """
        of_step = (self._sign * self._greatest).split(self._watched_widths, dim=-1)
        watched = dict(zip(self._watched, of_step, strict=True))
        values = [
            watched[name] if name in watched else self._measured(name) for name in self._constraints
        ]
        margins = torch.cat(values, dim=-1) / self._limit_of_column - 1.0
        is_fault = margins.isnan() & state_is_valid[:, None]
        is_known = state_is_valid[:, None] & ~is_fault
        margins = torch.where(is_known, margins, _UNUSED)
        violated = self.layout.worst(margins) > 0.0
        faults = self.layout.total(is_fault.long()) > 0
        looked_at = torch.cat((violated, faults, state_is_valid[:, None]), dim=-1)
        self._tally += looked_at[: self._env.num_robots].sum(dim=0)
        return margins

    def reset(self, env_ids: torch.Tensor) -> None:
        """Let the drives of new episodes be cold."""
        self.mean_square_torque[env_ids] = 0.0

    def state_dict(self) -> dict[str, torch.Tensor]:
        """How warm the drives of the running episodes are."""
        return {"mean_square_torque": self.mean_square_torque}

    def read_log(self) -> Totals:
        """Robot-steps with a violation, and with a fault, of each constraint since the last call.

        By the names that are logged. Reads the device; empty where there was no step.
        """
        names = (prefix + name for prefix in (VIOLATED, CONSTRAINT_FAULTS) for name in self.limits)
        return read_tally(self._tally, names)

    def _measured(self, name: str) -> torch.Tensor:
        return self._constraints[name].measure(self._env)
