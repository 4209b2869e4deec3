"""Rewards, observations and constraints that were not finite or absurd: who is told, and when."""

from __future__ import annotations

from collections.abc import Mapping

REWARD_FAULTS = "Reward_Faults/"
"""Begins the names under which an environment logs in which share of the robot-steps a reward term
was at fault: not finite, or absurdly large. The term's name follows."""

OBSERVATION_FAULTS = "Observation_Faults/"
"""Begins the names for terms of observations, which are ``group.term``."""

CONSTRAINT_FAULTS = "Constraint_Faults/"
"""Begins the names for the measures of constraints, where they are not a number."""

_MAX_SHARE = 0.01
"""Share of an iteration's robot-steps in which a term may be at fault before training stops."""

_MAX_COUNT = 10
"""Robot-steps in which it may be, however few an iteration has."""

_TOLD = 3
"""Observations that a message names."""


def reward_faults(scalars: Mapping[str, float]) -> dict[str, float]:
    """Shares of the reward terms that were at fault in an iteration, the worst first.

    Args:
        scalars: What was logged of the iteration.
    """
    return _faults(scalars, REWARD_FAULTS)


def observation_faults(scalars: Mapping[str, float]) -> list[str]:
    """What happened to the worst observations of an iteration, a sentence for each term."""
    sentences = [
        f"observation '{name}' was NaN, infinite or absurdly large in {share:.2%} of the "
        "robot-steps of this iteration"
        for name, share in _faults(scalars, OBSERVATION_FAULTS).items()
    ]
    return sentences[:_TOLD]


def _faults(scalars: Mapping[str, float], prefix: str) -> dict[str, float]:
    faults = {
        name.removeprefix(prefix): share
        for name, share in scalars.items()
        if name.startswith(prefix) and share > 0.0
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
        happened = {
            f"{REWARD_FAULTS}{name}": _what_happened(name, share)
            for name, share in reward_faults(scalars).items()
        } | {
            f"{CONSTRAINT_FAULTS}{name}": _without_measure(name, share)
            for name, share in _faults(scalars, CONSTRAINT_FAULTS).items()
        }
        new = {curve: what for curve, what in happened.items() if curve not in self._told}
        self._told.update(new)
        return [
            f"warning: {what}. This warning appears once; {curve} is the curve"
            for curve, what in new.items()
        ]

    @staticmethod
    def reason_to_stop(scalars: Mapping[str, float], robot_steps: int) -> str | None:
        """Why training cannot go on, and what to do; None where it can.

        Args:
            scalars: What was logged of an iteration.
            robot_steps: Robot-steps of the iteration.
        """
        most = max(_MAX_SHARE, _MAX_COUNT / robot_steps)
        for name, share in reward_faults(scalars).items():
            if share > most:
                return (
                    f"{_what_happened(name, share)}; look in its function for divisions by zero, "
                    f"roots and logarithms, leave it out (env.rewards.{name}.weight=0), or, where "
                    "such values are meant, raise env.largest_reward"
                )
        for share in _faults(scalars, OBSERVATION_FAULTS).values():
            if share > most:
                return (
                    f"{'; '.join(observation_faults(scalars))}; look in the functions of "
                    "these terms, and at masses, gains and actions that they show"
                )
        for name, share in _faults(scalars, CONSTRAINT_FAULTS).items():
            if share > most:
                return f"{_without_measure(name, share)}; look in its measure"
        return None


def _without_measure(name: str, share: float) -> str:
    return (
        f"constraint '{name}' was not a number in {share:.2%} of the robot-steps of this "
        "iteration, and counted as kept there"
    )


def _what_happened(name: str, share: float) -> str:
    return (
        f"reward term '{name}' was NaN, infinite or beyond env.largest_reward in {share:.2%} of "
        "the robot-steps of this iteration, and counted as 0 there"
    )
