"""Support of a foot on ground whose edges and slopes are known."""

from __future__ import annotations

import pytest
import torch

from rl_sim_env.terrains import HeightMap, support_deficiency_map
from rl_sim_env.terrains.support import MARGIN

CELL = 0.025
FOOT = 0.027
SIZE = 60


def ground(height) -> HeightMap:
    """Heights [m] as a function of x and y [m], 1.5 m wide, origin in the middle."""
    line = CELL * (torch.arange(SIZE) - SIZE / 2 + 0.5)
    grid = height(line[:, None], line[None, :]) + torch.zeros(SIZE, SIZE)
    return HeightMap(grid, center_of_first_cell=(float(line[0]),) * 2, resolution=CELL)


def deficiency(height, places) -> torch.Tensor:
    return support_deficiency_map(ground(height), foot_radius=FOOT).heights(torch.tensor(places))


def test_level_ground_carries_wherever_it_is_and_beyond_the_map():
    of = support_deficiency_map(ground(lambda x, y: 0.3), foot_radius=FOOT)
    assert not of.grid.any()
    assert not of.heights(torch.tensor([[5.0, -7.0]])).any()


@pytest.mark.parametrize("slope", [0.2, 0.6, 0.9])
def test_slopes_carry_along_and_across(slope):
    for height in (lambda x, y: slope * x, lambda x, y: slope * (0.6 * x - 0.8 * y)):
        of = support_deficiency_map(ground(height), foot_radius=FOOT)
        inner = of.grid[8:-8, 8:-8]
        assert not inner.any()


def test_feet_lack_support_within_the_patch_of_a_step_and_nowhere_else():
    def step(x, y):
        return 0.15 * (x > 0)

    near = [[-0.012, 0.0], [0.012, 0.0], [-0.037, 0.0], [0.037, 0.0]]
    far = [[-0.0626, 0.0], [0.0626, 0.0], [-0.4, 0.3], [0.4, -0.3]]
    assert (deficiency(step, near) > 0.0).all()
    assert not deficiency(step, far).any()
    # A foot that hangs over the tread below rests on the edge alone.
    below, above = deficiency(step, near[:2])
    assert below > 0.5 > above > 0.25


def test_what_lies_lower_than_the_tolerance_carries():
    assert not deficiency(lambda x, y: 0.025 * (x > 0), [[-0.012, 0.0], [0.012, 0.0]]).any()
    assert deficiency(lambda x, y: 0.035 * (x > 0), [[-0.012, 0.0], [0.012, 0.0]]).all()


def test_steps_of_all_four_directions_are_alike():
    places = [[0.012, 0.3], [-0.012, 0.3], [-0.037, 0.3]]
    rising = deficiency(lambda x, y: 0.1 * (x > 0), places)
    falling = deficiency(lambda x, y: 0.1 * (x < 0), [[-x, y] for x, y in places])
    left = deficiency(lambda x, y: 0.1 * (y > 0), [[y, x] for x, y in places])
    right = deficiency(lambda x, y: 0.1 * (y < 0), [[y, -x] for x, y in places])
    for other in (falling, left, right):
        assert torch.equal(rising, other)


def test_a_step_on_a_slope_is_an_edge_and_a_steep_face_is_no_slope():
    sloping_step = deficiency(lambda x, y: 0.3 * x + 0.1 * (x > 0), [[0.012, 0.0], [0.4, 0.0]])
    assert sloping_step[0] > 0.25
    assert sloping_step[1] == 0.0
    # Two cells wide, 0.2 m high.
    face = deficiency(lambda x, y: 4.0 * x.clamp(-0.025, 0.025), [[0.012, 0.0]])
    assert face > 0.3


def test_ground_at_the_rim_of_the_map_does_not_go_on_for_ever():
    def post(x, y):
        return 0.2 * ((x > 0.7) & (y.abs() < 0.1))

    of = support_deficiency_map(ground(post), foot_radius=FOOT)
    assert of.heights(torch.tensor([0.7, 0.0])) > 0.0
    assert not of.heights(torch.tensor([[3.0, 3.0], [0.9, 0.5]])).any()


def test_the_margin_makes_a_patch_of_five_centimetres():
    assert pytest.approx(0.05) == FOOT + MARGIN
