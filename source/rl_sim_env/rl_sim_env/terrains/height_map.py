"""Heights of the static world, rasterised once and looked up ever after.

Robots stand on terrain that never moves, so casting a ray per query and step answers the same
question again and again. A map answers it with one memory read, on any device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mujoco
import numpy as np
import torch

from rl_sim_env.errors import UserError

DEFAULT_RESOLUTION = 0.025
"""Side length of a map cell, m."""

_PARALLEL = 1e-9
"""Smaller components of unit vectors count as zero."""


class HeightMap:
    """Heights of the world-fixed, colliding geoms of a model over a grid in the world's xy-plane.

    Each cell holds the height of the highest surface at its centre, and a query reads the cell it
    falls into: exact on level ground, off by at most the height of the step where an edge runs
    through the cell. (Interpolating between cells would cost five times as much and be wrong over a
    wider strip along each edge.) A query outside the map reads the nearest cell of the map's rim,
    so level ground around it goes on for ever; the map ends where only such ground follows, which
    leaves a single cell of an infinite plane. Cells over no geom at all read as the lowest height
    there is.
    """

    def __init__(
        self, grid: torch.Tensor, *, center_of_first_cell: tuple[float, float], resolution: float
    ) -> None:
        """Take a finished grid.

        Args:
            grid: Heights, shape (nx, ny), m; stays on its device.
            center_of_first_cell: World x and y of the centre of cell [0, 0], m.
            resolution: Side length of a cell, m.
        """
        self.grid = grid
        self.resolution = resolution
        self.center_of_first_cell = center_of_first_cell
        self._flat_grid = grid.flatten()
        self._corner = torch.tensor(center_of_first_cell, device=grid.device) - resolution / 2
        self._last_cell = torch.tensor(grid.shape, device=grid.device) - 1

    @classmethod
    def from_model(
        cls,
        mj_model: mujoco.MjModel,
        *,
        resolution: float = DEFAULT_RESOLUTION,
        device: str | torch.device,
    ) -> HeightMap:
        """Rasterise the world-fixed geoms of a compiled model.

        Planes, boxes and upright height fields are evaluated exactly; other geom types by one ray
        per cell.

        Args:
            mj_model: The compiled model.
            resolution: Side length of a cell, m.
            device: Where the map lives and queries are answered.

        Raises:
            UserError: If there is no static geom or a plane that is not level.
        """
        world = _StaticWorld.of(mj_model)
        # A plane shows around the other geoms: its cells make the rim.
        margin = resolution if np.isfinite(world.ground) else 0.0
        x, y = (
            _cell_centers(low - margin, high + margin, resolution) for low, high in world.extent()
        )
        grid = np.full((x.size, y.size), world.ground, dtype=np.float32)
        for geom_id in world.geom_ids:
            _raise_to(grid, x, y, world, geom_id)
        grid[np.isneginf(grid)] = grid[np.isfinite(grid)].min()
        rows, columns = _without_level_rim(grid)
        return cls(
            torch.from_numpy(grid[rows, columns].copy()).to(device),
            center_of_first_cell=(float(x[rows.start]), float(y[columns.start])),
            resolution=resolution,
        )

    def heights(self, xy: torch.Tensor) -> torch.Tensor:
        """Height of the ground.

        Args:
            xy: World coordinates on the map's device, shape (..., 2), m.

        Returns:
            World z, shape (...), m. Finite for any input, NaN included.
        """
        if len(self._flat_grid) == 1:
            return self._flat_grid[0].expand(xy.shape[:-1])
        cell = ((xy - self._corner) / self.resolution).floor().long()
        # Clamping the integers, not the floats, keeps NaN inside the map as well.
        cell = torch.minimum(cell.clamp(min=0), self._last_cell)
        return self._flat_grid[cell[..., 0] * self.grid.shape[1] + cell[..., 1]]


@dataclass(frozen=True)
class _StaticWorld:
    """The world-fixed, colliding geoms of a model and their poses."""

    model: mujoco.MjModel
    data: mujoco.MjData
    geom_ids: np.ndarray
    """Geoms of finite size."""
    ground: float
    """Height of the highest infinite plane, m; -inf without one."""

    @classmethod
    def of(cls, model: mujoco.MjModel) -> _StaticWorld:
        data = mujoco.MjData(model)
        mujoco.mj_kinematics(model, data)
        static = model.body_weldid[model.geom_bodyid] == 0
        collides = (model.geom_contype | model.geom_conaffinity) != 0
        is_plane = model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE
        geom_ids = np.flatnonzero(static & collides & ~is_plane)
        plane_ids = np.flatnonzero(static & collides & is_plane)
        if geom_ids.size + plane_ids.size == 0:
            raise UserError(
                "height map: the model has no world-fixed geom that collides; add a terrain to the "
                "scene"
            )
        normal_z = data.geom_xmat[plane_ids, 8]
        if np.any(normal_z < 1 - _PARALLEL):
            raise UserError(
                f"height map: plane {model.geom(plane_ids[np.argmin(normal_z)]).name!r} is not "
                "level; use a box or a height field for a slope"
            )
        ground = data.geom_xpos[plane_ids, 2].max(initial=-np.inf)
        return cls(model, data, geom_ids, float(ground))

    def bounds(self, geom_id: int) -> tuple[tuple[float, float], ...]:
        """World x, y and z range of a geom's bounding box, m."""
        rotation = self.data.geom_xmat[geom_id].reshape(3, 3)
        local_center, half_size = self.model.geom_aabb[geom_id].reshape(2, 3)
        center = self.data.geom_xpos[geom_id] + rotation @ local_center
        reach = np.abs(rotation) @ half_size
        return tuple(zip(center - reach, center + reach, strict=True))

    def extent(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """World x and y range of all geoms, m; a point if there are only planes."""
        if self.geom_ids.size == 0:
            return (0.0, 0.0), (0.0, 0.0)
        bounds = np.array([self.bounds(geom_id) for geom_id in self.geom_ids])
        low, high = bounds[:, :2, 0].min(axis=0), bounds[:, :2, 1].max(axis=0)
        return (low[0], high[0]), (low[1], high[1])


def _cell_centers(low: float, high: float, resolution: float) -> np.ndarray:
    num_cells = max(1, round((high - low) / resolution))
    return low + (np.arange(num_cells) + 0.5) * resolution


def _raise_to(
    grid: np.ndarray, x: np.ndarray, y: np.ndarray, world: _StaticWorld, geom_id: int
) -> None:
    """Lift the cells under a geom to its surface, where that is higher."""
    bounds = world.bounds(geom_id)
    rows, columns = (
        slice(np.searchsorted(axis, low), np.searchsorted(axis, high, side="right"))
        for axis, (low, high) in zip((x, y), bounds[:2], strict=True)
    )
    position = world.data.geom_xpos[geom_id]
    rotation = world.data.geom_xmat[geom_id].reshape(3, 3)
    dx, dy = x[rows, None] - position[0], y[None, columns] - position[1]
    match world.model.geom_type[geom_id]:
        case mujoco.mjtGeom.mjGEOM_BOX:
            top = _box_top(dx, dy, rotation, world.model.geom_size[geom_id])
        case mujoco.mjtGeom.mjGEOM_HFIELD if rotation[2, 2] > 1 - _PARALLEL:
            top = _height_field_top(dx, dy, rotation, world.model, geom_id)
        case _:
            top = _ray_cast_top(dx, dy, bounds[2][1] - position[2], world, geom_id)
    target = grid[rows, columns]
    np.maximum(target, top + position[2], out=target, casting="same_kind")


def _box_top(
    dx: np.ndarray, dy: np.ndarray, rotation: np.ndarray, half_size: np.ndarray
) -> np.ndarray | float:
    """Where the vertical line over each (dx, dy) leaves a box, relative to its centre; else -inf.

    The line is clipped against the three slabs of the box ("slab method").
    """
    top, bottom = np.inf, -np.inf
    inside: np.ndarray | bool = True
    for axis, half in zip(rotation.T, half_size, strict=True):
        offset = axis[0] * dx + axis[1] * dy
        if abs(axis[2]) < _PARALLEL:
            inside = inside & (np.abs(offset) <= half)
        else:
            ends = (-offset - half) / axis[2], (-offset + half) / axis[2]
            bottom = np.maximum(bottom, np.minimum(*ends))
            top = np.minimum(top, np.maximum(*ends))
    return np.where(inside & (top >= bottom), top, -np.inf)


def _height_field_top(
    dx: np.ndarray, dy: np.ndarray, rotation: np.ndarray, model: mujoco.MjModel, geom_id: int
) -> np.ndarray:
    """Height of an upright height field over each (dx, dy), relative to its frame; else -inf.

    MuJoCo splits the square between four nodes along the diagonal of rising column and row.
    """
    field = model.geom_dataid[geom_id]
    num_rows, num_columns = model.hfield_nrow[field], model.hfield_ncol[field]
    half_x, half_y, elevation, _ = model.hfield_size[field]
    start = model.hfield_adr[field]
    nodes = model.hfield_data[start : start + num_rows * num_columns]
    nodes = nodes.reshape(num_rows, num_columns) * elevation

    local_x = rotation[0, 0] * dx + rotation[1, 0] * dy
    local_y = rotation[0, 1] * dx + rotation[1, 1] * dy
    u = (local_x + half_x) / (2 * half_x) * (num_columns - 1)
    v = (local_y + half_y) / (2 * half_y) * (num_rows - 1)
    column = np.clip(np.floor(u).astype(int), 0, num_columns - 2)
    row = np.clip(np.floor(v).astype(int), 0, num_rows - 2)
    u_rest, v_rest = u - column, v - row
    low, high = nodes[row, column], nodes[row + 1, column + 1]
    corner = np.where(u_rest > v_rest, nodes[row, column + 1], nodes[row + 1, column])
    first, second = np.maximum(u_rest, v_rest), np.minimum(u_rest, v_rest)
    top = low + first * (corner - low) + second * (high - corner)
    inside = (np.abs(local_x) <= half_x) & (np.abs(local_y) <= half_y)
    return np.where(inside, top, -np.inf)


def _ray_cast_top(
    dx: np.ndarray, dy: np.ndarray, start: float, world: _StaticWorld, geom_id: int
) -> np.ndarray:
    """Height of any geom over each (dx, dy), relative to its frame, by rays from ``start``."""
    position = world.data.geom_xpos[geom_id]
    cast = _ray_caster(world, geom_id)
    down = np.array([0.0, 0.0, -1.0])
    tops = np.full(np.broadcast_shapes(dx.shape, dy.shape), -np.inf)
    for cell in np.ndindex(tops.shape):
        offset = np.array([dx[cell[0], 0], dy[0, cell[1]], start])
        distance = cast(position + offset, down)
        if distance >= 0:
            tops[cell] = start - distance
    return tops


def _ray_caster(world: _StaticWorld, geom_id: int) -> Callable[[np.ndarray, np.ndarray], float]:
    model, data = world.model, world.data
    geom_type = model.geom_type[geom_id]
    match geom_type:
        case mujoco.mjtGeom.mjGEOM_MESH:
            return lambda start, ray: mujoco.mj_rayMesh(model, data, geom_id, start, ray)
        case mujoco.mjtGeom.mjGEOM_HFIELD:
            return lambda start, ray: mujoco.mj_rayHfield(model, data, geom_id, start, ray)
        case _:
            pose = data.geom_xpos[geom_id], data.geom_xmat[geom_id]
            size = model.geom_size[geom_id]
            return lambda start, ray: mujoco.mju_rayGeom(*pose, size, start, ray, geom_type)


def _without_level_rim(grid: np.ndarray) -> tuple[slice, slice]:
    """The part of a grid inside its level rim, with one row or column of the rim on each side."""
    uneven = grid != grid[0, 0]
    if not uneven.any():
        return slice(0, 1), slice(0, 1)
    rows, columns = (np.flatnonzero(uneven.any(axis=axis)) for axis in (1, 0))
    return _with_neighbors(rows), _with_neighbors(columns)


def _with_neighbors(lines: np.ndarray) -> slice:
    return slice(max(0, lines[0] - 1), lines[-1] + 2)
