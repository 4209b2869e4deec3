"""What a robot sees of the ground, and how far it may be off; no simulator is needed to say it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from rl_sim_env.configuration.limits import (
    COUNT,
    DELAY,
    NOT_NEGATIVE,
    POSITIVE,
    SHARE,
    Number,
    Range,
)

Point = tuple[float, float, float]


@dataclass(kw_only=True)
class LidarCfg:
    """A sensor on the trunk that measures distances."""

    name: str
    """What messages call it."""

    position: Point
    """Where it is, base frame [m]; outside the trunk."""

    yaw: float = 0.0
    """Where it looks, about the vertical [rad]; 0 is forward."""

    pitch: float = math.radians(40.0)
    """How far it looks down from there [rad]."""

    half_angles: Annotated[tuple[float, float], Number(above=0, at_most=math.pi)] = (
        math.radians(60.0),
        math.radians(50.0),
    )
    """How far to either side, and up and down, it sees [rad]."""


@dataclass(kw_only=True)
class MapCfg:
    """A grid of cells about the robot, which turns with its heading but stays level."""

    grid: Annotated[tuple[int, int], COUNT] = (24, 16)
    """Number of cells forward and to the left. Cells are in rows, from the right to the left, each
    from rear to front."""

    resolution: Annotated[float, Number(at_least=0.01, at_most=1)] = 0.06
    """Side of a cell [m]."""

    offset: float = 0.18
    """How far the middle of the grid is before the base [m]."""

    reference: float = 0.0
    """Added to the height of the ground over the base [m], so that level ground reads about zero
    under a robot that stands."""

    @property
    def num_cells(self) -> int:
        """Number of cells."""
        return self.grid[0] * self.grid[1]

    def centers(self) -> tuple[list[float], list[float]]:
        """Places of the cells forward and to the left of the base [m], along either side."""
        forward, left = (
            [(index - 0.5 * (number - 1)) * self.resolution for index in range(number)]
            for number in self.grid
        )
        return [self.offset + x for x in forward], left


@dataclass(kw_only=True)
class MapErrorsCfg:
    """How far a map may be off; what is drawn for an episode is drawn anew when it begins."""

    noise: Annotated[float, NOT_NEGATIVE] = 0.015
    """Standard deviation of the height of each cell in each scan [m]. Normal."""

    drift_xy: Annotated[float, NOT_NEGATIVE] = 0.05
    """Most by which a map is shifted along x and y of the world each [m]. Uniform to both sides,
    for an episode; it is reached after ``drift_time``."""

    drift_z: Annotated[float, NOT_NEGATIVE] = 0.03
    """The same of all heights [m]."""

    drift_time: Annotated[float, POSITIVE] = 10.0
    """Time over which a drift grows, from nothing [s]."""

    dropped: Annotated[Range, SHARE] = (0.05, 0.1)
    """Share of the cells that are lost besides those that are hidden. Uniform, for each scan."""

    max_delay: Annotated[float, DELAY] = 0.1
    """Longest time from a scan to its map [s], no longer than from scan to scan. Uniform from 0,
    for an episode; a map is never there in the step of its scan."""

    failure_interval: Annotated[float, POSITIVE] = 20.0
    """Mean time until a robot's maps fail [s]."""

    failure_time: Annotated[Range, NOT_NEGATIVE] = (0.3, 3.0)
    """How long they fail [s]. Uniform."""

    wrong_share: Annotated[float, SHARE] = 0.15
    """Share of the failures in which maps show another place; in the others they are empty."""

    wrong_distance: Annotated[float, NOT_NEGATIVE] = 3.0
    """How far away that place may be along x and y of the world each [m]. Uniform to both sides."""
