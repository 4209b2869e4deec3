"""Footholds on ground whose edges are known."""

from __future__ import annotations

import math

import pytest
import torch

from rl_sim_env.evaluation.footholds import (
    FootholdMeter,
    ground_around,
    is_at_edge,
)
from rl_sim_env.mdp.footing import is_pushed_aside
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


def test_the_face_of_a_step_pushes_aside_and_a_steep_slope_does_not():
    slope = math.radians(30.0)
    forces = {
        "tread": (0.0, 0.0, 100.0),
        "slope": (100.0 * math.sin(slope), 0.0, 100.0 * math.cos(slope)),
        "riser": (-60.0, 60.0, 40.0),
        "air": (0.0, 0.0, 0.0),
    }
    aside = is_pushed_aside(torch.tensor(list(forces.values())))
    assert dict(zip(forces, aside.tolist(), strict=True)) == {
        "tread": False,
        "slope": False,
        "riser": True,
        "air": False,
    }


@pytest.fixture(scope="module")
def env(make_env):
    return make_env(2)


def landing(env, place, height_map: HeightMap | None = None) -> dict[str, torch.Tensor]:
    """Sums while standing robots are lifted by some centimetres and drop."""
    env.reset()
    original = env.height_map
    env.height_map = height_map or original
    meter, totals = FootholdMeter(env), {}
    for step in range(30):
        if step == 15:
            place(env, height=0.46)
        env.step(torch.zeros(2, env.action_manager.total_action_dim))
        for name, value in meter.sample().items():
            totals[name] = totals.get(name, 0.0) + value
    env.height_map = original
    return totals


def test_each_foot_that_lands_is_judged(env, place):
    totals = landing(env, place)
    assert (totals["touchdowns"] >= 4).all()
    for name in ("edges", "risers", "variance", "random_edges", "random_variance"):
        assert not totals[name].any()


def test_feet_that_the_ground_pushes_upwards_stand_on_an_edge(env, place):
    # Edges everywhere, but in the map alone: feet stand on the plane.
    size = 200
    holes = -0.1 * ((torch.arange(size) // 2) % 2).float()[:, None].expand(-1, size).contiguous()
    first = CELL * (0.5 - size / 2)
    ground = HeightMap(holes, center_of_first_cell=(first, first), resolution=CELL)
    standing = landing(env, place, ground)
    assert torch.equal(standing["edges"], standing["touchdowns"])
    assert not standing["risers"].any()


def test_random_footholds_meet_edges_that_feet_avoid(env, place):
    # Everything but the strips along which the feet stand is full of holes.
    place(env)
    feet = env.sim.data.site_xpos[0, env.index.foot_sites_global]
    size = 200
    center = CELL * (torch.arange(size) - size / 2 + 0.5)
    free = ((center[:, None] - feet[:, 0]).abs() < 0.1).any(dim=-1)
    holes = -0.1 * ((torch.arange(size) // 2) % 2).float()[:, None].expand(-1, size)
    grid = torch.where(free[:, None], 0.0, holes).contiguous()
    first = float(center[0])
    totals = landing(
        env, place, HeightMap(grid, center_of_first_cell=(first, first), resolution=CELL)
    )
    assert not totals["edges"].any()
    assert not totals["variance"].any()
    assert (totals["random_edges"] > 0).all()
    assert (totals["random_variance"] > 0.0).all()
