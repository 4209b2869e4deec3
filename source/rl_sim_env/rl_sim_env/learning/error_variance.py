"""How far an estimate may be off, and between which values it was ever trained."""

from __future__ import annotations

import torch
from torch import nn

from rl_sim_env.conventions import DEVIATIONS_95
from rl_sim_env.learning.collectives import max_over_ranks

_FAR = torch.finfo(torch.float32).max
"""Ends of a range that nothing has been seen in yet; checkpoints hold finite numbers alone."""


class ErrorVariance(nn.Module):
    """Log-variances of the errors of an estimate, out of what the estimate is read from.

    Estimate and variance are mean and variance of a Gaussian, whose negative log-likelihood is
    minimised (Nix and Weigend, ICNN 1994); but only by the variance. On the mean that loss has
    errors count less where they are large, so that what is hard to tell is told ever worse (Seitzer
    et al., arXiv:2203.09168). Here errors and features are detached (Stirn et al.,
    arXiv:2212.09184): the estimate is that of its squared error alone. It is so to the bit as long
    as the gradients of both are clipped apart, since the weights, which begin at zero, draw no
    random numbers.

    It also remembers the least and the greatest truth of training: no estimate has learned anything
    beyond them, and no variance either.

    Args:
        feature_width: Width of the features.
        estimate_width: Number of elements of an estimate.
        log_range: Least and greatest log-variance, of normalised errors.

    Attributes:
        least: Least truth so far, normalised, shape (estimate width,).
        greatest: The greatest.
    """

    least: torch.Tensor
    greatest: torch.Tensor

    def __init__(
        self, feature_width: int, estimate_width: int, log_range: tuple[float, float]
    ) -> None:
        super().__init__()
        self.head = nn.utils.skip_init(nn.Linear, feature_width, estimate_width)
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)
        self._low, high = log_range
        self._span = high - self._low
        self.register_buffer("least", torch.full((estimate_width,), _FAR))
        self.register_buffer("greatest", torch.full((estimate_width,), -_FAR))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Log-variances of normalised errors.

        No gradient reaches the features. Shape (..., feature width) -> (..., estimate width).
        """
        # Bounded smoothly, so that gradients live on.
        return self._low + self._span * self.head(features.detach()).sigmoid()

    def loss(
        self, features: torch.Tensor, estimate: torch.Tensor, truth: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss of the variances alone.

        Args:
            features: Shape (..., feature width).
            estimate: Normalised estimate, shape (..., estimate width).
            truth: Normalised truth, of the same shape.

        Returns:
            Negative log-likelihood of the truth but for its constant, mean over all elements,
            shape (); and the share of truths within the 95 % interval of each element, shape
            (estimate width,).
        """
        logvar = self(features)
        ratio = (estimate.detach() - truth).square() * torch.exp(-logvar)
        covered = (ratio <= DEVIATIONS_95**2).float().reshape(-1, truth.shape[-1]).mean(dim=0)
        return 0.5 * (logvar + ratio).mean(), covered

    def see(self, truth: torch.Tensor) -> None:
        """Widen the range of what training has shown, in all processes alike.

        Args:
            truth: Normalised truths, shape (..., estimate width).
        """
        each = truth.reshape(-1, truth.shape[-1])
        ends = max_over_ranks(torch.cat((-each.amin(dim=0), each.amax(dim=0))))
        negative_least, greatest = ends.chunk(2)
        torch.minimum(self.least, -negative_least, out=self.least)
        torch.maximum(self.greatest, greatest, out=self.greatest)

    def seen(self) -> torch.Tensor | None:
        """Least and greatest truth of training, shape (2, estimate width); None before any."""
        if (self.least > self.greatest).any():
            return None
        return torch.stack((self.least, self.greatest))
