"""Finds the places in a control step where the host waits for the device, or copies to it."""

from __future__ import annotations

import traceback
from typing import Any

import torch

from rl_sim_env.compat.torch import TorchDispatchMode, pytree

_READS = frozenset(
    ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "equal")
)
"""Operations that hand a value of the device to the host, or a shape that depends on one."""

_INDEXING = frozenset(("index", "index_put", "index_put_", "_index_put_impl_"))
"""Operations that do so where an index is a mask."""

_COPIES = frozenset(("copy_", "_to_copy"))
"""Operations that may cross between host and device."""


class HostReads(TorchDispatchMode):
    """Collects such places while it is active; a CUDA graph can hold none of them.

    Operations are judged by what they are, so that it works without a GPU, too. What does not pass
    through torch's dispatcher, such as Warp's kernels, is not seen.

    Attributes:
        places: Operation, file and line of each.
    """

    def __init__(self) -> None:
        super().__init__()
        self.places: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Look at one operation, then run it."""
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in _READS or _uses_mask(name, args) or _crosses(name, args, result):
            frames = [f for f in traceback.extract_stack()[:-1] if "/torch/" not in f.filename]
            self.places.add(f"{name} at {frames[-1].filename}:{frames[-1].lineno}")
        return result


def _uses_mask(name: str, args: Any) -> bool:
    return name in _INDEXING and any(i is not None and i.dtype == torch.bool for i in args[1])


def _crosses(name: str, args: Any, result: Any) -> bool:
    if name not in _COPIES:
        return False
    tensors = [leaf for leaf in pytree.tree_leaves((args, result)) if torch.is_tensor(leaf)]
    return len({tensor.device.type for tensor in tensors}) > 1
