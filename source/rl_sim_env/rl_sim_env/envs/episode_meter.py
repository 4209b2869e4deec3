"""Means over episodes and shares of robot-steps, added up on the device and read once a rollout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch

Totals = dict[str, tuple[float, int]]
"""Sum and number of samples by name."""


class EpisodeMeter:
    """Sums of named values over ended episodes."""

    def __init__(self) -> None:
        self._names: tuple[str, ...] = ()
        self._sums = torch.zeros(1)

    def add(self, values: Mapping[str, torch.Tensor], ended: torch.Tensor) -> None:
        """Add one step.

        Args:
            values: One value per environment, shape (num_envs,) each; always the same names.
            ended: Whether the environment's episode ended in this step, shape (num_envs,).
        """
        if not self._names:
            self._names = tuple(values)
            self._sums = torch.zeros(len(values) + 1, dtype=torch.double, device=ended.device)
        columns = torch.stack([*(values[name] for name in self._names), ended], dim=-1)
        # Not a product with the mask: what has not ended may hold anything.
        counted = torch.where(ended[:, None], columns, torch.zeros_like(columns))
        self._sums += counted.sum(dim=0, dtype=torch.double)

    def read(self) -> Totals:
        """Sums since the last call, which are then forgotten; empty where no episode has ended."""
        return read_tally(self._sums, self._names)


def read_tally(tally: torch.Tensor, names: Iterable[str]) -> Totals:
    """Sums since the last call, which are then forgotten; empty where nothing was looked at.

    Reads the device.

    Args:
        tally: A sum for each name, and behind them how many samples were looked at.
        names: What the sums are logged under.
    """
    *sums, count = tally.tolist()
    tally.zero_()
    if not count:
        return {}
    return {name: (total, int(count)) for name, total in zip(names, sums, strict=True)}
