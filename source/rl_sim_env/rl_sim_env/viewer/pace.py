"""How fast simulated time passes while somebody looks on."""

from __future__ import annotations

SPEEDS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Times real time, of which one can choose."""

MEASURED = 0.5
"""Time over which the speed that is reached is measured [s]."""


class Pace:
    """Says how many steps are due, and measures how fast it really goes.

    What a slow machine cannot do is dropped: it shows slow motion, and does not fall ever further
    behind.

    Args:
        step_dt: Simulated time of a step [s].

    Attributes:
        speed: Wanted, times real time.
        paused: Whether nothing moves but what is asked for step by step.
        reached: What was reached last, times real time.
    """

    def __init__(self, step_dt: float) -> None:
        self.speed = 1.0
        self.paused = False
        self.reached = 0.0
        self._step_dt = step_dt
        self._owed = 0.0
        self._last: float | None = None
        self._window: tuple[float, int] | None = None

    def is_due(self, now: float) -> bool:
        """Whether a step should be run.

        Args:
            now: The time on any steady clock [s].
        """
        if self._last is not None and not self.paused:
            # No more than two steps are owed, however long the last one took.
            self._owed = min(self._owed + (now - self._last) * self.speed, 2.0 * self._step_dt)
        self._last = now
        return not self.paused and self._owed >= self._step_dt

    def count(self, ended: float) -> None:
        """Book a step that was run, and when it ended."""
        self._owed = max(self._owed - self._step_dt, 0.0)
        since, steps = self._window or (ended, -1)
        steps += 1
        if ended - since >= MEASURED:
            self.reached = steps * self._step_dt / (ended - since)
            since, steps = ended, 0
        self._window = since, steps

    def toggle(self) -> None:
        """Pause, or go on."""
        self.paused = not self.paused
        self._window = None

    @property
    def is_held_up(self) -> bool:
        """Whether the machine is slower than what is wanted."""
        return 0.0 < self.reached < 0.9 * self.speed
