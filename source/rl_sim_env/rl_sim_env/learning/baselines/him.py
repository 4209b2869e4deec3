"""HIM: velocity by regression, and a latent code that foretells the next state by contrast.

The scheme of the hybrid internal model (Long et al., ICLR 2024, arXiv:2312.11460): the response of
the robot is not reconstructed. What five frames say, and what the next state says, are to be
assigned to the same prototypes, as two views of one image are in SwAV (Caron et al., NeurIPS 2020,
arXiv:2006.09882).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import torch
from rsl_rl.modules import MLP
from torch import nn
from torch.nn import functional

from rl_sim_env.configuration.limits import COUNT, POSITIVE
from rl_sim_env.learning.config import ContextVaeCfg
from rl_sim_env.learning.estimator import Estimator, EstimatorOutput, Sequences, joined
from rl_sim_env.learning.layout import ObservationLayout
from rl_sim_env.learning.learner import LearnerLoss


@dataclass(kw_only=True)
class HimCfg:
    """The contrast; sizes are those of :class:`~rl_sim_env.learning.config.ContextVaeCfg`.

    ``decoder_dims`` are those of the encoder of the next state. Temperature, sharpness and rounds
    are those of SwAV.
    """

    prototypes: Annotated[int, COUNT] = 32
    """Number of prototypes."""

    temperature: Annotated[float, POSITIVE] = 0.1
    """Of the softmax over cosines that an encoder assigns by."""

    sharpness: Annotated[float, POSITIVE] = 0.05
    """Of the assignments that are aimed at: the smaller, the harder."""

    rounds: Annotated[int, COUNT] = 3
    """Rounds that spread the assignments evenly over the prototypes."""

    weight: Annotated[float, POSITIVE] = 1.0
    """Weight of the contrast in the loss."""


class HimEstimator(Estimator):
    """Encoder of the history, encoder of the next state, and prototypes between them.

    The next state is made of ``agent.vae.reconstructed_terms``, free of noise. There is no memory.

    Args:
        layout: What stands where in the observations.
        cfg: Sizes and weights; ``cfg.settings`` are those of :class:`HimCfg`.

    Raises:
        LayoutError: The layout lacks a group or term.
        UserError: A setting is none, or beyond its limits.
    """

    def __init__(self, layout: ObservationLayout, cfg: ContextVaeCfg) -> None:
        super().__init__(layout, cfg)
        self.contrast = self.own_settings(HimCfg)
        self.latent_width = cfg.latent_dim
        *hidden_dims, feature_dim = cfg.encoder_dims
        width = sum(layout.width(group) for group in self.groups)
        self.encoder = MLP(width, feature_dim, hidden_dims, "elu", last_activation="elu")
        self.heads = nn.Linear(feature_dim, self.targets.width + cfg.latent_dim)
        self.next_encoder = MLP(
            sum(layout.term("critic_obs", name).width for name in cfg.reconstructed_terms),
            cfg.latent_dim,
            cfg.decoder_dims,
            "elu",
        )
        self.prototypes = nn.Parameter(torch.randn(self.contrast.prototypes, cfg.latent_dim))
        self.add_variance(feature_dim)

    def forward(
        self, observations: Mapping[str, torch.Tensor], memory: torch.Tensor, deterministic: bool
    ) -> EstimatorOutput:
        """Read one step; see :class:`~rl_sim_env.learning.estimator.Estimator`."""
        features, estimate, latent = self._read(observations)
        logvar = None if self.variance is None else self.variance(features)
        return EstimatorOutput(estimate, latent, memory, logvar)

    def loss(self, batch: Sequences) -> LearnerLoss:
        """Errors of the estimate, and the contrast between the two encoders."""
        features, estimate, latent = self._read(batch.observations)
        of_estimate, scalars = self.estimate_loss(features, estimate, batch.estimate_targets)
        contrast = self.contrastive_loss(latent, batch.next_proprioception, batch.valid)
        total = of_estimate + self.contrast.weight * contrast
        return LearnerLoss(total, {**scalars, "Loss/vae_contrastive_loss": contrast})

    def contrastive_loss(
        self, latent: torch.Tensor, next_state: torch.Tensor, valid: torch.Tensor
    ) -> torch.Tensor:
        """Cross entropy between what one encoder assigns and what is aimed at by the other.

        Each process spreads the assignments of its own samples.

        Args:
            latent: Codes of length 1, shape (T, B, latent width).
            next_state: The next values of ``reconstructed_terms``, shape (T, B, width).
            valid: Whether there is a next state, shape (T, B), bool.

        Returns:
            Mean over the valid steps, shape ().
        """
        # Invalid states may hold anything, not-a-number included, which no factor would mask.
        valid = valid.flatten()
        foretold = latent.flatten(0, 1)
        seen = torch.where(valid[:, None], next_state.flatten(0, 1), 0.0)
        found = functional.normalize(self.next_encoder(seen), dim=-1)
        prototypes = functional.normalize(self.prototypes, dim=-1)
        cfg, losses = self.contrast, latent.new_zeros(())
        cosines = foretold @ prototypes.T, found @ prototypes.T
        for own, other in (cosines, cosines[::-1]):
            aim = spread_evenly(other.detach() / cfg.sharpness, valid, cfg.rounds)
            losses = losses - (aim * (own / cfg.temperature).log_softmax(dim=-1)).sum()
        return 0.5 * losses / valid.sum().clamp(min=1)

    def _read(
        self, observations: Mapping[str, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Features, estimate, and latent code of length 1."""
        features = self.encoder(joined(observations, self.groups))
        widths = (self.targets.width, self.latent_width)
        estimate, latent = self.heads(features).split(widths, dim=-1)
        return features, estimate, functional.normalize(latent, dim=-1)


def spread_evenly(scores: torch.Tensor, valid: torch.Tensor, rounds: int) -> torch.Tensor:
    """Assign samples to prototypes, to each about as many (Sinkhorn and Knopp).

    Args:
        scores: Logarithms, shape (samples, prototypes).
        valid: Which samples count, shape (samples,), bool.
        rounds: How often rows and columns are scaled.

    Returns:
        Shares of each sample, of the shape of the scores: their sum is 1 where the sample counts,
        0 where it does not.
    """
    shares = (scores - scores.amax(dim=-1, keepdim=True)).exp() * valid[:, None]
    tiny = torch.finfo(shares.dtype).tiny
    for _ in range(rounds):
        shares = shares / shares.sum(dim=0, keepdim=True).clamp(min=tiny)
        shares = shares / shares.sum(dim=1, keepdim=True).clamp(min=tiny)
    return shares
