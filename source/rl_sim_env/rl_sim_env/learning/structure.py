"""Whether what a file holds has the form of what it is to be loaded into."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from rl_sim_env.errors import UserError, misfit


class MisfitError(UserError):
    """What was saved is of another form than what is there."""


def require_like(saved: Any, own: Any, where: str, *, rows_may_differ: bool = False) -> None:
    """Refuse a saved state that is not of the form of one's own.

    It must have every key of ``own``; what it has beyond them is not looked at, and nothing is
    known of what is to stand in an empty container or in the place of None. Numbers are finite.

    Args:
        saved: The state, as a file holds it.
        own: What is there now: tensors and plain values in nested containers.
        where: What messages call the state.
        rows_may_differ: Whether the first dimension of tensors counts robots, of which there may be
            others now.

    Raises:
        MisfitError: Names the first part that does not fit.
    """
    if isinstance(own, Mapping):
        if not isinstance(saved, Mapping):
            raise _misfit(saved, "a table", where)
        for name, part in own.items():
            if name not in saved:
                raise MisfitError(f"{where}: '{name}' is missing")
            require_like(saved[name], part, f"{where}.{name}", rows_may_differ=rows_may_differ)
    elif isinstance(own, list | tuple):
        if not isinstance(saved, list | tuple):
            raise _misfit(saved, "a list", where)
        if isinstance(own, tuple) and len(saved) != len(own):
            raise _misfit(saved, f"{len(own)} values", where)
        likes = own if isinstance(own, tuple) else own[:1] * len(saved)
        for place, (part, like) in enumerate(zip(saved, likes, strict=False)):
            require_like(part, like, f"{where}.{place}", rows_may_differ=rows_may_differ)
    elif isinstance(own, torch.Tensor):
        first = 1 if rows_may_differ else 0
        if (
            not isinstance(saved, torch.Tensor)
            or saved.dtype != own.dtype
            or saved.dim() != own.dim()
            or saved.shape[first:] != own.shape[first:]
        ):
            raise _misfit(saved, _told(own), where)
    elif isinstance(own, bool | str):
        if type(saved) is not type(own):
            raise _misfit(saved, f"of type {type(own).__name__}", where)
    elif isinstance(own, int | float) and not _is_number(saved, type(own)):
        raise _misfit(saved, "a finite number", where)


def require_tensors(saved: Any, where: str) -> None:
    """Refuse what is anything but tensors in nested tables.

    Raises:
        MisfitError: Names the first part that is something else.
    """
    if isinstance(saved, Mapping):
        for name, part in saved.items():
            require_tensors(part, f"{where}.{name}")
    elif not isinstance(saved, torch.Tensor):
        raise _misfit(saved, "a tensor", where)


def _is_number(value: Any, kind: type) -> bool:
    return isinstance(value, (int, kind)) and not isinstance(value, bool) and math.isfinite(value)


def _misfit(saved: Any, wanted: str, where: str) -> MisfitError:
    return MisfitError(misfit(where, _told(saved), wanted))


def _told(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
    return f"of type {type(value).__name__}"
