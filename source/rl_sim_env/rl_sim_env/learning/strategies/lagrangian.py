"""PPO-Lagrangian, its multipliers steered by PID (Stooke et al., arXiv:2007.03964)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import torch

from rl_sim_env.configuration.limits import NOT_NEGATIVE, POSITIVE, SHARE
from rl_sim_env.learning.config import AmpVaeRunnerCfg
from rl_sim_env.learning.constraint_learner import ADVANTAGES, CostCriticLearner
from rl_sim_env.learning.figure import Figure
from rl_sim_env.learning.learner import LearnerContext
from rl_sim_env.learning.rollout import Rollout

_LARGEST = "Constraints/largest_multiplier"

_LOOK_BACK = 10
"""Rollouts between the two costs whose difference the derivative is."""

_TINY = 1e-6
"""Costs are below no budget as small as this."""


@dataclass(kw_only=True)
class LagrangianSettings:
    """Settings of PID-Lagrangian."""

    proportional: Annotated[float, NOT_NEGATIVE] = 0.1
    """Gain of the smoothed error."""

    integral: Annotated[float, NOT_NEGATIVE] = 0.005
    """Gain of the error, added up in every iteration."""

    derivative: Annotated[float, NOT_NEGATIVE] = 0.1
    """Gain of its rise over ten iterations; a fall does not count."""

    memory: Annotated[float, SHARE] = 0.95
    """Share of the iteration before in the smoothed error."""

    unit: Annotated[float, POSITIVE] = 0.005
    """An excess of the cost over the budget by this, or by the budget where it is more, is an error
    of 1; more counts no more, so that multipliers do not shoot over. Below the budget the error is
    the share of it that is not used: a budget smaller than the unit is left as fast as it was
    exceeded."""

    largest: Annotated[float, POSITIVE] = 0.5
    """Greatest multiplier, of each constraint; that of the reward is 1. Constraints that cannot be
    kept all reach it, and robots that may not fail at anything stand still."""


class LagrangianLearner(CostCriticLearner):
    """Takes the advantages of the costs, by their multipliers, from those of the reward.

    Attributes:
        multipliers: Weight of each constraint. Shape (constraints,).
        integrals: Their integral parts.
        smoothed: Smoothed errors.
        history: Errors of the last iterations, the oldest first. Shape (10, constraints).
    """

    saved = ("multipliers", "integrals", "smoothed", "history")

    def __init__(self, context: LearnerContext) -> None:
        super().__init__(context)
        self._settings = self.settings(LagrangianSettings)
        self.multipliers, self.integrals, self.smoothed = torch.zeros(
            3, len(self.names), device=context.device
        )
        self.history = torch.zeros(_LOOK_BACK, len(self.names), device=context.device)

    @classmethod
    def figures(cls, cfg: AmpVaeRunnerCfg) -> tuple[Figure, ...]:
        """The greatest of the multipliers."""
        return (Figure(label="largest multiplier", metric=_LARGEST, digits=2),)

    def finish_rollout(
        self, rollout: Rollout, last_observations: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Move the multipliers, then weigh costs and reward."""
        scalars = super().finish_rollout(rollout, last_observations)
        self.steer(self.rates - self.budgets)
        total = (rollout[ADVANTAGES] / self.deviations * self.multipliers).sum(dim=-1)
        rollout["advantages"].sub_(total).div_(1.0 + self.multipliers.sum())
        multipliers = self.multipliers.clone()
        return {**scalars, _LARGEST: multipliers.amax(), **self.logged("Multiplier", multipliers)}

    def steer(self, excess: torch.Tensor) -> None:
        """Follow the excess of the mean cost over the budget, shape (constraints,)."""
        pid = self._settings
        unused = excess / self.budgets.clamp(min=_TINY)
        error = torch.where(excess < 0.0, unused, excess / self.budgets.clamp(min=pid.unit))
        error = error.clamp(-1.0, 1.0)
        self.integrals.add_(pid.integral * error).clamp_(0.0, pid.largest)
        self.smoothed.lerp_(error, 1.0 - pid.memory)
        rise = (self.smoothed - self.history[0]).clamp(min=0.0)
        self.history.copy_(torch.cat((self.history[1:], self.smoothed[None])))
        value = pid.proportional * self.smoothed + self.integrals + pid.derivative * rise
        self.multipliers.copy_(value.clamp(0.0, pid.largest))


STRATEGY = LagrangianLearner
