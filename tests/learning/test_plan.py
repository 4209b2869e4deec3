from __future__ import annotations

import math

import pytest

from rl_sim_env.learning.plan import Plan


def test_a_run_resumed_under_the_same_plan_follows_it_to_the_bit() -> None:
    for done in range(1, 49):
        straight = Plan(0.0, 0, 49, math.inf)
        resumed = Plan(straight.progress(done, 0.0), done, 49, math.inf)
        assert resumed.progress(done + 1, 0.0) == straight.progress(done + 1, 0.0)


@pytest.mark.parametrize("elapsed_s", [0.0, 108.0, 216.0, 432.0])
def test_what_is_left_of_a_time_limited_run_goes_on_evenly(elapsed_s: float) -> None:
    resumed = Plan(0.7, 1700, 10**6, limit_s=432.0)
    assert resumed.progress(1700, elapsed_s) == pytest.approx(0.7 + 0.3 * elapsed_s / 432.0)


@pytest.mark.parametrize("iterations", [700, 1000, 5000])
def test_other_iterations_than_planned_share_what_is_left(iterations: int) -> None:
    resumed = Plan(0.5, 500, iterations, math.inf)
    left = iterations - 500
    assert resumed.progress(500, 0.0) == 0.5
    assert resumed.progress(500 + left // 2, 0.0) == pytest.approx(0.75)
    assert resumed.progress(iterations, 0.0) == 1.0
