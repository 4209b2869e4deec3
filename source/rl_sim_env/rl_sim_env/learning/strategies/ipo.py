"""Interior-point optimisation with adaptive thresholds (Kim et al., arXiv:2308.12517).

A logarithmic barrier keeps the mean cost below a threshold that follows it down to the budget. Kim
et al. search the step along a line; here PPO takes it, and the barrier goes on as a parabola below
a knee (Kim, Lee and Park, arXiv:2409.15780), where an epoch has crossed the threshold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import torch

from rl_sim_env.configuration.limits import POSITIVE, SHARE_ABOVE_0
from rl_sim_env.learning.config import AmpVaeRunnerCfg
from rl_sim_env.learning.constraint_learner import ADVANTAGES, CostCriticLearner
from rl_sim_env.learning.figure import Figure
from rl_sim_env.learning.learner import LearnerContext, LearnerLoss
from rl_sim_env.learning.rollout import BatchIndices, Rollout

_BARRIER = "Loss/constraint_barrier"


@dataclass(kw_only=True)
class IpoSettings:
    """Settings of IPO."""

    sharpness: Annotated[float, POSITIVE] = 100.0
    """t: the barrier is a logarithm over this."""

    slack: Annotated[float, POSITIVE] = 0.05
    """How far the threshold is above a cost that exceeds the budget, in standard deviations of the
    cost's advantages: a violated constraint weighs ``1 / (sharpness * slack)``, that of the reward
    being 1."""

    knee: Annotated[float, SHARE_ABOVE_0] = 0.5
    """Distance from the threshold, in units of the slack, below which the barrier is a parabola."""


class IpoLearner(CostCriticLearner):
    """Adds ``-(1/t) sum_k log(d_k - C_k(pi))`` to the policy's loss.

    The threshold ``d_k = max(budget, C_k + slack)`` is set by each rollout, and the mean cost of
    the policy that is being trained is ``C_k + E[rho A_k]``, with the advantages A_k less their
    mean: ``(1 - gamma)`` times the surrogate of the discounted sum.

    Kim et al. take a share of the budget for slack. Budgets of few steps in a thousand would make
    the barrier of a constraint that is far from kept ten times as steep as the reward.

    Attributes:
        thresholds: d_k. Shape (constraints,).
    """

    saved = ("thresholds",)

    def __init__(self, context: LearnerContext) -> None:
        super().__init__(context)
        self._settings = self.settings(IpoSettings)
        self.thresholds = torch.zeros(len(self.names), device=context.device)
        self._knees = torch.ones(len(self.names), device=context.device)

    @classmethod
    def figures(cls, cfg: AmpVaeRunnerCfg) -> tuple[Figure, ...]:
        """What the barrier costs."""
        return (Figure(label="constraint barrier", metric=_BARRIER),)

    def finish_rollout(
        self, rollout: Rollout, last_observations: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Set the thresholds."""
        scalars = super().finish_rollout(rollout, last_observations)
        slack = self._settings.slack * self.deviations
        self._knees.copy_(self._settings.knee * slack)
        self.thresholds.copy_(torch.maximum(self.budgets, self.rates + slack))
        return {**scalars, **self.logged("Threshold", self.thresholds.clone())}

    def policy_loss(
        self, rollout: Rollout, indices: BatchIndices, ratio: torch.Tensor
    ) -> LearnerLoss:
        """The barrier of all constraints."""
        advantages = rollout.pick((ADVANTAGES,), indices.samples)[ADVANTAGES]
        rates = self.rates + (ratio[:, None] * advantages).mean(dim=0)
        barrier = -relaxed_log(self.thresholds - rates, self._knees).sum()
        loss = barrier / self._settings.sharpness
        return LearnerLoss(loss, {_BARRIER: loss})


def relaxed_log(values: torch.Tensor, knees: torch.Tensor) -> torch.Tensor:
    """The logarithm above a knee, below it the parabola of the same value, slope and curvature.

    Args:
        values: Anything.
        knees: Above 0, of the same shape.
    """
    below = (values - knees) / knees
    parabola = knees.log() + below - 0.5 * below.square()
    return torch.where(values > knees, values.clamp(min=knees).log(), parabola)


STRATEGY = IpoLearner
