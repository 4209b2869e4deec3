"""The mirror: left and right change places in what is learned from.

A robot that is its own mirror image, on ground that has no sides, should do in the mirror the
mirror image of what it does. A loss on the mean action asks that of the policy (Yu et al.,
arXiv:1801.08093, section 4.2), without which robots come to limp. The estimator is in the mirror by
half, so that the policy's input there means what it means here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch

from rl_sim_env.errors import UserError
from rl_sim_env.learning.context_vae import Sequences
from rl_sim_env.learning.estimation import ESTIMATED_TERMS
from rl_sim_env.learning.layout import ObservationLayout
from rl_sim_env.learning.mirror_image import ACTIONS, MIRROR_SETTING, MirrorImage

MIRRORED_POLICY_INPUT = "mirrored_policy_input"
"""Key of what the actor would read in the mirror."""


class Mirror:
    """Exchanges left and right in what policy and estimator learn from.

    Args:
        layout: What stands where in the observations.
        images: Mirror images of the observation terms by name, and of :data:`ACTIONS`.
        reconstructed_terms: Terms that the VAE's decoder predicts.

    Raises:
        UserError: A term has no mirror image.
    """

    def __init__(
        self,
        layout: ObservationLayout,
        images: Mapping[str, MirrorImage],
        reconstructed_terms: Iterable[str],
    ) -> None:
        def joined(terms: Iterable[str]) -> MirrorImage:
            terms = tuple(terms)
            if missing := [name for name in terms if name not in images]:
                raise UserError(
                    f"no mirror image of {', '.join(missing)}; give one, or train without the "
                    f"mirror loss: {MIRROR_SETTING}=0"
                )
            return MirrorImage.join(images[name] for name in terms)

        self.actions = joined([ACTIONS])
        """Of the actions."""
        self.actor_obs = joined(layout.names("actor_obs"))
        """Of a frame."""
        self.vae_obs = MirrorImage.join([self.actor_obs] * layout.groups["vae_obs"].history)
        """Of the stacked frames."""
        self.code = joined(ESTIMATED_TERMS)
        """Of velocity, mass and centre of mass."""
        self._proprioception = joined(reconstructed_terms)

    def sequences(self, batch: Sequences, mirrored_memory: torch.Tensor) -> Sequences:
        """Put every other environment of a mini-batch, by chance, into the mirror.

        Args:
            batch: Sequences of B environments.
            mirrored_memory: Memory that their mirror images would have before the first step,
                shape (B, memory width).
        """
        memory = batch.memory
        chosen = torch.rand(len(memory), 1, device=memory.device) < 0.5

        def mirrored(values: torch.Tensor, image: MirrorImage) -> torch.Tensor:
            return torch.where(chosen, image.of(values), values)

        return batch._replace(
            history=mirrored(batch.history, self.vae_obs),
            memory=torch.where(chosen, mirrored_memory, memory),
            true_code=mirrored(batch.true_code, self.code),
            next_proprioception=mirrored(batch.next_proprioception, self._proprioception),
        )
