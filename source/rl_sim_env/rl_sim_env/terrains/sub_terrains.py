"""The sub-terrain families that mjlab lacks or builds from more geoms than needed.

Static geoms are what a many-robot simulation pays for, so every family here is one height field,
except the stairs, whose edges have to be exact.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from math import ceil
from typing import Annotated

import mujoco
import numpy as np
from mjlab.terrains.terrain_generator import SubTerrainCfg, TerrainGeometry, TerrainOutput

from rl_sim_env.configuration.limits import NOT_NEGATIVE, POSITIVE, Number

GROUND_THICKNESS = 0.5
"""How far every sub-terrain reaches below its surface, m: more than a foot travels in a step."""

CELL = Number(at_least=0.01, at_most=1)
"""Side of a cell [m]; the number of cells goes with its inverse square."""

_STAIRS_COLOR = (0.36, 0.47, 0.62, 1.0)
_HEIGHT_FIELD_COLOR = (0.45, 0.52, 0.42, 1.0)


@dataclass(kw_only=True)
class PyramidStairsTerrainCfg(SubTerrainCfg):
    """Stairs up to a platform: square plates on top of one another, one box per step.

    Same surface as a pyramid whose steps are rings of four boxes each, with a quarter of the geoms.
    """

    step_height_range: Annotated[tuple[float, float], NOT_NEGATIVE]
    """Height of a step at difficulty 0 and 1, m."""
    step_width: Annotated[float, POSITIVE]
    """Depth of a tread, m."""
    platform_width: Annotated[float, NOT_NEGATIVE]
    """Least side length of the platform on top, m."""
    border_width: Annotated[float, NOT_NEGATIVE]
    """Width of the flat frame around the stairs, m."""

    def function(
        self, difficulty: float, spec: mujoco.MjSpec, rng: np.random.Generator
    ) -> TerrainOutput:
        """Build the boxes in the tile's frame (origin at its corner)."""
        step_height = interpolate(self.step_height_range, difficulty)
        stairs_width = min(self.size) - 2 * self.border_width
        num_steps = int((stairs_width - self.platform_width) / (2 * self.step_width))
        plate_sizes = [self.size] + [
            (self.size[0] - 2 * inset, self.size[1] - 2 * inset)
            for inset in (self.border_width + k * self.step_width for k in range(num_steps + 1))
        ]
        center = (self.size[0] / 2, self.size[1] / 2)
        geometries = []
        for level, (width, length) in enumerate(plate_sizes):
            # All plates start at the same depth: a thin one would let a foot through.
            half_height = (level * step_height + GROUND_THICKNESS) / 2
            box = spec.body("terrain").add_geom(
                type=mujoco.mjtGeom.mjGEOM_BOX,
                size=(width / 2, length / 2, half_height),
                pos=(*center, half_height - GROUND_THICKNESS),
            )
            geometries.append(TerrainGeometry(geom=box, color=_STAIRS_COLOR))
        top = (len(plate_sizes) - 1) * step_height
        return TerrainOutput(origin=np.array([*center, top]), geometries=geometries)


@dataclass(kw_only=True)
class HeightFieldTerrainCfg(SubTerrainCfg):
    """One MuJoCo height field per tile, with the true heights: level 0 of the tile is world z = 0.

    MuJoCo interpolates linearly between nodes, so the steepest edge is a ramp one
    ``horizontal_scale`` wide; heights are floats and need no vertical scale.
    """

    horizontal_scale: Annotated[float, CELL] = 0.1
    """Distance between nodes, m; divides the tile's size."""
    spawn_radius: Annotated[float, NOT_NEGATIVE] = 1.0
    """The spawn origin is as high as the highest node this near to the tile's centre, m."""

    @abc.abstractmethod
    def node_heights(
        self, x: np.ndarray, y: np.ndarray, difficulty: float, rng: np.random.Generator
    ) -> np.ndarray:
        """Heights of the nodes.

        Args:
            x: Node coordinates from the tile's centre, shape (nx, 1), m.
            y: Node coordinates from the tile's centre, shape (1, ny), m.
            difficulty: From 0 to 1.
            rng: Source of all randomness.

        Returns:
            Shape (nx, ny), m.
        """

    def function(
        self, difficulty: float, spec: mujoco.MjSpec, rng: np.random.Generator
    ) -> TerrainOutput:
        """Build the height field in the tile's frame (origin at its corner)."""
        half = (self.size[0] / 2, self.size[1] / 2)
        nx, ny = (round(side / self.horizontal_scale) + 1 for side in self.size)
        x = np.linspace(-half[0], half[0], nx)[:, None]
        y = np.linspace(-half[1], half[1], ny)[None, :]
        heights = self.node_heights(x, y, difficulty, rng)

        bottom = heights.min()
        # MuJoCo wants an elevation range above zero, flat tiles included.
        elevation = max(np.ptp(heights), 1e-3)
        field = spec.add_hfield(
            name=f"hfield_{len(spec.hfields)}",
            size=(*half, elevation, GROUND_THICKNESS),
            nrow=ny,  # rows run along y, columns along x
            ncol=nx,
            userdata=((heights.T - bottom) / elevation).astype(np.float32).ravel().tolist(),
        )
        geom = spec.body("terrain").add_geom(
            type=mujoco.mjtGeom.mjGEOM_HFIELD,
            hfieldname=field.name,
            pos=(*half, bottom),
        )
        near_center = (np.abs(x) <= self.spawn_radius) & (np.abs(y) <= self.spawn_radius)
        return TerrainOutput(
            origin=np.array([*half, heights[near_center].max()]),
            geometries=[TerrainGeometry(geom=geom, hfield=field, color=_HEIGHT_FIELD_COLOR)],
        )


@dataclass(kw_only=True)
class PyramidSlopeTerrainCfg(HeightFieldTerrainCfg):
    """Four slopes up to a platform, or down to it."""

    slope_range: tuple[float, float]
    """Rise over run through the middle of a side, at difficulty 0 and 1; negative leads down."""
    platform_width: Annotated[float, NOT_NEGATIVE]
    """Side length of the platform, m."""
    border_width: Annotated[float, NOT_NEGATIVE]
    """Width of the flat frame around the slopes, m."""

    def node_heights(
        self, x: np.ndarray, y: np.ndarray, difficulty: float, rng: np.random.Generator
    ) -> np.ndarray:
        """See :class:`HeightFieldTerrainCfg`."""
        slope = interpolate(self.slope_range, difficulty)
        reach = min(self.size) / 2 - self.border_width
        fraction = (1 - np.abs(x) / reach).clip(0) * (1 - np.abs(y) / reach).clip(0)
        platform_fraction = (1 - self.platform_width / 2 / reach) ** 2
        return slope * reach * np.minimum(fraction, platform_fraction)


@dataclass(kw_only=True)
class RandomRoughTerrainCfg(HeightFieldTerrainCfg):
    """Nodes of random height around the tile's level, symmetric about it."""

    amplitude_range: Annotated[tuple[float, float], NOT_NEGATIVE]
    """Greatest deviation from the tile's level at difficulty 0 and 1, m."""
    height_step: Annotated[float, POSITIVE]
    """Greatest distance between neighbouring height levels, m."""
    border_width: Annotated[float, NOT_NEGATIVE]
    """Width of the flat frame around the rough ground, m."""

    def node_heights(
        self, x: np.ndarray, y: np.ndarray, difficulty: float, rng: np.random.Generator
    ) -> np.ndarray:
        """See :class:`HeightFieldTerrainCfg`."""
        amplitude = interpolate(self.amplitude_range, difficulty)
        levels_per_side = ceil(amplitude / self.height_step)
        levels = np.linspace(-amplitude, amplitude, 2 * levels_per_side + 1)
        heights = rng.choice(levels, size=(x.size, y.size))
        inside_x = np.abs(x) <= self.size[0] / 2 - self.border_width
        inside_y = np.abs(y) <= self.size[1] / 2 - self.border_width
        return np.where(inside_x & inside_y, heights, 0.0)


@dataclass(kw_only=True)
class RandomGridTerrainCfg(HeightFieldTerrainCfg):
    """Square blocks of random height around a raised platform."""

    cell_width: Annotated[float, POSITIVE]
    """Side length of a block, m; a multiple of ``horizontal_scale``."""
    height_range: Annotated[tuple[float, float], NOT_NEGATIVE]
    """Greatest deviation of a block from the tile's level at difficulty 0 and 1, m."""
    platform_width: Annotated[float, NOT_NEGATIVE]
    """Side length of the platform, which is as high as the highest block can be, m."""

    def node_heights(
        self, x: np.ndarray, y: np.ndarray, difficulty: float, rng: np.random.Generator
    ) -> np.ndarray:
        """See :class:`HeightFieldTerrainCfg`."""
        height = interpolate(self.height_range, difficulty)
        nodes_per_cell = round(self.cell_width / self.horizontal_scale)
        num_cells = ((x.size - 1) // nodes_per_cell, (y.size - 1) // nodes_per_cell)
        blocks = rng.uniform(-height, height, size=num_cells)
        blocks = blocks.repeat(nodes_per_cell, axis=0).repeat(nodes_per_cell, axis=1)

        heights = np.zeros((x.size, y.size))
        first = [
            (total - used) // 2 for total, used in zip(heights.shape, blocks.shape, strict=True)
        ]
        heights[first[0] :, first[1] :][: blocks.shape[0], : blocks.shape[1]] = blocks
        half_platform = self.platform_width / 2
        heights[(np.abs(x) <= half_platform) & (np.abs(y) <= half_platform)] = height
        return heights


def interpolate(bounds: tuple[float, float], difficulty: float) -> float:
    """A value between those at difficulty 0 and 1."""
    return bounds[0] + difficulty * (bounds[1] - bounds[0])
