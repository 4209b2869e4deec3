"""Lists of environments whose length does not depend on the data."""

from __future__ import annotations

import torch

from rl_sim_env.envs.episode_meter import Totals


def padded_ids(
    mask: torch.Tensor, size: int, fill: int, urgent: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices where a mask is true, as many as fit; reads nothing on the host.

    Args:
        mask: Shape (n,).
        size: Length of the list.
        fill: Stands where there are fewer.
        urgent: Which of them come before the others, shape (n,); None for none.

    Returns:
        The indices, those that are urgent and the others in rising order, shape (size,), and how
        many of them are true, shape ().
    """
    rank = mask.cumsum(0) - 1
    if urgent is not None:
        first = mask & urgent
        behind = first.sum() + (mask & ~urgent).cumsum(0) - 1
        rank = torch.where(first, first.cumsum(0) - 1, behind)
    # One place more takes what is false and what does not fit.
    place = torch.where(mask & (rank < size), rank, size)
    ids = torch.full((size + 1,), fill, dtype=torch.long, device=mask.device)
    ids.scatter_(0, place, torch.arange(len(mask), device=mask.device))
    return ids[:size], mask.sum().clamp(max=size)


class EnvSelector:
    """Lists the environments of masks: all of them or, for fixed shapes, always equally many.

    Args:
        num_robots: Number of environments that count; the one behind them is padding.
        capacity: Length of every list; None: as long as it needs to be.
        device: Where masks live.
    """

    def __init__(self, num_robots: int, capacity: int | None, device: str) -> None:
        self._num_robots = num_robots
        self._capacity = capacity
        self._waited = torch.zeros((), dtype=torch.long, device=device)

    def select(self, mask: torch.Tensor, urgent: torch.Tensor | None = None) -> torch.Tensor:
        """Indices of the environments of a mask.

        With fixed shapes the padding environment fills the list, and what finds no place is left
        out, without a read from the device.

        Args:
            mask: Shape (num_envs,).
            urgent: Who comes first where there is not room for all. Shape (num_envs,).
        """
        if self._capacity is None:
            return mask.nonzero().squeeze(-1)
        return padded_ids(mask, self._capacity, fill=self._num_robots, urgent=urgent)[0]

    def admitted(self, due: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """Whose episode ends now; those that found no place go on until the next step.

        Args:
            due: Whose episode should end. Shape (num_envs,).
            ids: What :meth:`select` made of it.

        Returns:
            Shape (num_envs,).
        """
        if self._capacity is None:
            return due
        ends = torch.zeros_like(due)
        ends[ids] = True
        ends &= due
        self._waited += (due & ~ends).sum()
        return ends

    def read_log(self) -> Totals:
        """``Perf/waiting_resets`` since the last call, with fixed shapes: who found no place."""
        if self._capacity is None:
            return {}
        waited = int(self._waited)
        self._waited.zero_()
        return {"Perf/waiting_resets": (waited, 1)}
