"""What processes tell each other after an iteration, and what of it ends training."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rl_sim_env.learning.reward_faults import observation_faults
from rl_sim_env.learning.training_env import Breakdowns

_MAX_BROKEN_SHARE = 0.01
"""Share of the robots whose physics may break down in one iteration before training stops."""

_MAX_BREAKDOWNS = 10
"""Breakdowns that an iteration may have, however few its robots are."""


@dataclass(kw_only=True)
class IterationReport:
    """What a process tells the others after an iteration, so that all of them decide alike."""

    metrics: dict[str, tuple[float, int]]
    """Sum and number of what the environment logged."""
    breakdowns: Breakdowns = field(default_factory=Breakdowns)
    """Whose physics broke down."""
    overflow: str | None = None
    """What the physics had no room for."""
    losses: dict[str, float] = field(default_factory=dict)
    """What the update returned."""
    failure: str | None = None
    """Why the update failed."""
    collection_s: float = 0.0
    """Time of the rollout [s]."""
    learning_s: float = 0.0
    """Time of the update [s]."""
    elapsed_s: float = 0.0
    """Time since this training began; that of rank 0 counts [s]."""
    signal: signal.Signals | None = None
    """Signal that asks for the end."""


def failures(reports: Sequence[IterationReport], num_robots: int) -> list[str]:
    """Why training cannot go on: updates that failed, or too much physics that broke down.

    Args:
        reports: Of all processes, by rank.
        num_robots: Robots of all processes.
    """
    reasons = [f"rank {rank}: {r.failure}" for rank, r in enumerate(reports) if r.failure]
    if reasons:
        # What was put in comes before what came of it.
        logged = mean_metrics(report.metrics for report in reports)
        reasons = observation_faults(logged) + reasons
    robots = sum(report.breakdowns.robots for report in reports)
    resets = sum(report.breakdowns.resets for report in reports)
    if robots > _MAX_BROKEN_SHARE * num_robots and resets > _MAX_BREAKDOWNS:
        reasons.append(
            f"the physics of {robots} of {num_robots} robots broke down, {resets} times in all "
            "(NaN or absurd velocities): look for a time step too long, or forces, masses and "
            "gains too large"
        )
    return reasons


def mean_metrics(sums_by_process: Iterable[Mapping[str, tuple[float, int]]]) -> dict[str, float]:
    """Return the mean of each metric over all samples of all processes."""
    totals: dict[str, tuple[float, int]] = {}
    for sums in sums_by_process:
        for name, (part, number) in sums.items():
            total, count = totals.get(name, (0.0, 0))
            totals[name] = (total + part, count + number)
    return {name: total / count for name, (total, count) in totals.items()}
