"""Looks for values that are not finite in what is saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch


def first_not_finite(tree: Any) -> str | None:
    """Name of the first tensor or number that is NaN or infinite; None where all are finite.

    Reads the device.

    Args:
        tree: Tensors and other values in nested dictionaries, lists and tuples.

    Returns:
        Its place from the outside in: ``learners.policy.modules.actor.mlp.0.weight``.
    """
    return next((".".join(path) for path, of in _tensors(tree) if not of.isfinite().all()), None)


def _tensors(
    tree: Any, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], torch.Tensor]]:
    if isinstance(tree, torch.Tensor | float):
        yield path, torch.as_tensor(tree)
        return
    parts = tree.items() if isinstance(tree, Mapping) else ()
    if isinstance(tree, list | tuple):
        parts = enumerate(tree)
    for name, part in parts:
        yield from _tensors(part, (*path, str(name)))
