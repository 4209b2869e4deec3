"""Ground with pits, deeper than legs are long: gaps to step over, and stones to step on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from rl_sim_env.configuration.limits import NOT_NEGATIVE, POSITIVE
from rl_sim_env.terrains.sub_terrains import CELL, HeightFieldTerrainCfg, interpolate


@dataclass(kw_only=True)
class _PitTerrainCfg(HeightFieldTerrainCfg):
    horizontal_scale: Annotated[float, CELL] = 0.0625
    depth_range: Annotated[tuple[float, float], POSITIVE] = (0.1, 1.0)
    """How deep pits are at difficulty 0 and 1, m. Who steps into a shallow one stumbles and learns;
    in those of half the difficulty and more no leg reaches the ground."""
    platform_width: Annotated[float, NOT_NEGATIVE] = 2.5
    """Side length of the platform, m."""
    border_width: Annotated[float, NOT_NEGATIVE] = 0.5
    """Width of the flat frame around the pits, m."""

    def _with_pits(
        self, x: np.ndarray, y: np.ndarray, is_pit: np.ndarray, difficulty: float
    ) -> np.ndarray:
        """Heights, m, where pits are neither in the platform nor in the frame."""
        distance = np.maximum(np.abs(x), np.abs(y))
        is_inside = distance < min(self.size) / 2 - self.border_width
        depth = interpolate(self.depth_range, difficulty)
        return np.where(is_pit & is_inside & (distance > self.platform_width / 2), -depth, 0.0)

    def _nodes(self, width: float) -> int:
        return max(round(width / self.horizontal_scale), 1)


@dataclass(kw_only=True)
class GapsTerrainCfg(_PitTerrainCfg):
    """Ditches around a platform, one behind the other.

    A ditch is as wide as from one edge to the other, a multiple of ``horizontal_scale`` and two of
    them at least; its walls are one of them wide.
    """

    gap_range: Annotated[tuple[float, float], NOT_NEGATIVE]
    """Width of a ditch at difficulty 0 and 1, m."""
    bank_width: Annotated[float, POSITIVE]
    """Width of the ground between two, m."""

    def node_heights(
        self, x: np.ndarray, y: np.ndarray, difficulty: float, rng: np.random.Generator
    ) -> np.ndarray:
        """See :class:`HeightFieldTerrainCfg`."""
        gap = max(self._nodes(interpolate(self.gap_range, difficulty)), 2)
        bank, platform = self._nodes(self.bank_width), self._nodes(self.platform_width / 2)
        distance = np.round(np.maximum(np.abs(x), np.abs(y)) / self.horizontal_scale).astype(int)
        place = (distance - platform) % (gap + bank)
        return self._with_pits(x, y, (place > 0) & (place < gap), difficulty)


@dataclass(kw_only=True)
class StonesTerrainCfg(_PitTerrainCfg):
    """Square stones in one large pit, all as high as the platform amid them."""

    stone_range: Annotated[tuple[float, float], POSITIVE]
    """Side length of a stone's top at difficulty 0 and 1, m."""
    gap_range: Annotated[tuple[float, float], NOT_NEGATIVE]
    """From the edge of a stone to the next at difficulty 0 and 1, m."""

    def node_heights(
        self, x: np.ndarray, y: np.ndarray, difficulty: float, rng: np.random.Generator
    ) -> np.ndarray:
        """See :class:`HeightFieldTerrainCfg`."""
        stone = self._nodes(interpolate(self.stone_range, difficulty))
        gap = max(self._nodes(interpolate(self.gap_range, difficulty)), 2)
        is_pit = [
            np.round(side / self.horizontal_scale).astype(int) % (stone + gap) > stone
            for side in (x, y)
        ]
        return self._with_pits(x, y, is_pit[0] | is_pit[1], difficulty)
