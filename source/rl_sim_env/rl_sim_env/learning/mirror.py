"""The mirror: left and right change places in what is learned from.

A robot that is its own mirror image, on ground that has no sides, should do in the mirror the
mirror image of what it does. A loss on the mean action asks that of the policy (Yu et al.,
arXiv:1801.08093, section 4.2), without which robots come to limp. The estimator is in the mirror by
half, so that the policy's input there means what it means here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rl_sim_env.errors import UserError
from rl_sim_env.learning.layout import ObservationLayout
from rl_sim_env.learning.mirror_image import ACTIONS, MIRROR_SETTING, MirrorImage

MIRRORED = "mirrored_"
"""Begins the name of what the mirror image of a robot would read."""


class Mirror:
    """Mirror images of whole observation groups, of some terms, and of actions.

    Args:
        layout: What stands where in the observations.
        images: Mirror images of the observation terms by name, and of :data:`ACTIONS`.

    Attributes:
        actions: Mirror image of an action.

    Raises:
        UserError: There is no mirror image of the actions.
    """

    def __init__(self, layout: ObservationLayout, images: Mapping[str, MirrorImage]) -> None:
        self._layout = layout
        self._images = images
        self.actions = self.terms([ACTIONS])

    def terms(self, names: Iterable[str]) -> MirrorImage:
        """Mirror image of some terms, one after the other.

        Raises:
            UserError: A term has no mirror image.
        """
        names = tuple(names)
        if missing := [name for name in names if name not in self._images]:
            raise UserError(
                f"no mirror image of {', '.join(missing)}; give one, or train without the "
                f"mirror loss: {MIRROR_SETTING}=0"
            )
        return MirrorImage.join(self._images[name] for name in names)

    def group(self, name: str) -> MirrorImage:
        """Mirror image of an observation group, all its frames included.

        Raises:
            LayoutError: There is no such group.
            UserError: A term of it has no mirror image.
        """
        frame = self.terms(self._layout.names(name))
        return MirrorImage.join([frame] * self._layout.groups[name].history)
