"""Works that do not depend on each other, at the same time on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch

_streams: ContextVar[list[torch.cuda.Stream] | None] = ContextVar("_streams", default=None)
"""Streams beside the one that is being recorded; None: nothing is, or works follow each other."""


@contextmanager
def overlapping() -> Iterator[None]:
    """While a recording is made in this context, it holds works side by side."""
    token = _streams.set([])
    try:
        yield
    finally:
        _streams.reset(token)


def side_by_side(*works: Callable[[], Any]) -> list[Any]:
    """Do works of which none needs what another writes; return their results in order.

    Most kernels of a control step are too small to fill a GPU: a recorded step takes as long as its
    longest chain of kernels. Anywhere but in a recording under :func:`overlapping`, the works
    follow each other.
    """
    streams = _streams.get()
    if streams is None:
        return [work() for work in works]
    mine = torch.cuda.current_stream()
    first, *others = works
    while len(streams) < len(others):
        streams.append(torch.cuda.Stream())
    beside = streams[: len(others)]
    for stream in beside:
        stream.wait_stream(mine)
    results = [first()]
    for stream, work in zip(beside, others, strict=True):
        with torch.cuda.stream(stream):
            results.append(work())
    for stream in beside:
        mine.wait_stream(stream)
    return results
