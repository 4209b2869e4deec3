"""Reward terms that were not finite or absurdly large, and counted as 0: who is told, and when."""

from __future__ import annotations

from collections.abc import Mapping

REWARD_FAULTS = "Reward_Faults/"
"""Begins the names under which an environment logs in which share of the robot-steps a reward term
was at fault: not finite, or absurdly large. The term's name follows."""

_MAX_SHARE = 0.01
"""Share of an iteration's robot-steps in which a term may be at fault before training stops."""

_MAX_COUNT = 10
"""Robot-steps in which it may be, however few an iteration has."""


def reward_faults(scalars: Mapping[str, float]) -> dict[str, float]:
    """Shares of the terms that were at fault in an iteration, by term, the worst first.

    Args:
        scalars: What was logged of the iteration.
    """
    faults = {
        name.removeprefix(REWARD_FAULTS): share
        for name, share in scalars.items()
        if name.startswith(REWARD_FAULTS) and share > 0.0
    }
    return dict(sorted(faults.items(), key=lambda fault: -fault[1]))


class RewardFaultWatch:
    """Warns of each term at fault once, and says when there is too much of it to go on."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def news(self, scalars: Mapping[str, float]) -> list[str]:
        """A warning for each term at fault that nobody was warned of yet.

        Args:
            scalars: What was logged of an iteration.
        """
        new = {name: of for name, of in reward_faults(scalars).items() if name not in self._told}
        self._told.update(new)
        return [
            f"warning: {_what_happened(name, share)}. This warning appears once; "
            f"{REWARD_FAULTS}{name} is the curve"
            for name, share in new.items()
        ]

    @staticmethod
    def reason_to_stop(scalars: Mapping[str, float], robot_steps: int) -> str | None:
        """Why training cannot go on, and what to do; None where it can.

        Args:
            scalars: What was logged of an iteration.
            robot_steps: Robot-steps of the iteration.
        """
        for name, share in reward_faults(scalars).items():
            if share > max(_MAX_SHARE, _MAX_COUNT / robot_steps):
                return (
                    f"{_what_happened(name, share)}; look in its function for divisions by zero, "
                    f"roots and logarithms, leave it out (env.rewards.{name}.weight=0), or, where "
                    "such values are meant, raise env.largest_reward"
                )
        return None


def _what_happened(name: str, share: float) -> str:
    return (
        f"reward term '{name}' was NaN, infinite or beyond env.largest_reward in {share:.2%} of "
        "the robot-steps of this iteration, and counted as 0 there"
    )
