"""What maps have shown of the ground around a robot, kept for a while, by numpy alone."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rl_sim_env.deploy.metadata import MapFacts

Array = NDArray[np.float64]


def turned(angle: float, x: Array, y: Array) -> tuple[Array, Array]:
    """Points of a plane, turned about its origin from the first axis to the second."""
    cos, sin = math.cos(angle), math.sin(angle)
    return cos * x - sin * y, sin * x + cos * y


class ShownMap:
    """A map of the ground where it was made.

    Args:
        facts: Its grid.
        ground: Heights of its cells in the world [m], NaN where unknown. Shape (rows, cells of a
            row).
        base: Where the base was [m], shape (3,).
        yaw: Heading of the base [rad].
        time: When [s].
    """

    def __init__(
        self, facts: MapFacts, ground: Array, base: Array, yaw: float, time: float
    ) -> None:
        self._facts, self._ground, self._base, self._yaw = facts, ground, base, yaw
        self.time = time

    def at(self, x: Array, y: Array) -> Array:
        """Heights of the nearest cells at places in the world [m], NaN where there are none."""
        facts = self._facts
        ahead, left = turned(-self._yaw, x - self._base[0], y - self._base[1])
        rows, columns = facts.shape
        column = _nearest((ahead - facts.offset) / facts.resolution + 0.5 * (columns - 1))
        row = _nearest(left / facts.resolution + 0.5 * (rows - 1))
        inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        found = self._ground[row.clip(0, rows - 1), column.clip(0, columns - 1)]
        return np.where(inside, found, np.nan)


class GroundMemory:
    """Cells of the world around a robot that stay known for ``facts.keep`` once they were seen.

    As in training: cells of the map's size that lie along the axes of the world, those around the
    robot in a torus, and of each the height that the newest map had next to its middle.

    Args:
        facts: The robot's maps.
    """

    def __init__(self, facts: MapFacts) -> None:
        self._facts = facts
        forward, left = facts.grid
        ahead = abs(facts.offset) + 0.5 * (forward - 1) * facts.resolution
        reach = math.hypot(ahead, 0.5 * (left - 1) * facts.resolution)
        self._half = math.ceil(reach / facts.resolution) + 1
        self._side = 2 * self._half + 1
        # Rows along y, in each the cells along x.
        self._heights = np.full((self._side, self._side), np.nan)
        self._sighted = np.full((self._side, self._side), -math.inf)
        self._first = np.zeros(2, dtype=int)

    def store(self, shown: ShownMap, base: Array) -> None:
        """Take in what a map shows, and move the window to where the base is now [m]."""
        first = _nearest(base[:2] / self._facts.resolution) - self._half
        (column, row), (column_before, row_before) = map(self._window, (first, self._first))
        is_new = (column != column_before)[None] | (row != row_before)[:, None]
        self._sighted[is_new] = -math.inf
        found = shown.at(*np.meshgrid(*(self._facts.resolution * each for each in (column, row))))
        is_seen = np.isfinite(found)
        self._heights[is_seen] = found[is_seen]
        self._sighted[is_seen] = shown.time
        self._first = first

    def at(self, x: Array, y: Array, now: float) -> Array:
        """Heights at places in the world [m], NaN where nothing is known at a time [s]."""
        column, row = (_nearest(along / self._facts.resolution) for along in (x, y))
        inside = np.ones(x.shape, dtype=bool)
        for cell, first in zip((column, row), self._first, strict=True):
            inside &= (cell >= first) & (cell < first + self._side)
        slot = row % self._side, column % self._side
        is_known = inside & (now - self._sighted[slot] < self._facts.keep)
        return np.where(is_known, self._heights[slot], np.nan)

    def _window(self, first: NDArray[np.intp]) -> NDArray[np.intp]:
        """Which cell each slot has along x and y, shape (2, side), of a window from a cell on."""
        return first[:, None] + (np.arange(self._side) - first[:, None]) % self._side


def _nearest(number: Array) -> NDArray[np.intp]:
    return np.rint(number).astype(int)
