"""Fork and join of CUDA streams: tasks that do not depend on each other run at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch

_streams: ContextVar[list[torch.cuda.Stream] | None] = ContextVar("_streams", default=None)
"""Streams beside the one that is captured; None: nothing is, or the tasks run one after another."""


@contextmanager
def overlapping() -> Iterator[None]:
    """A graph captured in this context runs the tasks of :func:`fork_join` at the same time."""
    token = _streams.set([])
    try:
        yield
    finally:
        _streams.reset(token)


def fork_join(*tasks: Callable[[], Any]) -> list[Any]:
    """Run tasks of which none needs what another writes; return their results in order.

    Most kernels of a control step are too small to fill a GPU: a captured step takes as long as its
    longest chain of kernels. Anywhere but in a capture under :func:`overlapping`, the tasks run one
    after another.
    """
    streams = _streams.get()
    if streams is None:
        return [task() for task in tasks]
    mine = torch.cuda.current_stream()
    first, *others = tasks
    while len(streams) < len(others):
        streams.append(torch.cuda.Stream())
    beside = streams[: len(others)]
    for stream in beside:
        stream.wait_stream(mine)
    results = [first()]
    for stream, task in zip(beside, others, strict=True):
        with torch.cuda.stream(stream):
            results.append(task())
    for stream in beside:
        mine.wait_stream(stream)
    return results
