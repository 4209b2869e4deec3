"""What the context VAE estimates: the one place that knows the units of its targets."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from rl_sim_env.learning.layout import ObservationLayout

TRUTH_GROUP = "critic_obs"
"""Observation group that holds the truth."""

ESTIMATED_TERMS = ("base_lin_vel", "random_mass", "random_com")
"""Privileged observations that are estimated, in the order of a code."""


class Estimate(NamedTuple):
    """Velocity, mass and centre of mass; in SI units where nothing else is said."""

    velocity: torch.Tensor
    """Linear velocity of the base, base frame [m/s]. Shape (..., 3)."""

    mass: torch.Tensor
    """Mass of the whole system above nominal [kg]. Shape (..., 1)."""

    com: torch.Tensor
    """Centre of mass of the whole system, base link frame [m]. Shape (..., 3)."""


class EstimationTargets(nn.Module):
    """Turns privileged observations into normalised targets, and codes back into SI units.

    A *code* is the concatenation of velocity, mass and centre of mass, each the observation's slice
    as it is; the centre of mass is multiplied by one factor more.

    Nothing here is learned or saved; it is a module to move to a device with its network.

    Raises:
        LayoutError: The layout lacks one of the privileged terms.
    """

    _factors: torch.Tensor
    _code_per_si: torch.Tensor

    def __init__(self, layout: ObservationLayout, com_scale: float) -> None:
        super().__init__()
        terms = [layout.term(TRUTH_GROUP, name) for name in ESTIMATED_TERMS]
        self.widths = tuple(term.width for term in terms)
        """Number of elements of velocity, mass and centre of mass."""
        self.width = sum(self.widths)
        """Number of elements of a code."""
        self._layout = layout
        factors = [1.0] * self.widths[0] + [1.0] * self.widths[1] + [com_scale] * self.widths[2]
        scales = [scale for term in terms for scale in term.scales]
        self.register_buffer("_factors", torch.tensor(factors), persistent=False)
        self.register_buffer(
            "_code_per_si", torch.tensor(factors) * torch.tensor(scales), persistent=False
        )

    def from_critic(self, critic_obs: torch.Tensor) -> torch.Tensor:
        """The true code.

        Args:
            critic_obs: Privileged observations, shape (..., width of the group).

        Returns:
            Code, shape (..., width).
        """
        return self._layout.gather(TRUTH_GROUP, ESTIMATED_TERMS, critic_obs) * self._factors

    def split(self, code: torch.Tensor) -> Estimate:
        """The three parts of a code, still normalised. Shape (..., width) -> (..., 3 | 1 | 3)."""
        return Estimate(*code.split(self.widths, dim=-1))

    def to_si(self, code: torch.Tensor) -> Estimate:
        """A code in metres per second, kilograms and metres."""
        return self.split(code / self._code_per_si)

    def rmse(self, squared_error: torch.Tensor) -> torch.Tensor:
        """Root mean square length of the error vectors.

        Args:
            squared_error: Mean square error of each element of the code, shape (width,).

        Returns:
            Errors of velocity [m/s], mass [kg] and centre of mass [m], shape (3,).
        """
        parts = self.split(squared_error / self._code_per_si.square())
        return torch.stack([part.sum().sqrt() for part in parts])
