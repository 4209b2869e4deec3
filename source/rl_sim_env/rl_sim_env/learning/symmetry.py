"""Symmetry of left and right: what becomes of observations and actions when they are exchanged.

A robot that is its own mirror image, on ground that has no sides, should do in the mirror the
mirror image of what it does. A loss on the mean action asks that of the policy (Yu et al.,
arXiv:1801.08093, section 4.2), without which robots come to limp. The estimator learns from mirror
images by half, so that the policy's input there means what it means here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch

from rl_sim_env.errors import UserError
from rl_sim_env.learning.layout import ObservationLayout

MIRROR_SETTING = "agent.algorithm.mirror_loss_coef"
"""Setting without which nobody needs reflections."""

ACTIONS = "actions"
"""Name of the actions among reflections; the others have the names of observation terms."""

MIRRORED = "mirrored_"
"""Begins the name of what the mirror image of a robot would read."""


class Reflection(NamedTuple):
    """Exchange of left and right in a vector: elements change places, and signs."""

    source: torch.Tensor
    """Element that each one takes the value of, shape (width,), long."""

    sign: torch.Tensor
    """Factor 1 or -1 of each element, shape (width,)."""

    def apply(self, values: torch.Tensor) -> torch.Tensor:
        """The mirror image. Shape (..., width)."""
        return values.index_select(-1, self.source) * self.sign

    def augment(self, values: torch.Tensor) -> torch.Tensor:
        """The values, then their mirror images. Shape (N, width) -> (2 N, width)."""
        return torch.cat((values, self.apply(values)))

    @classmethod
    def make(cls, source: Sequence[int], sign: Sequence[float], device: str) -> Reflection:
        """From plain numbers."""
        return cls(torch.tensor(source, device=device), torch.tensor(sign, device=device).float())

    @classmethod
    def join(cls, reflections: Iterable[Reflection]) -> Reflection:
        """The reflection of vectors one after the other."""
        sources, signs, start = [], [], 0
        for each in reflections:
            sources.append(each.source + start)
            signs.append(each.sign)
            start += len(each.sign)
        return cls(torch.cat(sources), torch.cat(signs))


class Symmetry:
    """Reflections of whole observation groups, of some terms, and of actions.

    Args:
        layout: What stands where in the observations.
        reflections: Those of the observation terms by name, and of :data:`ACTIONS`.

    Attributes:
        actions: Reflection of an action.

    Raises:
        UserError: There is no reflection of the actions.
    """

    def __init__(self, layout: ObservationLayout, reflections: Mapping[str, Reflection]) -> None:
        self._layout = layout
        self._reflections = reflections
        self.actions = self.terms([ACTIONS])

    def terms(self, names: Iterable[str]) -> Reflection:
        """Reflection of some terms, one after the other.

        Raises:
            UserError: A term has no reflection.
        """
        names = tuple(names)
        if missing := [name for name in names if name not in self._reflections]:
            raise UserError(
                f"no mirror image of {', '.join(missing)}; give one, or train without the "
                f"mirror loss: {MIRROR_SETTING}=0"
            )
        return Reflection.join(self._reflections[name] for name in names)

    def group(self, name: str) -> Reflection:
        """Reflection of an observation group, all its frames included.

        Raises:
            LayoutError: There is no such group.
            UserError: A term of it has no reflection.
        """
        frame = self.terms(self._layout.names(name))
        return Reflection.join([frame] * self._layout.groups[name].history)
