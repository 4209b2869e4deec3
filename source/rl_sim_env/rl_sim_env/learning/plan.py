"""How far training is, from 0 to 1, by iterations or by time: what all schedules follow."""

from __future__ import annotations


class Plan:
    """What is left of training, beginning where it stands.

    Whether a run is resumed with more iterations, fewer, or another time limit: progress goes on
    from where it was saved and reaches 1 where the run ends.

    Args:
        begun_at: Progress so far, 0 to 1.
        done: Iterations so far.
        iterations: Iterations in all, those done among them; more than ``done``.
        limit_s: Time that this run has, whatever went before [s]; inf for no limit.
    """

    def __init__(self, begun_at: float, done: int, iterations: int, limit_s: float) -> None:
        self.limit_s = limit_s
        self._begun_at = begun_at
        self._iterations = iterations
        # Where the plan is the one that was saved, no rounding may tell the resumed run from it.
        is_on_plan = begun_at == done / iterations
        self._from, self._done = (0.0, 0) if is_on_plan else (begun_at, done)

    def progress(self, done: int, elapsed_s: float) -> float:
        """Progress after some iterations in all, and some time of this run [s]; never falls."""
        by_iterations = (done - self._done) / (self._iterations - self._done)
        return min(
            max(
                self._from + (1.0 - self._from) * by_iterations,
                self._begun_at + (1.0 - self._begun_at) * elapsed_s / self.limit_s,
            ),
            1.0,
        )
