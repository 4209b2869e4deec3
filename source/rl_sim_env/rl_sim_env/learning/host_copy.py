"""A copy of a device's tensors on the host, for when the device answers no more."""

from __future__ import annotations

from typing import Any

import torch

from rl_sim_env.compat.torch import pytree


class HostCopy:
    """What tensors held when they were copied last; reading it asks no device.

    A GPU in a collective whose other side is gone waits for ever. Copying from it may wait, too: a
    kernel that it runs for the first time is loaded then, for which CUDA may need it idle.

    The memory is taken once and page-locked, so that all copies are queued and waited for together.
    """

    def __init__(self) -> None:
        self._leaves: list[Any] = []
        self._form: pytree.TreeSpec | None = None

    def refresh(self, tree: Any) -> None:
        """Copy all tensors of nested containers, on any device, and take over what is none."""
        leaves, form = pytree.tree_flatten(tree)
        before = self._leaves if form == self._form else [None] * len(leaves)
        self._leaves = [_copied(new, old) for new, old in zip(leaves, before, strict=True)]
        self._form = form
        if torch.cuda.is_initialized():
            torch.cuda.current_stream().synchronize()

    def read(self) -> Any:
        """What was copied last, in the same containers, tensors on the CPU.

        Raises:
            RuntimeError: Nothing was copied yet.
        """
        if self._form is None:
            raise RuntimeError("refresh() comes before read()")
        return pytree.tree_unflatten(self._leaves, self._form)


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
