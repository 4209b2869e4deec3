"""N-P3O: a penalty on each constraint's own surrogate, normalised (Lee et al., arXiv:2309.14246).

After P3O (Zhang et al., arXiv:2205.11814): the constrained problem's exact penalty, with one gate
for each constraint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import torch

from rl_sim_env.configuration.limits import NOT_NEGATIVE, SHARE_ABOVE_0
from rl_sim_env.learning.collectives import average_over_ranks
from rl_sim_env.learning.config import AmpVaeRunnerCfg
from rl_sim_env.learning.constraint_learner import ADVANTAGES, CostCriticLearner
from rl_sim_env.learning.figure import Figure
from rl_sim_env.learning.learner import LearnerContext, LearnerLoss
from rl_sim_env.learning.rollout import BatchIndices, Rollout

_KAPPA, _OPEN_GATES = "Constraints/kappa", "Constraints/open_gates"


@dataclass(kw_only=True)
class Np3oSettings:
    """Settings of N-P3O."""

    kappa: Annotated[float, NOT_NEGATIVE] = 0.02
    """Weight of a violated constraint as training begins; that of the reward is 1."""

    largest: Annotated[float, NOT_NEGATIVE] = 0.2
    """Weight in the end. It counts for each constraint that is violated: all ten together outweigh
    the reward from 0.1 on, where they agree."""

    growing: Annotated[float, SHARE_ABOVE_0] = 0.5
    """Part of training over which the weight grows with the square of time: who learns to walk
    needs the reward most."""


class Np3oLearner(CostCriticLearner):
    """Adds ``kappa max(0, L_k)`` to the policy's loss for each constraint k.

    ``L_k = E[max(rho A, clip(rho) A)] + (C_k - d_k + mu_k) / sigma_k`` with the advantages A of the
    cost, of mean mu_k and standard deviation sigma_k before they were normalised; C_k is the mean
    cost of the rollout's steps, which is what the budget d_k is about, in place of (1 - gamma) J_k.
    Means are over the samples, for each constraint alone. All processes gate alike, by the mean of
    their L_k.

    Attributes:
        kappa: Weight. Shape ().
    """

    def __init__(self, context: LearnerContext) -> None:
        super().__init__(context)
        self._settings = self.settings(Np3oSettings)
        self.kappa = torch.tensor(self._settings.kappa, device=context.device)
        self._offsets = torch.zeros(len(self.names), device=context.device)

    @classmethod
    def figures(cls, cfg: AmpVaeRunnerCfg) -> tuple[Figure, ...]:
        """The weight of what is violated, and how much is."""
        return (
            Figure(label="constraint weight kappa", metric=_KAPPA),
            Figure(label="constraints over budget", metric=_OPEN_GATES, digits=1),
        )

    def finish_rollout(
        self, rollout: Rollout, last_observations: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Normalise."""
        scalars = super().finish_rollout(rollout, last_observations)
        self._offsets.copy_((self.rates - self.budgets + self.means) / self.deviations)
        return {**scalars, _KAPPA: self.kappa.clone()}

    def set_progress(self, fraction: float) -> None:
        """Let the weight grow."""
        super().set_progress(fraction)
        first, last = self._settings.kappa, self._settings.largest
        grown = min(fraction / self._settings.growing, 1.0)
        self.kappa.fill_(first + grown**2 * (last - first))

    def policy_loss(
        self, rollout: Rollout, indices: BatchIndices, ratio: torch.Tensor
    ) -> LearnerLoss:
        """Penalty of the constraints that are violated."""
        advantages = rollout.pick((ADVANTAGES,), indices.samples)[ADVANTAGES] / self.deviations
        clip = self._ppo.clip_param
        of_sample = torch.max(
            ratio[:, None] * advantages, ratio.clamp(1.0 - clip, 1.0 + clip)[:, None] * advantages
        )
        surrogates = of_sample.mean(dim=0) + self._offsets
        reduced = surrogates.detach().clone()
        average_over_ranks([reduced])
        gates = (reduced > 0.0).float()
        penalty = self.kappa * (gates * surrogates).sum()
        return LearnerLoss(penalty, {"Loss/constraint_penalty": penalty, _OPEN_GATES: gates.sum()})


STRATEGY = Np3oLearner
