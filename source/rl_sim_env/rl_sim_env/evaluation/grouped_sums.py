"""Sums over robots and time, by groups of robots, that stay on the device until the end."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch

from rl_sim_env.evaluation.report import Figure

Index = int | Sequence[int]
"""One place on an axis, or several that are added up."""

SEED = "seed"
"""Name of the axis over which figures spread."""


class GroupedSums:
    """Running sums on a grid of named axes, say seed, terrain and load.

    Args:
        axes: Length of each axis by name.
        num_robots: Number of robots.
        device: Where the sums are kept.
    """

    def __init__(self, axes: Mapping[str, int], num_robots: int, device: str) -> None:
        self._axes = dict(axes)
        self._size = math.prod(axes.values())
        self._device = device
        self._sums: dict[str, torch.Tensor] = {}
        self._seen = torch.zeros(self._size, num_robots, dtype=torch.bool, device=device)
        self._robots = torch.arange(num_robots, device=device)

    def add(self, at: Mapping[str, torch.Tensor | int], **values: torch.Tensor) -> None:
        """Add one value per robot to each named sum.

        Args:
            at: Where each robot stands on every axis, shape (num_robots,), long; or all on one
                place.
            **values: Shape (num_robots, ...).
        """
        cell = torch.zeros_like(self._robots)
        for name, length in self._axes.items():
            cell = cell * length + at[name]
        self._seen[cell, self._robots] = True
        for name, value in values.items():
            if name not in self._sums:
                self._sums[name] = torch.zeros(
                    self._size, *value.shape[1:], dtype=torch.double, device=self._device
                )
            self._sums[name].index_add_(0, cell, value.double())

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the sums; none before the first step."""
        return tuple(self._sums)

    def length(self, axis: str) -> int:
        """Length of an axis."""
        return self._axes[axis]

    def total(self, name: str, **where: Index) -> torch.Tensor:
        """One of the sums, read from the device.

        Args:
            name: Which sum.
            **where: Place or places on an axis; on axes that are left out, all are added up. The
                axis ``seed`` is kept where it is left out.

        Returns:
            Shape (num_seeds, ...) if there is such an axis and it is left out, else (...), double.
        """
        picked, summed = self._pick(self._sums[name], where)
        return (picked.sum(dim=summed) if summed else picked).cpu()

    def robots(self, **where: Index) -> int:
        """Number of robots behind a sum; the least over the seeds if it is kept by seed."""
        picked, summed = self._pick(self._seen, where)
        return int((picked.sum(dim=summed) > 0 if summed else picked).sum(dim=-1).min())

    def _pick(
        self, cells: torch.Tensor, where: Mapping[str, Index]
    ) -> tuple[torch.Tensor, list[int]]:
        """The chosen part of the grid, and the axes to sum up."""
        grid = cells.view(*self._axes.values(), *cells.shape[1:])
        for axis, (name, length) in enumerate(self._axes.items()):
            places = where.get(name, range(length))
            places = [places] if isinstance(places, int) else list(places)
            grid = grid.index_select(axis, torch.tensor(places, device=grid.device))
        kept = SEED if SEED not in where else None
        return grid, [axis for axis, name in enumerate(self._axes) if name != kept]


def figure(values: torch.Tensor, *, robots: int) -> Figure | None:
    """Summarise one value per seed, shape (num_seeds,); None if one of them is missing (NaN)."""
    if not robots or values.isnan().any():
        return None
    return Figure.over_seeds(values.tolist(), robots=robots)
