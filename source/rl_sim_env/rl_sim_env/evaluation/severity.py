"""What share survives how much: sweeps of a severity, and the largest one that most survive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch

from rl_sim_env.evaluation.grouped_sums import GroupedSums, Index
from rl_sim_env.evaluation.report import Figure, Row, Series
from rl_sim_env.evaluation.wording import OR_LESS, OR_MORE

SEVERITY = "severity"
"""Axis of how much was asked of a robot."""


def falling_shares(tried: Sequence[float], survived: Sequence[float]) -> list[float]:
    """Shares of survivors that never rise with the severity: neighbours that do are pooled.

    The more is asked, the fewer survive; where a few samples say otherwise it is chance. Pooling
    adjacent violators gives the most likely falling curve (Ayer et al., Annals of Mathematical
    Statistics, 1955).

    Args:
        tried: Number of trials by rising severity, each above 0.
        survived: Number of these that were survived.

    Returns:
        One share per severity.
    """
    pools: list[tuple[float, float, int]] = []  # tried, survived, number of severities
    for trials, survivors in zip(tried, survived, strict=True):
        pools.append((trials, survivors, 1))
        while len(pools) > 1 and pools[-1][1] / pools[-1][0] > pools[-2][1] / pools[-2][0]:
            last, before = pools.pop(), pools.pop()
            pools.append((last[0] + before[0], last[1] + before[1], last[2] + before[2]))
    return [survivors / trials for trials, survivors, length in pools for _ in range(length)]


def crossing(severities: Sequence[float], shares: Sequence[float], level: float) -> float:
    """The largest severity that a share of ``level`` survives, interpolated linearly.

    Args:
        severities: Rising.
        shares: Share of survivors at each, never rising.
        level: The share asked for.

    Returns:
        The severity; the last one where all shares reach the level, the first one where none does.
    """
    if shares[0] < level:
        return severities[0]
    points = zip(severities, shares, strict=True)
    for (left, above), (right, below) in pairwise(points):
        if below < level:
            return left + (above - level) / (above - below) * (right - left)
    return severities[-1]


def count_trials(
    sums: GroupedSums,
    at: Mapping[str, torch.Tensor | int],
    tried: torch.Tensor,
    survived: torch.Tensor,
) -> None:
    """Count one trial per robot.

    Args:
        sums: Where to count; one of its axes is :data:`SEVERITY`.
        at: Where each robot stands on the axes of ``sums``, as for :meth:`GroupedSums.add`.
        tried: Whether it took part. Shape (num_robots,).
        survived: Whether it would have survived. Shape (num_robots,).
    """
    sums.add(at, tried=tried, survived=tried & survived)


class Sweep:
    """What :func:`count_trials` counted at one place, by seed and severity.

    Args:
        sums: With the axes ``seed`` and :data:`SEVERITY`.
        severities: What was asked of the robots, rising.
        **where: Place on the other axes.

    Attributes:
        robots: Number of robots behind it in each seed.
    """

    def __init__(self, sums: GroupedSums, severities: Sequence[float], **where: Index) -> None:
        def by_severity(name: str) -> torch.Tensor:
            columns = (sums.total(name, **{SEVERITY: k}, **where) for k in range(len(severities)))
            return torch.stack(tuple(columns), dim=-1)

        self.robots = sums.robots(**where)
        tried = by_severity("tried")
        known = (tried > 0).all(dim=0)
        self._severities = torch.tensor(severities, dtype=torch.double)[known]
        self._tried = tried[:, known]
        self._survived = by_severity("survived")[:, known]

    def row(self, label: str, level: float) -> Row:
        """The largest severity that a share of ``level`` survives; in words if it is open."""
        if not len(self._severities):
            return Row(label=label, cells=(None,))
        severities = self._severities.tolist()
        limits = [
            crossing(severities, falling_shares(*counts), level)
            for counts in zip(self._tried.tolist(), self._survived.tolist(), strict=True)
        ]
        if min(limits) == severities[-1]:
            label += OR_MORE
        elif max(limits) == severities[0]:
            label += OR_LESS
        return Row(label=label, cells=(Figure.over_seeds(limits, robots=self.robots),))

    def series(self, label: str) -> Series:
        """Share of survivors [%] by severity, with its spread over seeds."""
        shares = 100.0 * self._survived / self._tried
        return Series(
            label=label,
            x=tuple(self._severities.tolist()),
            y=tuple(shares.mean(dim=0).tolist()),
            spread=tuple(shares.std(dim=0).tolist()) if len(shares) > 1 and shares.numel() else (),
        )
