"""How much of the ground around a foothold would not carry the foot, as a map."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from rl_sim_env.terrains.height_map import HeightMap

MARGIN = 0.023
"""The ground counts to this far beyond the foot's radius [m]: feet do not land to the centimetre.
With a foot of 2.7 cm that is a patch of 5 cm."""

TOLERANCE = 0.03
"""Ground that is higher or lower than the foot's contact by more than this carries it no more [m]:
less than the lowest step."""

STEEPEST = 1.0
"""A slope up to this is one to stand on; steeper ground is the face of a step."""


def support_deficiency_map(ground: HeightMap, *, foot_radius: float) -> HeightMap:
    """Share of the ground around each place that would not carry a foot there, from 0 to 1.

    A ball of the foot's radius rests on the highest point below it. Of the patch around, up to
    :data:`MARGIN` beyond the ball, those cells do not carry that are off the contact by more than
    :data:`TOLERANCE`, upwards (the next riser) or downwards (the edge). It is the measure of SSR
    (arXiv:2605.30770), whose flat sole nothing can be higher than, for feet like balls.

    Slopes carry: heights count from the slope through the cell, which is the lesser one of those
    before and behind it; beside an edge that is the slope of the tread, not one through the step.

    Args:
        ground: Heights.
        foot_radius: Radius of the foot [m].

    Returns:
        A map of the same cells and of as much memory as ``ground``, and of level ground around.
    """
    foot = max(round(foot_radius / ground.resolution), 1)
    patch = max(round((foot_radius + MARGIN) / ground.resolution), foot)
    # What is beyond the map is as level as its rim, and must be a part of the patch of the rim.
    rim = patch + 1
    heights = _extended(ground.grid, rim)
    padded = _extended(heights, patch)

    def shifted(dx: int, dy: int) -> torch.Tensor:
        rows, columns = heights.shape
        return padded[patch + dx :, patch + dy :][:rows, :columns]

    slope_x = _slope(shifted(-patch, 0), heights, shifted(patch, 0), patch * ground.resolution)
    slope_y = _slope(shifted(0, -patch), heights, shifted(0, patch), patch * ground.resolution)

    def above_slope(dx: int, dy: int) -> torch.Tensor:
        along_x = torch.add(shifted(dx, dy), slope_x, alpha=-dx * ground.resolution)
        return along_x.add_(slope_y, alpha=-dy * ground.resolution)

    contact = heights.clone()
    for offset in _disc(foot):
        torch.maximum(contact, above_slope(*offset), out=contact)
    deficiency = torch.zeros_like(heights)
    cells = tuple(_disc(patch))
    for offset in cells:
        deficiency += above_slope(*offset).sub_(contact).abs_() > TOLERANCE
    first = tuple(center - rim * ground.resolution for center in ground.center_of_first_cell)
    return HeightMap(
        deficiency / len(cells),
        center_of_first_cell=(first[0], first[1]),
        resolution=ground.resolution,
    )


def _disc(radius: int) -> Iterator[tuple[int, int]]:
    """Cells whose centres are within so many cells of one."""
    line = range(-radius, radius + 1)
    return ((x, y) for x in line for y in line if x * x + y * y <= radius * radius)


def _extended(grid: torch.Tensor, cells: int) -> torch.Tensor:
    """A grid with so many cells more on each side, which repeat its rim."""
    wide = torch.nn.functional.pad(grid[None, None], (cells,) * 4, mode="replicate")
    return wide[0, 0]


def _slope(
    before: torch.Tensor, here: torch.Tensor, behind: torch.Tensor, distance: float
) -> torch.Tensor:
    """The lesser of two slopes of the same direction; 0 where they differ, or nobody can stand."""
    rise, further = here - before, behind - here
    least = torch.where(rise.abs() < further.abs(), rise, further) / distance
    is_slope = (rise * further > 0.0) & (least.abs() <= STEEPEST)
    return torch.where(is_slope, least, 0.0)
