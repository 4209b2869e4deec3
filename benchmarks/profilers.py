"""Profilers: time that parts of a step take, device memory, waits of the host for the device."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from record import GIB

REST = "all else"

_SYNC_MESSAGE = "synchronizing CUDA operation"
"""What torch's warnings about such operations say."""


def synchronize(device: str) -> None:
    """Wait until the device has done all it was told to; a CPU always has."""
    if device != "cpu":
        torch.cuda.synchronize(device)


class MemoryMeter:
    """Device memory taken while the meter is active, over all the times it is.

    Args:
        device: Torch device; of a CPU nothing is measured.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._taken = 0
        self._free = 0

    @property
    def gib(self) -> float | None:
        """Memory taken so far [GiB]; None on a CPU."""
        return None if self._device == "cpu" else self._taken / GIB

    def __enter__(self) -> MemoryMeter:
        self._free = self._read_free()
        return self

    def __exit__(self, *exception: object) -> None:
        self._taken += self._free - self._read_free()

    def _read_free(self) -> int:
        # Asks the driver: torch does not know what Warp has taken.
        return 0 if self._device == "cpu" else torch.cuda.mem_get_info(self._device)[0]


class Part(NamedTuple):
    """A method whose calls are timed."""

    name: str
    """Name of its time; several methods may share one."""
    owner: Any
    """Object that has it."""
    method: str
    """Its name there."""


class PartTimer:
    """Times parts of a computation, with a synchronisation around each call.

    A stopwatch that runs for one part at a time: a part that calls another is charged only for the
    rest, and what no part does is charged to ``all else``. So the parts add up to the whole.

    Args:
        parts: The parts.
        device: Torch device.

    Attributes:
        seconds: Time by part, over all the times the timer was active [s].
    """

    def __init__(self, parts: Iterable[Part], device: str) -> None:
        self._parts = tuple(parts)
        self._device = device
        self._running = REST
        self._since = 0.0
        self.seconds: dict[str, float] = dict.fromkeys((*(p.name for p in self._parts), REST), 0.0)

    def __enter__(self) -> PartTimer:
        for name, owner, method in self._parts:
            setattr(owner, method, self._timed(name, getattr(owner, method)))
        synchronize(self._device)
        self._since = time.perf_counter()
        return self

    def __exit__(self, *exception: object) -> None:
        self._switch(REST)
        for part in self._parts:
            delattr(part.owner, part.method)

    def _timed(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            caller = self._running
            if caller == name:
                return method(*args, **kwargs)
            self._switch(name)
            result = method(*args, **kwargs)
            self._switch(caller)
            return result

        return call

    def _switch(self, name: str) -> None:
        synchronize(self._device)
        now = time.perf_counter()
        self.seconds[self._running] += now - self._since
        self._running, self._since = name, now


def host_syncs(computation: Callable[[], None]) -> Counter[str]:
    """Count how often torch waits for a CUDA device, by file and line.

    Torch sees its own waits alone, not those of Warp.
    """
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            computation()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return Counter(
        f"{Path(warning.filename).name}:{warning.lineno}"
        for warning in caught
        if _SYNC_MESSAGE in str(warning.message)
    )
