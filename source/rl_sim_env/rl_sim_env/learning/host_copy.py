"""Copies of a device's tensors on the host, also for when the device answers no more."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from rl_sim_env.compat.torch import pytree


class HostCopy:
    """What tensors held when they were copied last; reading it asks no device.

    Two copies take turns. While one is written, the other is whole; another thread may read it, and
    go on reading it until the copy after that.

    A GPU in a collective whose other side is gone waits for ever. Copying from it may wait, too: a
    kernel that it runs for the first time is loaded then, for which CUDA may need it idle.

    The memory of both is taken once and page-locked, so that all copies are queued and waited for
    together.
    """

    def __init__(self) -> None:
        self._newest: tuple[list[Any], pytree.TreeSpec] | None = None
        self._before: tuple[list[Any], pytree.TreeSpec] | None = None

    def refresh(self, tree: Any) -> None:
        """Copy all tensors of nested containers, on any device, and take over what is none."""
        leaves, form = pytree.tree_flatten(tree)
        places, earlier_form = self._before or ([], None)
        if form != earlier_form:
            places = [None] * len(leaves)
        copies = [_copied(new, old) for new, old in zip(leaves, places, strict=True)]
        if torch.cuda.is_initialized():
            torch.cuda.current_stream().synchronize()
        self._newest, self._before = (copies, form), self._newest

    def read(self) -> Any:
        """What was copied last, in the same containers, tensors on the CPU.

        Raises:
            RuntimeError: Nothing was copied yet.
        """
        if self._newest is None:
            raise RuntimeError("refresh() comes before read()")
        return pytree.tree_unflatten(*self._newest)


def copied_to_host(tree: Any) -> Any:
    """Nested containers with a copy of each tensor on the CPU, also of those that are there."""
    copied = partial(torch.Tensor.to, device="cpu", copy=True)
    return pytree.tree_map_only(torch.Tensor, copied, tree)


def _copied(value: Any, place: Any) -> Any:
    """A tensor's copy, in the memory of an earlier one where it fits; anything else as it is."""
    if not isinstance(value, torch.Tensor):
        return value
    fits = isinstance(place, torch.Tensor) and (place.shape, place.dtype) == (
        value.shape,
        value.dtype,
    )
    if not fits:
        place = torch.empty(value.shape, dtype=value.dtype, pin_memory=value.is_cuda)
    return place.copy_(value.detach(), non_blocking=True)
