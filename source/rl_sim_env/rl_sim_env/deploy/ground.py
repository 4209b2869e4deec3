"""Maps of the ground as a deployed policy takes them, and what becomes of those that do not come.

A robot that is blind for a while walks on: the policy was trained with maps that fail. One that is
given maps of another kind must not walk at all.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl_sim_env.deploy.metadata import BASE_YAW, MapFacts
from rl_sim_env.errors import Notice, UserError

FARTHEST = 10.0
"""Height over or under the base that no ground around a robot has [m]: other units."""

_TOLERANCE = 1e-4
"""By which a resolution may differ [m], over a map less than a tenth of a cell; or a time [s]."""


@dataclass(frozen=True, kw_only=True)
class HeightGrid:
    """Heights of the ground around the robot, in a frame that turns with it but stays level."""

    heights: ArrayLike
    """Height of the ground over the origin of the base [m], most often below 0; NaN where it is not
    known. Rows from the right to the left, in each the cells from rear to front. Shape (rows,
    cells of a row)."""
    resolution: float
    """Side of a cell [m]."""
    offset: float
    """How far the middle of the grid is before the base [m]."""
    frame: str = BASE_YAW
    """``base_yaw``: origin in the base, x along its heading and level, z up."""
    age: float = 0.0
    """Time since the newest measurement in it [s]. A map that is given again grows older."""
    keep: float = 0.0
    """How long the software that makes it keeps a cell that it has seen, moved along with the robot
    by odometry [s]; 0: what the latest scan does not show is not known."""


class GroundInput:
    """Turns the maps of a robot into what a policy reads.

    Args:
        facts: Which maps the policy was trained with.
    """

    def __init__(self, facts: MapFacts) -> None:
        self._facts = facts
        self._told: set[str] = set()

    def read(self, grid: HeightGrid | None) -> NDArray[np.float32]:
        """Heights, NaN where unseen, shape (rows, cells of a row).

        Where there is no map, an empty one or one that is too old, nothing is seen; a notice says
        so, the first time.

        Args:
            grid: The map; None where the robot has none now.

        Raises:
            UserError: It is no such map, of another size, resolution, place or frame, kept for
                another time, in other units, or from the future.
        """
        unseen = np.full(self._facts.shape, np.nan, dtype=np.float32)
        if grid is None:
            self._tell("none", "there is no map of the ground")
            return unseen
        heights = self._checked(grid)
        limit = self._facts.age_limit
        if not grid.age <= limit:
            age = f"the map of the ground is {grid.age:g} s old, and may be {limit:g} s"
            self._tell("old", age)
            return unseen
        if np.isnan(heights).all():
            self._tell("empty", "the map of the ground is empty")
        return heights

    def _checked(self, grid: HeightGrid) -> NDArray[np.float32]:
        facts = self._facts
        if not isinstance(grid, HeightGrid):
            raise UserError(
                f"map of the ground: a {type(grid).__name__}; give a rl_sim_env.deploy.HeightGrid, "
                "which says where its cells are, or None where there is no map"
            )
        if grid.age < 0.0:
            raise UserError(
                f"map of the ground: it is {grid.age:g} s old; give the time since its newest "
                "measurement, by one clock"
            )
        heights = np.asarray(grid.heights, dtype=np.float32)
        for what, given, trained in (
            ("shape", heights.shape, facts.shape),
            ("frame", grid.frame, facts.frame),
        ):
            if given != trained:
                raise _misfit(what, given, trained)
        for what, given, trained, unit in (
            ("resolution", grid.resolution, facts.resolution, "m"),
            ("offset", grid.offset, facts.offset, "m"),
            ("keep", grid.keep, facts.keep, "s"),
        ):
            if not abs(given - trained) <= _TOLERANCE:
                raise _misfit(what, f"{given:g} {unit}", f"{trained:g} {unit}")
        if (np.abs(heights) > FARTHEST).any():
            raise UserError(
                f"map of the ground: a height of {np.nanmax(np.abs(heights)):g} m; give metres "
                "over the base, and NaN where the ground is not known"
            )
        return heights

    def _tell(self, kind: str, what: str) -> None:
        if kind not in self._told:
            self._told.add(kind)
            warnings.warn(Notice(f"{what}: the policy walks without seeing"), stacklevel=4)


def _misfit(what: str, given: object, trained: object) -> UserError:
    return UserError(
        f"map of the ground: its {what} is {given}, the policy was trained with {trained}; keep, "
        "crop and resample it as rl_sim_env.deploy.HeightGrid says"
    )
