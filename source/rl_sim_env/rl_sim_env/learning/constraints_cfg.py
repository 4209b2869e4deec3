"""How the limits of a robot are kept: which strategy, which constraints, how strictly."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from rl_sim_env.configuration.limits import (
    LEARNING_RATE,
    NO_REPEATS,
    POSITIVE,
    SHARE,
    SHARE_ABOVE_0,
)
from rl_sim_env.learning.strategies import unknown_strategy


class _Strategy:
    """A strategy by its name, or a class, which is looked for as training begins."""

    def unmet(self, value: str) -> str | None:
        """See :class:`~rl_sim_env.configuration.limits.Limit`."""
        instead = unknown_strategy(value)
        return instead and f"be a strategy; {instead}"


@dataclass(kw_only=True)
class ConstraintsCfg:
    """How the limits of the robot are kept; docs/constraints.md compares the strategies."""

    strategy: Annotated[str, _Strategy()] = "penalties"
    """``penalties`` (the reward terms of the task alone), ``cat``, ``lagrangian``, ``np3o``,
    ``ipo``, or ``module.path:Class``, derived from
    :class:`~rl_sim_env.learning.constraint_learner.ConstraintLearner`."""

    names: Annotated[tuple[str, ...], NO_REPEATS] = ()
    """Constraints that count; none: all that the environment reports."""

    factor: Annotated[float, SHARE_ABOVE_0] = 0.9
    """Limits of training as a share of the robot's, which are those of the hardware and what the
    report judges by."""

    budget: Annotated[float, SHARE] = 0.002
    """Share of the robot-steps of training that may violate a constraint: noise of exploration,
    pushes and the stricter limits make it about four times that of the report. CaT has no use for
    it."""

    budgets: Annotated[dict[str, float], SHARE] = field(default_factory=dict)
    """The same for some constraints by name."""

    first_budget: Annotated[float, SHARE] = 0.0
    """Budget as training begins, where it is more than the final one."""

    tightening: Annotated[float, SHARE] = 0.5
    """Part of training over which budgets shrink linearly to their final values."""

    cost: Literal["indicator", "severity"] = "indicator"
    """What a violation costs: 1, or how far it is beyond the limit, up to 1."""

    channels: Literal["max", "sum"] = "max"
    """Which joints or feet of a constraint count: the worst, or all."""

    learning_rate: Annotated[float, LEARNING_RATE] = 1e-3
    """Learning rate of the critic of costs."""

    least_deviation: Annotated[float, POSITIVE] = 0.02
    """Least standard deviation that advantages of a cost are divided by: those of violations that
    hardly ever happen would explode."""

    settings: dict[str, Any] = field(default_factory=dict)
    """Settings of the strategy."""
