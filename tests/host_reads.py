"""Finds the places where the host would have to wait for a GPU, on a machine that has none."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

_READS = frozenset(
    ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "equal")
)
"""Operations that hand a value of the device to the host, or a shape that depends on one."""

_INDEXING = frozenset(("index", "index_put", "index_put_", "_index_put_impl_"))
"""Operations that do so where an index is a mask."""


class HostReads(TorchDispatchMode):
    """Collects such places while it is active."""

    def __init__(self) -> None:
        super().__init__()
        self.places: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.split("::")[1]
        masks = name in _INDEXING and any(i is not None and i.dtype == torch.bool for i in args[1])
        if name in _READS or masks:
            frames = [f for f in traceback.extract_stack()[:-1] if "/torch/" not in f.filename]
            self.places.add(f"{name} at {frames[-1].filename}:{frames[-1].lineno}")
        return func(*args, **(kwargs or {}))


def uncounted(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with its own reads left out."""

    def call(*args: Any, **kwargs: Any) -> Any:
        with _disable_current_modes():
            return function(*args, **kwargs)

    return call
