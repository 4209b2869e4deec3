"""The Gaussian that actors draw actions from."""

from __future__ import annotations

import torch
from rsl_rl.modules.distribution import GaussianDistribution


class Gaussian(GaussianDistribution):
    """rsl_rl's Gaussian, drawn from only while acting and without a check that reads the device.

    A loss wants the distribution and no sample. Where gradients are recorded the mean stands in for
    one: a draw would cost time, and would fail on NaN before a loss can say where it came from.
    """

    def sample(self) -> torch.Tensor:
        """One sample of each action, shape (..., number of actions)."""
        if torch.is_grad_enabled():
            return self.mean
        return self.mean + self.std * torch.randn_like(self.mean)
