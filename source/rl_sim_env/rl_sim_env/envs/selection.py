"""Lists of environments whose length does not depend on the data."""

from __future__ import annotations

import torch


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
