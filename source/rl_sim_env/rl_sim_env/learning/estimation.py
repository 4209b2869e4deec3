"""What is estimated: the one place that turns its declaration into targets, units and names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import nn

from rl_sim_env.learning.estimate_cfg import EstimateCfg
from rl_sim_env.learning.layout import LayoutError, ObservationLayout

_AXES = "xyz"


class Estimate(Mapping[str, torch.Tensor]):
    """Estimated quantities by name; in SI units where nothing else is said.

    ``estimate["mass"]`` and ``estimate.mass`` are the same, shape (..., width of the quantity).
    """

    def __init__(self, parts: Mapping[str, torch.Tensor]) -> None:
        self._parts = dict(parts)

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._parts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def __getattr__(self, name: str) -> torch.Tensor:
        parts = self.__dict__.get("_parts", {})
        if name not in parts:
            raise AttributeError(f"'{name}' is not estimated; {', '.join(parts) or 'nothing'} is")
        return parts[name]

    def joined(self) -> torch.Tensor:
        """All quantities side by side, shape (..., sum of their widths)."""
        return torch.cat(tuple(self._parts.values()), dim=-1)


class Component(NamedTuple):
    """One number of an estimate as people read it."""

    target: str
    """Quantity that it belongs to."""

    label: str
    """``CoM x``."""

    unit: str
    """Unit that it is shown in."""

    per_si: float
    """From SI units to that unit."""


class EstimationTargets(nn.Module):
    """Turns privileged observations into normalised targets, and estimates back into SI units.

    A *normalised* estimate or target is the concatenation of all quantities, each the observation
    as it is, multiplied by the quantity's own factor.

    Nothing here is learned or saved; it is a module to move to a device with its network.

    Args:
        layout: What stands where in the observations.
        declared: Quantities by name, in the order of an estimate.

    Raises:
        LayoutError: The layout lacks one of the privileged terms.

    Attributes:
        declared: As given.
        widths: Number of elements of each quantity.
        width: Number of elements of an estimate.
    """

    _factors: torch.Tensor
    _normalized_per_si: torch.Tensor

    def __init__(self, layout: ObservationLayout, declared: Mapping[str, EstimateCfg]) -> None:
        super().__init__()
        self.declared = dict(declared)
        terms = [layout.term(each.group, each.term) for each in self.declared.values()]
        self.widths = {name: term.width for name, term in zip(self.declared, terms, strict=True)}
        self.width = sum(self.widths.values())
        self._layout = layout
        factors = [each.factor for name, each in declared.items() for _ in range(self.widths[name])]
        scales = [scale for term in terms for scale in term.scales]
        self.register_buffer("_factors", torch.tensor(factors), persistent=False)
        self.register_buffer(
            "_normalized_per_si", torch.tensor(factors) * torch.tensor(scales), persistent=False
        )

    @property
    def components(self) -> tuple[Component, ...]:
        """The numbers of an estimate, in order, as people read them."""
        return tuple(
            Component(name, f"{each.label} {axis}".rstrip(), each.shown_unit, each.shown_per_si)
            for name, each in self.declared.items()
            for axis in _axes(self.widths[name])
        )

    def truth(self, observations: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The targets: what is true, normalised.

        Args:
            observations: The privileged groups, shape (..., width of the group) each.

        Returns:
            Shape (..., width).

        Raises:
            LayoutError: A group is missing.
        """
        parts = []
        for each in self.declared.values():
            if each.group not in observations:
                raise LayoutError(
                    f"the truth about '{each.term}' stands in the observation group "
                    f"'{each.group}', which is missing here: only a simulation has it"
                )
            columns = self._layout.slice(each.group, each.term)
            parts.append(observations[each.group][..., columns])
        return torch.cat(parts, dim=-1) * self._factors

    def split(self, normalized: torch.Tensor) -> Estimate:
        """The quantities by name, still normalised. Shape (..., width)."""
        parts = normalized.split(tuple(self.widths.values()), dim=-1)
        return Estimate(dict(zip(self.declared, parts, strict=True)))

    def to_si(self, normalized: torch.Tensor) -> Estimate:
        """The quantities in SI units. Shape (..., width)."""
        return self.split(normalized / self._normalized_per_si)

    def std_in_si(self, logvar: torch.Tensor) -> Estimate:
        """Standard deviations in SI units, of log-variances of normalised errors.

        Shape (..., width).
        """
        return self.split(torch.exp(0.5 * logvar) / self._normalized_per_si.abs())

    def rmse(self, squared_error: torch.Tensor) -> Estimate:
        """Root mean square length of the error vectors.

        Args:
            squared_error: Mean square error of each element, normalised, shape (width,).

        Returns:
            One error for each quantity, in its SI unit, shape ().
        """
        parts = self.split(squared_error / self._normalized_per_si.square())
        return Estimate({name: part.sum().sqrt() for name, part in parts.items()})


def _axes(width: int) -> tuple[str, ...]:
    """Names of the elements of a quantity; one that is alone needs none."""
    if width == 1:
        return ("",)
    return tuple(_AXES) if width == len(_AXES) else tuple(map(str, range(width)))
