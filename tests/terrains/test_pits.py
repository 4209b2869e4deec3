"""Ditches and stones are as wide as they say, and as deep."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from rl_sim_env.terrains import perceptive_terrain_cfg

FAMILIES = perceptive_terrain_cfg().terrain_generator.sub_terrains  # type: ignore[union-attr]
SCALE = 0.0625


def _profile(name: str, difficulty: float) -> np.ndarray:
    """Heights along x from the middle of a tile on, through the middle of a stone."""
    of = FAMILIES[name]
    of.size = (10.0, 10.0)
    axis = np.linspace(-5.0, 5.0, 161)
    heights = of.node_heights(axis[:, None], axis[None], difficulty, np.random.default_rng(0))
    assert np.array_equal(heights, heights[::-1]) or name == "stones"
    return heights[80:, 81]


def _widths(profile: np.ndarray, is_pit: bool) -> set[float]:
    """From edge to edge of pits, or of what is between two of them [m]."""
    low = profile < 0.5 * profile.min()
    edges = np.flatnonzero(np.diff(low.astype(int)))
    runs = pairwise(edges)
    # An edge of the ground is a node that is high.
    return {
        (end - start + (1 if is_pit else -1)) * SCALE
        for start, end in runs
        if low[start + 1] == is_pit
    }


@pytest.mark.parametrize(("difficulty", "width"), ((0.0, 0.125), (0.5, 0.375), (1.0, 0.625)))
def test_ditches_are_as_wide_as_their_difficulty_says(difficulty, width):
    profile = _profile("gaps", difficulty)
    # The frame may cut the last one.
    assert max(_widths(profile, is_pit=True)) == width
    assert all(bank >= 0.75 for bank in _widths(profile, is_pit=False))
    assert profile.min() == pytest.approx(-0.1 - 0.9 * difficulty)
    assert profile[:20].max() == profile[:20].min() == 0.0


@pytest.mark.parametrize(("difficulty", "stone", "gap"), ((0.0, 0.5, 0.125), (1.0, 0.25, 0.25)))
def test_stones_are_as_small_as_their_difficulty_says(difficulty, stone, gap):
    profile = _profile("stones", difficulty)
    inner = profile[22:-10]
    assert _widths(inner, is_pit=True) == {gap}
    assert _widths(inner, is_pit=False) == {stone}
    assert profile[-8:].max() == profile[-8:].min() == 0.0
