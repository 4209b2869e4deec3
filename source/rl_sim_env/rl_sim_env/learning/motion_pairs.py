"""Where expert motions come from, as learners see it."""

from __future__ import annotations

from typing import Protocol

import torch

Pairs = tuple[torch.Tensor, torch.Tensor]
"""States (s_t, s_t+1) one control step apart, shape (B, width) each."""


class PairSource(Protocol):
    """Source of expert pairs."""

    def sample_pairs(self, batch_size: int) -> Pairs:
        """Draw pairs of one control step, in the layout of ``amp_obs``, shape (B, width) each."""
        ...
