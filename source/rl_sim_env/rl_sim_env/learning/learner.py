"""A set of networks with its own optimiser and gradient clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True, kw_only=True)
class Learner:
    """Networks that one optimiser trains, apart from all other learners."""

    modules: Sequence[nn.Module]
    """Networks; the gradient of each is clipped on its own."""

    optimizer: torch.optim.Optimizer
    """Optimiser of all their parameters."""

    max_grad_norm: float
    """Clip of the gradient norm of each network; > 0."""

    def gradients(self) -> list[torch.Tensor]:
        """Gradients of all parameters, in an order that is the same on all ranks."""
        parameters = (p for module in self.modules for p in module.parameters())
        return [p.grad for p in parameters if p.grad is not None]

    def step(self) -> None:
        """Clip the gradients and apply them."""
        for module in self.modules:
            nn.utils.clip_grad_norm_(module.parameters(), self.max_grad_norm)
        self.optimizer.step()
