"""Sums by seed and group."""

from __future__ import annotations

import math

import pytest
import torch

from rl_sim_env.evaluation.grouped_sums import SEED, GroupedSums, figure

AXES = {SEED: 2, "terrain": 3}


@pytest.fixture
def sums() -> GroupedSums:
    sums = GroupedSums(AXES, num_robots=4, device="cpu")
    for seed in range(2):
        for _ in range(2):
            sums.add(
                {SEED: seed, "terrain": torch.tensor([0, 1, 1, 2])},
                steps=torch.ones(4),
                vector=torch.tensor([[1.0, 2.0]] * 4) + seed,
            )
    return sums


def test_total_adds_up_all_axes_but_the_seeds(sums):
    assert sums.total("steps").tolist() == [8.0, 8.0]
    assert sums.total("steps", terrain=1).tolist() == [4.0, 4.0]
    assert sums.total("steps", terrain=[0, 1]).tolist() == [6.0, 6.0]
    assert float(sums.total("steps", seed=0, terrain=2)) == 2.0


def test_vectors_are_summed_element_by_element(sums):
    assert sums.total("vector", terrain=1).tolist() == [[4.0, 8.0], [8.0, 12.0]]


def test_robots_are_counted_once_however_long_they_walk(sums):
    assert sums.robots() == 4
    assert sums.robots(terrain=1) == 2
    sums.add({SEED: 0, "terrain": 0}, steps=torch.ones(4))
    assert sums.robots(terrain=0) == 1  # the other seed still has one
    assert sums.robots(terrain=0, seed=0) == 4


def test_a_figure_needs_every_seed():
    found = figure(torch.tensor([1.0, 3.0]), robots=4)
    assert found is not None
    assert (found.mean, found.spread, found.robots) == (2.0, pytest.approx(math.sqrt(2.0)), 4)
    assert figure(torch.tensor([1.0, math.nan]), robots=4) is None
    assert figure(torch.tensor([1.0, 3.0]), robots=0) is None
