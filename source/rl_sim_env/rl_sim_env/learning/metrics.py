"""Losses of an update: summed on the device, read once, checked."""

from __future__ import annotations

import logging
import math
from collections import Counter, deque
from collections.abc import Mapping
from statistics import median

import torch

from rl_sim_env.learning.collectives import average_over_ranks

_logger = logging.getLogger(__name__)


class LossMeter:
    """Sums named scalars on the device; one host read at the end of an update gives the means."""

    def __init__(self) -> None:
        # Scalars that are added together are one tensor, under the tuple of their names.
        self._sums: dict[tuple[str, ...], torch.Tensor] = {}
        self._counts: dict[tuple[str, ...], int] = {}

    @torch.no_grad()
    def add(self, values: Mapping[str, torch.Tensor]) -> None:
        """Add one sample of each scalar, shape ()."""
        if not values:
            return
        names, sample = tuple(values), torch.stack(tuple(values.values()))
        self._sums[names] = self._sums[names] + sample if names in self._sums else sample
        self._counts[names] = self._counts.get(names, 0) + 1

    def read(self) -> dict[str, float]:
        """Means of all scalars over all ranks, which are then forgotten.

        Raises:
            FloatingPointError: Some of them are not finite; the message names them.
        """
        totals = torch.cat([total.double() for total in self._sums.values()])
        average_over_ranks([totals])
        counted = [(name, self._counts[names]) for names in self._sums for name in names]
        sums, counts = Counter[str](), Counter[str]()
        for (name, count), total in zip(counted, totals.tolist(), strict=True):
            sums[name] += total
            counts[name] += count
        means = {name: sums[name] / counts[name] for name in counts}
        self._sums.clear()
        self._counts.clear()
        broken = [name for name, mean in means.items() if not math.isfinite(mean)]
        if broken:
            raise FloatingPointError(
                f"not finite after this update: {', '.join(broken)}. Look for extreme values in "
                "observations or rewards of the last rollout, or lower the learning rate"
            )
        return means


class SpikeDetector:
    """Warns, once, when a value jumps above its running median.

    Args:
        name: What the value is, for the message.
        factor: A value this many times the median is a spike.
        window: Number of values in the median; no spike is found before it is full.
    """

    def __init__(self, name: str, factor: float, window: int) -> None:
        self._name = name
        self._factor = factor
        self._recent: deque[float] = deque(maxlen=window)
        self._warned = False

    def watch(self, value: float) -> None:
        """Look at the value of one update."""
        if len(self._recent) == self._recent.maxlen and not self._warned:
            usual = median(self._recent)
            if value > self._factor * usual:
                self._warned = True
                _logger.warning(
                    "%s is %.3g, more than %g times its median %.3g over the last %d updates. "
                    "The estimates are unreliable now; look for corrupt observations, or lower "
                    "the learning rate of the VAE. This warning appears once.",
                    self._name,
                    value,
                    self._factor,
                    usual,
                    len(self._recent),
                )
        self._recent.append(value)
