"""The ground around feet, where its edges are known."""

from __future__ import annotations

import pytest
import torch

from rl_sim_env.mdp.footholds import ground_around, is_at_edge
from rl_sim_env.terrains import HeightMap

CELL = 0.01


def step_at_zero(height: float) -> HeightMap:
    """Level ground that rises by ``height`` where x passes 0."""
    x = CELL * (torch.arange(100) - 50 + 0.5)
    grid = torch.where(x > 0.0, height, 0.0)[:, None].expand(-1, 100).contiguous()
    return HeightMap(grid, center_of_first_cell=(float(x[0]), float(x[0])), resolution=CELL)


def test_only_places_near_a_step_are_at_its_edge():
    distance = torch.tensor([-0.2, -0.045, -0.025, -0.005, 0.005, 0.025, 0.045, 0.2])
    places = torch.stack((distance, torch.zeros_like(distance)), dim=-1)
    expected = distance.abs() < 0.03
    assert torch.equal(is_at_edge(step_at_zero(0.1), places), expected)


def test_low_steps_are_no_edges():
    place = torch.tensor([0.005, 0.0])
    assert not is_at_edge(step_at_zero(0.02), place)
    assert is_at_edge(step_at_zero(0.04), place)
    assert is_at_edge(step_at_zero(-0.04), place)


def test_ground_around_reaches_as_far_as_the_radius():
    ground = step_at_zero(0.1)
    assert ground_around(ground, torch.tensor([-0.035, 0.0]), 0.04).max() == pytest.approx(0.1)
    assert ground_around(ground, torch.tensor([-0.045, 0.0]), 0.04).max() == 0.0
    assert ground_around(ground, torch.zeros(5, 4, 2), 0.04).shape[:2] == (5, 4)
