"""How fast simulated time passes."""

from __future__ import annotations

import pytest

from rl_sim_env.viewer.pace import Pace

STEP = 0.02


def run(pace: Pace, *, seconds: float, cost: float, start: float = 100.0) -> int:
    """Steps in a time in which each takes as long as ``cost``."""
    now, steps = start, 0
    while now < start + seconds:
        if pace.is_due(now):
            now += cost
            pace.count(now)
            steps += 1
        else:
            now += 0.001
    return steps


@pytest.mark.parametrize("speed", (0.25, 1.0, 2.0))
def test_a_fast_machine_keeps_the_speed(speed: float) -> None:
    pace = Pace(STEP)
    pace.speed = speed
    assert run(pace, seconds=4.0, cost=0.002) == pytest.approx(speed * 4.0 / STEP, abs=2)
    assert pace.reached == pytest.approx(speed, rel=0.1)
    assert not pace.is_held_up


def test_a_slow_machine_shows_slow_motion_and_owes_nothing() -> None:
    pace = Pace(STEP)
    assert run(pace, seconds=4.0, cost=0.05) == pytest.approx(80, abs=2)
    assert pace.reached == pytest.approx(0.4, rel=0.1) and pace.is_held_up
    # Faster again, it does not catch up on what is past.
    assert run(pace, seconds=1.0, cost=0.001, start=105.0) <= 53


def test_nothing_is_due_while_paused() -> None:
    pace = Pace(STEP)
    run(pace, seconds=1.0, cost=0.001)
    pace.toggle()
    assert run(pace, seconds=1.0, cost=0.001, start=102.0) == 0
    pace.toggle()
    assert run(pace, seconds=1.0, cost=0.001, start=104.0) == pytest.approx(50, abs=3)
