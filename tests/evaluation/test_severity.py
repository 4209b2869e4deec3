"""What share survives how much."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import isotonic_regression

from rl_sim_env.evaluation.grouped_sums import SEED, GroupedSums
from rl_sim_env.evaluation.groups import spread_evenly
from rl_sim_env.evaluation.severity import (
    SEVERITY,
    Sweep,
    count_trials,
    crossing,
    falling_shares,
)

SEVERITIES = (0.0, 1.0, 2.0)
ROBOTS = 30


def sweep_of(*survivors_by_seed: tuple[int, ...]) -> Sweep:
    """Ten robots at each severity, of whom the first ones survive."""
    sums = GroupedSums({SEED: len(survivors_by_seed), SEVERITY: 3}, ROBOTS, "cpu")
    severity = torch.arange(ROBOTS) % 3
    number = torch.arange(ROBOTS) // 3
    for seed, survivors in enumerate(survivors_by_seed):
        survived = number < torch.tensor(survivors)[severity]
        everyone = torch.ones(ROBOTS, dtype=torch.bool)
        count_trials(sums, {SEED: seed, SEVERITY: severity}, everyone, survived)
    return Sweep(sums, SEVERITIES)


def test_crossing_is_interpolated():
    assert crossing(SEVERITIES, (1.0, 1.0, 0.6), 0.9) == pytest.approx(1.25)
    assert crossing(SEVERITIES, (1.0, 0.9, 0.6), 0.9) == pytest.approx(1.0)
    assert crossing(SEVERITIES, (1.0, 0.5, 0.1), 0.75) == pytest.approx(0.5)


def test_crossing_stays_within_the_sweep():
    assert crossing(SEVERITIES, (1.0, 1.0, 0.95), 0.9) == 2.0
    assert crossing(SEVERITIES, (0.8, 0.7, 0.2), 0.9) == 0.0


def test_shares_that_rise_are_pooled_by_their_weight():
    # 8 of 10 and 30 of 30 together are 38 of 40.
    assert falling_shares((10, 10, 30, 10), (10, 8, 30, 2)) == pytest.approx([1, 0.95, 0.95, 0.2])
    assert falling_shares((10, 10, 10), (1, 2, 3)) == pytest.approx([0.2] * 3)
    assert falling_shares((10, 10), (9, 4)) == pytest.approx([0.9, 0.4])


def test_falling_shares_are_the_isotonic_regression_of_what_was_counted():
    draw = np.random.default_rng(0)
    for _ in range(100):
        tried = draw.integers(1, 200, size=12)
        survived = draw.binomial(tried, np.linspace(0.98, 0.9, 12))
        expected = isotonic_regression(survived / tried, weights=tried, increasing=False).x
        shares = falling_shares(tried.tolist(), survived.tolist())
        assert shares == pytest.approx(expected, abs=1e-15)


def test_limit_is_found_seed_by_seed():
    row = sweep_of((10, 10, 6), (10, 10, 8)).row("plane", 0.9)
    (limit,) = row.cells
    assert row.label == "plane"
    assert limit is not None
    assert limit.mean == pytest.approx((1.25 + 1.5) / 2)
    assert limit.spread == pytest.approx(0.25 / 2**0.5)
    assert (limit.seeds, limit.robots) == (2, ROBOTS)


def test_a_sweep_without_a_crossing_says_so():
    assert "or more" in sweep_of((10, 10, 10)).row("plane", 0.9).label
    assert "or less" in sweep_of((5, 5, 5)).row("plane", 0.9).label


def test_trials_that_do_not_count_are_no_failures():
    sums = GroupedSums({SEED: 1, SEVERITY: 3}, 3, "cpu")
    tried = torch.tensor([True, True, False])
    survived = torch.tensor([True, True, False])
    count_trials(sums, {SEED: 0, SEVERITY: torch.arange(3)}, tried, survived)
    sweep = Sweep(sums, SEVERITIES)
    assert sweep.series("plane").x == (0.0, 1.0)
    (limit,) = sweep.row("plane", 0.9).cells
    assert limit is not None and limit.mean == 1.0


def test_series_shows_what_was_counted():
    series = sweep_of((10, 5, 8), (10, 7, 8)).series("plane")
    assert series.x == SEVERITIES
    assert series.y == pytest.approx((100.0, 60.0, 80.0))
    assert series.spread == pytest.approx((0.0, 200.0**0.5, 0.0))


def test_robots_are_spread_evenly_over_all_conditions():
    at = spread_evenly(26, {"terrain": 3, "load": 2}, "cpu")
    counts = torch.zeros(3, 2).index_put(
        (at["terrain"], at["load"]), torch.ones(26), accumulate=True
    )
    assert counts.min() == 4 and counts.max() == 5
    assert at["terrain"][:4].tolist() == [0, 1, 2, 0]
