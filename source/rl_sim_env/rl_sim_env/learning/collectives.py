"""Exchange of tensors between the processes of a run; no-ops where there is only one."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist

_EPS = 1e-8
"""Keeps standardised constants finite."""


def world_size() -> int:
    """Number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sum_over_ranks(tensor: torch.Tensor) -> torch.Tensor:
    """Replace a tensor by its sum over all processes, in place, and return it."""
    if world_size() > 1:
        dist.all_reduce(tensor)
    return tensor


def max_over_ranks(tensor: torch.Tensor) -> torch.Tensor:
    """Replace a tensor by its greatest values over all processes, in place, and return it."""
    if world_size() > 1:
        dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
    return tensor


@torch.no_grad()
def average_over_ranks(tensors: Sequence[torch.Tensor]) -> None:
    """Replace tensors by their means over all processes, in place and in one collective."""
    if world_size() == 1:
        return
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    dist.all_reduce(flat)
    flat /= world_size()
    means = flat.split([tensor.numel() for tensor in tensors])
    for tensor, mean in zip(tensors, means, strict=True):
        tensor.copy_(mean.view_as(tensor))


def moments_over_ranks(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Number of samples, their mean and their mean square, over all processes.

    Args:
        values: Shape (B, width).

    Returns:
        Shape (width,) each, in double precision.
    """
    wide = values.double()
    sums = torch.stack((torch.full_like(wide[0], len(wide)), wide.sum(0), wide.square().sum(0)))
    count, total, total_square = sum_over_ranks(sums)
    return count, total / count, total_square / count


def standardize_over_ranks(values: torch.Tensor) -> torch.Tensor:
    """Shift and scale to mean 0 and standard deviation 1 over all elements of all processes."""
    _, mean, mean_square = moments_over_ranks(values.reshape(-1, 1))
    std = (mean_square - mean.square()).clamp(min=0.0).sqrt()
    return ((values.double() - mean) / (std + _EPS)).to(values.dtype)


def broadcast_state(state: dict[str, Any], device: str) -> dict[str, Any]:
    """The state that rank 0 passed, with all tensors on this process's device.

    The state travels as bytes: tensors pickled from a GPU would make every process open a context
    on the GPU of rank 0.
    """
    if world_size() == 1:
        return state
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = [buffer.getvalue()]
    dist.broadcast_object_list(payload, src=0, device=torch.device(device))
    return torch.load(io.BytesIO(payload[0]), map_location=device, weights_only=True)
