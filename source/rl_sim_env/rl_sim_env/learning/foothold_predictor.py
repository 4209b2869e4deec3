"""Where feet touch down next, out of state and action: a Gaussian for each foot."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from rsl_rl.modules import MLP
from torch import nn

from rl_sim_env.learning.footholds_cfg import FootholdsCfg
from rl_sim_env.learning.footing import Footing

_REACH = 0.25
"""Scale of what feet and predictions differ by [m]: about half a stride."""

_BETA = 0.5
"""Power of the variance that the likelihood of a sample is weighted by."""

_NODES = torch.linspace(-2.0, 2.0, 5)
"""Nodes of the quadrature along each axis, in standard deviations."""


class Foothold(NamedTuple):
    """Where a foot will touch down: an isotropic Gaussian in the base-yaw frame of the step."""

    mean: torch.Tensor
    """[m], shape (..., F, 2)."""

    sigma: torch.Tensor
    """Standard deviation along x and y each [m], shape (..., F)."""


class FootholdPredictor(nn.Module):
    """An MLP that tells where each foot goes from where it is.

    Args:
        width: Width of the observations and the action together.
        num_feet: Number of feet F.
        cfg: Sizes and bounds.
    """

    def __init__(self, width: int, num_feet: int, cfg: FootholdsCfg) -> None:
        super().__init__()
        self._num_feet = num_feet
        low, high = map(math.log, cfg.sigma_range)
        self._low, self._span = low, high - low
        self.net = MLP(width + 3 * num_feet, 3 * num_feet, cfg.hidden_dims, "elu")

    def forward(self, seen: torch.Tensor, feet: Footing) -> Foothold:
        """Predict.

        Args:
            seen: Observations and action, shape (..., width).
            feet: Where the feet are as the step begins.
        """
        now = feet.foot_xy
        read = torch.cat((seen, now.flatten(-2) / _REACH, feet.stands.float()), dim=-1)
        *offset, scale = self.net(read).unflatten(-1, (3, self._num_feet)).unbind(dim=-2)
        # Bounded smoothly, so that gradients live on.
        log_sigma = self._low + self._span * scale.sigmoid()
        return Foothold(now + _REACH * torch.stack(offset, dim=-1), log_sigma.exp())


def likelihood_loss(foothold: Foothold, xy: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Negative log-likelihood of touchdowns but for its constant, weighted mean, shape ().

    The likelihood has errors count less where they are large, so that what is hard to tell is told
    ever worse; each sample is weighted by a power of its variance against that (beta-NLL, Seitzer
    et al., arXiv:2203.09168). Where the gradient is zero does not change by it.

    Args:
        foothold: What was predicted.
        xy: Where the feet touched down [m], shape (..., F, 2).
        weight: Weight of each, shape (..., F).
    """
    squared = (xy - foothold.mean).square().sum(dim=-1)
    variance = foothold.sigma.square()
    loss = 0.5 * squared / variance + variance.log()
    weight = weight * variance.detach().pow(_BETA)
    return (weight * loss).sum() / weight.sum().clamp(min=1e-6)


def expected(of_place: Callable[[torch.Tensor], torch.Tensor], foothold: Foothold) -> torch.Tensor:
    """Mean of a quantity of the ground over a Gaussian, by 5 x 5 nodes within two deviations.

    Args:
        of_place: The quantity at places (..., points, 2) of the Gaussian's frame, (..., points).
        foothold: Shape (..., F) and (..., F, 2).

    Returns:
        Shape (..., F).
    """
    line = _NODES.to(foothold.mean.device)
    nodes = torch.cartesian_prod(line, line)
    density = (-0.5 * nodes.square().sum(dim=-1)).exp()
    places = foothold.mean[..., None, :] + foothold.sigma[..., None, None] * nodes
    values = of_place(places.flatten(-3, -2)).unflatten(-1, (-1, len(nodes)))
    return (values * (density / density.sum())).sum(dim=-1)
