"""Constraints as terminations (CaT; Chane-Sane et al., arXiv:2403.18765)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch

from rl_sim_env.configuration.limits import SHARE, SHARE_ABOVE_0
from rl_sim_env.learning.collectives import max_over_ranks
from rl_sim_env.learning.config import AmpVaeRunnerCfg
from rl_sim_env.learning.constraint_layout import require_constraints
from rl_sim_env.learning.constraint_learner import MARGINS, ConstraintLearner
from rl_sim_env.learning.figure import Figure
from rl_sim_env.learning.learner import LearnerContext, Transition
from rl_sim_env.learning.rollout import Rollout

_MARGINS = "tightened_margins"
_DELTA = "Constraints/termination"


@dataclass(kw_only=True)
class CatSettings:
    """Settings of CaT."""

    p_start: Annotated[float, SHARE_ABOVE_0] = 0.05
    """Greatest probability of a termination by a soft constraint as training begins."""

    p_end: Annotated[float, SHARE_ABOVE_0] = 0.25
    """The same as it ends; the expected time to it falls linearly."""

    hard: tuple[str, ...] = ("body",)
    """Constraints whose greatest probability is 1 from the start."""

    memory: Annotated[float, SHARE] = 0.95
    """Share of the step before in the running maximum of a margin."""

    least_maximum: Annotated[float, SHARE_ABOVE_0] = 0.01
    """Least running maximum of a margin [limits]: a violation this small counts less than fully."""

    clip: bool = True
    """Whether rewards below 0 count as 0, so that nobody gains by being terminated. That of a fall,
    which ends the episode anyway, counts in full."""


class CatLearner(ConstraintLearner):
    """Scales rewards and continuations down by the probability of a soft termination.

    Episodes are not ended: memories, motion pairs and statistics follow the true ones.

    Attributes:
        maxima: Running maximum of the margin of each column, over all processes. 0 before the
            first step.
    """

    saved = ("maxima",)

    def __init__(self, context: LearnerContext) -> None:
        super().__init__(context)
        self._settings = self.settings(CatSettings)
        layout, device = self._layout, context.device
        require_constraints("agent.constraints.settings.hard", self._settings.hard, layout.names)
        hard = torch.tensor([name in self._settings.hard for name in layout.names], device=device)
        counts = torch.tensor([name in self.names for name in layout.names], device=device)
        self._is_hard = layout.of_columns(hard)
        self._counts = layout.of_columns(counts)
        self._p_soft = torch.tensor(self._settings.p_start, device=device)
        self.maxima = torch.zeros(len(self._counts), device=device)

    @classmethod
    def figures(cls, cfg: AmpVaeRunnerCfg) -> tuple[Figure, ...]:
        """How likely terminations are."""
        return (Figure(label="soft terminations", metric=_DELTA, unit="%", factor=100.0),)

    def record(self, step: Transition) -> dict[str, torch.Tensor]:
        """Margins of all columns."""
        return {_MARGINS: self.tightened(step.extras[MARGINS])}

    def shape_rewards(self, rollout: Rollout) -> dict[str, torch.Tensor]:
        """Terminate softly, in rewards and continuations, here and nowhere else."""
        delta = self.terminations(rollout[_MARGINS])
        fell = rollout["dones"] & ~rollout["time_outs"]
        shaped = rollout["rewards"] * (1.0 - delta)
        if self._settings.clip:
            shaped.clamp_(min=0.0)
        rollout["rewards"].copy_(torch.where(fell, rollout["rewards"], shaped))
        rollout["continuations"].mul_(1.0 - delta)
        return {_DELTA: delta.mean()}

    def terminations(self, margins: torch.Tensor) -> torch.Tensor:
        """Probability of a termination in each step; the running maxima follow.

        Args:
            margins: Shape (T, N, columns).

        Returns:
            Shape (T, N).
        """
        settings = self._settings
        of_step = max_over_ranks(margins.amax(dim=1)).clamp(min=settings.least_maximum)
        maxima = []
        for greatest in of_step:
            begun = torch.where(self.maxima > 0.0, self.maxima, greatest)
            self.maxima.copy_(torch.lerp(greatest, begun, settings.memory))
            maxima.append(self.maxima.clone())
        share = (margins / torch.stack(maxima)[:, None]).clamp(0.0, 1.0)
        greatest = torch.where(self._is_hard, 1.0, self._p_soft) * self._counts
        return (share * greatest).amax(dim=-1)

    def set_progress(self, fraction: float) -> None:
        """Let terminations become likelier."""
        super().set_progress(fraction)
        first, last = 1.0 / self._settings.p_start, 1.0 / self._settings.p_end
        self._p_soft.fill_(1.0 / (first + fraction * (last - first)))


STRATEGY = CatLearner
