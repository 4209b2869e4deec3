"""Running mean and variance on the device, the same on all ranks."""

from __future__ import annotations

import torch
from torch import nn

from rl_sim_env.learning.collectives import moments_over_ranks

_EPS = 1e-4
"""Added to the variance, so that constant features stay finite."""


class RunningNormalizer(nn.Module):
    """Normalises features by the mean and variance of all batches seen so far.

    Batches are merged by the parallel update of Chan, Golub and LeVeque (1979), in float64. The
    statistics are buffers, so checkpoints hold them.

    Args:
        width: Number of features.
        clip: Bound of the normalised features [standard deviations].
        memory: Greatest number of samples that count; beyond it older batches fade.
    """

    count: torch.Tensor
    mean: torch.Tensor
    var: torch.Tensor

    def __init__(self, width: int, clip: float, memory: float) -> None:
        super().__init__()
        self.clip = clip
        self.memory = memory
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(width, dtype=torch.float64))
        self.register_buffer("var", torch.ones(width, dtype=torch.float64))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Normalise and clip. Shape (..., width) -> (..., width)."""
        scale = torch.rsqrt(self.var + _EPS).float()
        return ((values - self.mean.float()) * scale).clamp(-self.clip, self.clip)

    @torch.no_grad()
    def update(self, values: torch.Tensor) -> None:
        """Merge a batch of every rank into the statistics.

        Args:
            values: Shape (B, width).
        """
        count, mean, mean_square = moments_over_ranks(values)
        var = mean_square - mean.square()
        total = self.count + count[0]
        share = count[0] / total
        shift = mean - self.mean
        self.var.mul_(1.0 - share).add_(share * var + share * (1.0 - share) * shift.square())
        self.mean.add_(share * shift)
        self.count.copy_(total.clamp(max=self.memory))
