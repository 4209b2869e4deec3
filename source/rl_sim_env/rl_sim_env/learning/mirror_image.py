"""What becomes of a vector when left and right are exchanged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch

MIRROR_SETTING = "agent.algorithm.mirror_loss_coef"
"""Setting without which nobody needs mirror images."""
ACTIONS = "actions"
"""Name of the actions among mirror images; the others have the names of observation terms."""


class MirrorImage(NamedTuple):
    """Elements change places, and signs."""

    source: torch.Tensor
    """Element that each one takes the value of, shape (width,), long."""

    sign: torch.Tensor
    """Factor 1 or -1 of each element, shape (width,)."""

    def of(self, values: torch.Tensor) -> torch.Tensor:
        """The mirror image. Shape (..., width)."""
        return values.index_select(-1, self.source) * self.sign

    def behind(self, values: torch.Tensor) -> torch.Tensor:
        """The values and behind them their mirror images. Shape (N, width) -> (2 N, width)."""
        return torch.cat((values, self.of(values)))

    @classmethod
    def make(cls, source: Sequence[int], sign: Sequence[float], device: str) -> MirrorImage:
        """From plain numbers."""
        return cls(torch.tensor(source, device=device), torch.tensor(sign, device=device).float())

    @classmethod
    def join(cls, images: Iterable[MirrorImage]) -> MirrorImage:
        """The mirror image of vectors one after the other."""
        sources, signs, start = [], [], 0
        for image in images:
            sources.append(image.source + start)
            signs.append(image.sign)
            start += len(image.sign)
        return cls(torch.cat(sources), torch.cat(signs))
