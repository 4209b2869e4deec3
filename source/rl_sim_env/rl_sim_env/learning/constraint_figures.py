"""What is logged of constraints: which share of the robot-steps violates them, and the worst."""

from __future__ import annotations

from collections.abc import Mapping

VIOLATED = "Constraint/"
"""Begins the names under which an environment logs in which share of the robot-steps a constraint
was violated. The constraint's name follows."""

WORST = "Constraints/worst"
"""Share of the constraint that is violated most."""

_ALWAYS = 0.9
"""Share of the robot-steps from which on a constraint is always violated: it tells nothing."""

_LOOKED_AT = 20
"""Iterations after which a constraint that was always or never violated is told."""


def violated_shares(scalars: Mapping[str, float]) -> dict[str, float]:
    """Share of the robot-steps with a violation by constraint, the worst first.

    Args:
        scalars: What was logged of an iteration.
    """
    shares = {
        name.removeprefix(VIOLATED): share
        for name, share in scalars.items()
        if name.startswith(VIOLATED)
    }
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def worst_violation(scalars: Mapping[str, float]) -> dict[str, float]:
    """Share of the constraint that is violated most, by the name that is logged; {} for none."""
    shares = violated_shares(scalars)
    return {WORST: max(shares.values())} if shares else {}


class ConstraintWatch:
    """Tells, once, of limits that are always or never violated as training begins.

    An untrained policy shakes: what it violates in its first iterations alone says nothing of a
    limit.
    """

    def __init__(self) -> None:
        self._iterations = 0
        self._always: set[str] = set()
        self._never: set[str] = set()

    def news(self, scalars: Mapping[str, float]) -> list[str]:
        """What nobody was told yet.

        Args:
            scalars: What was logged of an iteration.
        """
        shares = violated_shares(scalars)
        if self._iterations == 0:
            self._always, self._never = set(shares), set(shares)
        self._iterations += 1
        self._always &= {name for name, share in shares.items() if share > _ALWAYS}
        self._never &= {name for name, share in shares.items() if share == 0.0}
        if self._iterations != _LOOKED_AT:
            return []
        news = [
            f"warning: constraint '{name}' was violated in {shares[name]:.0%} of the robot-steps "
            f"after {_LOOKED_AT} iterations: a limit that nobody can keep teaches nothing; look at "
            "the robot's limits"
            for name in sorted(self._always)
        ]
        if self._never:
            names = ", ".join(sorted(self._never))
            news.append(
                f"note: 0 violations of {names} in the first {_LOOKED_AT} iterations: kept by all, "
                "or a limit that cannot be violated"
            )
        return news
