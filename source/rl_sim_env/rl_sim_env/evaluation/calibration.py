"""Is an estimate right on average, whatever the truth?"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from rl_sim_env.evaluation.report import Plot, Series
from rl_sim_env.learning.estimation import EstimationTargets

CALIBRATION_BINS = 32
"""Bins of the calibration plots, over the range that each quantity is shown in."""

_LEAST_SHARE = 1e-3
"""Bins with a smaller share of the samples are left out of the plots."""


class CalibrationCurves:
    """Mean estimate over the truth, in bins."""

    def __init__(self, targets: EstimationTargets, device: str) -> None:
        self._targets = targets
        components = targets.components
        ranges = [targets.declared[each.target].shown_range for each in components]
        units = [each.per_si for each in components]
        self._low, self._high = torch.tensor(ranges, device=device).unbind(dim=1)
        self._units = torch.tensor(units, device=device)
        self._first = CALIBRATION_BINS * torch.arange(len(components), device=device)
        # One row a bin: number of samples, sums of truth, of estimate and of its square.
        rows = CALIBRATION_BINS * len(components)
        self._sums = torch.zeros(rows, 4, dtype=torch.double, device=device)

    def add(self, truth: torch.Tensor, estimate: torch.Tensor) -> None:
        """Take in samples in SI units, shape (num_robots, width of an estimate)."""
        truth, estimate = truth * self._units, estimate * self._units
        share = (truth - self._low) / (self._high - self._low)
        inside = (share >= 0.0) & (share < 1.0)
        cell = self._first + (share * inside * CALIBRATION_BINS).long()
        values = torch.stack((torch.ones_like(truth), truth, estimate, estimate.square()), dim=-1)
        values = (values * inside[..., None]).double()
        self._sums.index_add_(0, cell.flatten(), values.flatten(0, 1))

    def plots(self) -> tuple[Plot, ...]:
        """One plot for each quantity."""
        series: dict[str, list[Series]] = {}
        parts = self._sums.cpu().split(CALIBRATION_BINS)
        for component, sums in zip(self._targets.components, parts, strict=True):
            series.setdefault(component.target, []).append(_curve(component.label, sums))
        declared = self._targets.declared
        return tuple(
            Plot(
                name=f"calibration_{name}",
                title=f"Mean estimate over the truth: {declared[name].label}",
                x_label=f"true {declared[name].label} [{declared[name].shown_unit}]",
                y_label=f"estimated {declared[name].label} [{declared[name].shown_unit}]",
                series=(*lines, _diagonal(lines)),
            )
            for name, lines in series.items()
        )


def _curve(label: str, sums: torch.Tensor) -> Series:
    sums = sums[sums[:, 0] > _LEAST_SHARE * sums[:, 0].sum()]
    _, truth, estimate, square = (sums / sums[:, :1]).unbind(dim=1)
    deviation = (square - estimate.square()).clamp(min=0.0).sqrt()
    return Series(
        label=label,
        x=tuple(truth.tolist()),
        y=tuple(estimate.tolist()),
        spread=tuple(deviation.tolist()),
    )


def _diagonal(lines: Sequence[Series]) -> Series:
    x = [value for line in lines for value in line.x] or [0.0]
    ends = (min(x), max(x))
    return Series(label="truth", x=ends, y=ends)
