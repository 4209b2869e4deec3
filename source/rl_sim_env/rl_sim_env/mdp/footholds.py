"""The ground under and around feet."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from rl_sim_env.terrains import HeightMap

EDGE_DISTANCE = 0.03
"""A foothold nearer to an edge than this is at the edge [m]."""

EDGE_HEIGHT = 0.03
"""Smallest height difference that is an edge [m]: less than the lowest step."""

_DISC_STEPS = 3
"""Sampled points from the middle of a disc to its rim."""


# Made once: picking the points waits for the device, which a recorded control step cannot.
@cache
def _disc(radius: float, device: torch.device) -> torch.Tensor:
    """Points of a grid within a disc around the origin, rim included. Shape (num_points, 2)."""
    line = torch.arange(-_DISC_STEPS, _DISC_STEPS + 1, device=device) / _DISC_STEPS
    points = torch.cartesian_prod(line, line)
    return radius * points[points.norm(dim=-1) <= 1.0]


def ground_around(height_map: HeightMap, xy: torch.Tensor, radius: float) -> torch.Tensor:
    """Heights of the ground on a disc around each place.

    Args:
        height_map: The ground.
        xy: Places in the world [m], shape (..., 2).
        radius: Radius of the disc [m].

    Returns:
        Heights [m]. Shape (..., num_points).
    """
    return height_map.heights(xy[..., None, :] + _disc(radius, xy.device))


def is_at_edge(height_map: HeightMap, xy: torch.Tensor) -> torch.Tensor:
    """Whether the ground within :data:`EDGE_DISTANCE` varies by more than :data:`EDGE_HEIGHT`.

    It is as exact as the map's cells are small. Steep slopes (more than 27 degrees) count as edges.

    Args:
        height_map: The ground.
        xy: Places in the world [m], shape (..., 2).

    Returns:
        Shape (...).
    """
    around = ground_around(height_map, xy, EDGE_DISTANCE)
    return around.amax(dim=-1) - around.amin(dim=-1) > EDGE_HEIGHT
