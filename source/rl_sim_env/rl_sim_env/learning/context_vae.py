"""Context VAE: reads velocity, load and a latent code out of the last observation frames.

The scheme is DreamWaQ's context-aided estimator (Nahrendra et al., arXiv:2301.10602) with mass and
centre of mass as further explicit quantities, and with a memory: how heavy the robot is shows in
the forces of whole strides, of which five frames see a quarter.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from rsl_rl.modules import MLP
from torch import nn

from rl_sim_env.learning.config import ContextVaeCfg
from rl_sim_env.learning.estimator import DECODE_LOSS, Estimator, EstimatorOutput, Sequences, joined
from rl_sim_env.learning.layout import ObservationLayout
from rl_sim_env.learning.learner import LearnerLoss
from rl_sim_env.learning.memory_cells import build_memory, remember


class ContextVae(Estimator):
    """Encoder with deterministic estimates and a sampled latent, and a decoder for its loss.

    The groups that it reads become features, features update the memory, features and memory give
    the estimate and the latent.

    Args:
        layout: What stands where in the observations.
        cfg: Sizes and weights.

    Raises:
        LayoutError: The layout lacks a group or term.
    """

    beta: torch.Tensor

    def __init__(self, layout: ObservationLayout, cfg: ContextVaeCfg) -> None:
        super().__init__(layout, cfg)
        estimate_width, latent_width = self.targets.width, cfg.latent_dim
        self.latent_width = latent_width
        self.memory_width = cfg.memory_dim
        *hidden_dims, feature_dim = cfg.encoder_dims
        input_width = sum(layout.width(group) for group in cfg.obs_groups)
        self.encoder = MLP(input_width, feature_dim, hidden_dims, "elu", last_activation="elu")
        self.memory = build_memory(feature_dim, cfg)
        # All heads in one matrix product: estimate, latent mean and latent log-variance.
        self._head_widths = (estimate_width, latent_width, latent_width)
        self.heads = nn.Linear(feature_dim + cfg.memory_dim, sum(self._head_widths))
        self.decoder = MLP(
            estimate_width + latent_width,
            sum(layout.term("critic_obs", name).width for name in cfg.reconstructed_terms),
            cfg.decoder_dims,
            "elu",
        )
        self.register_buffer("beta", torch.tensor(cfg.beta))
        self.add_variance(self.heads.in_features)

    def forward(
        self, observations: Mapping[str, torch.Tensor], memory: torch.Tensor, deterministic: bool
    ) -> EstimatorOutput:
        """Read one step; see :class:`~rl_sim_env.learning.estimator.Estimator`."""
        features = self.encoder(joined(observations, self.cfg.obs_groups))
        memory = self.memory.advance(self.memory.prepare(features), memory)
        return self._output(torch.cat((features, memory), dim=-1), memory, deterministic)

    def _output(
        self, context: torch.Tensor, memory: torch.Tensor, deterministic: bool
    ) -> EstimatorOutput:
        """What features and memory, side by side, say of a step."""
        estimate, mean, logvar = self._read(context)
        latent = mean if deterministic else _sample(mean, logvar)
        error_logvar = None if self.variance is None else self.variance(context)
        return EstimatorOutput(estimate, latent, memory, error_logvar)

    def _read(self, context: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        estimate, mean, logvar = self.heads(context).split(self._head_widths, dim=-1)
        bound = self.cfg.logvar_bound
        return estimate, mean, bound * torch.tanh(logvar / bound)

    def loss(self, batch: Sequences) -> LearnerLoss:
        """Losses of a batch; the gradient reaches back to the first step of the sequences."""
        features = self.encoder(joined(batch.observations, self.cfg.obs_groups))
        memories = remember(self.memory, features, batch.memory, batch.begins)
        return self._loss(torch.cat((features, memories), dim=-1), batch)

    def _loss(self, context: torch.Tensor, batch: Sequences) -> LearnerLoss:
        """Losses of a batch whose features and memories are known."""
        estimate, mean, logvar = self._read(context)
        of_estimate, scalars = self.estimate_loss(context, estimate, batch.estimate_targets)
        decoded = self.decoder(torch.cat((estimate, _sample(mean, logvar)), dim=-1))
        # Invalid targets may hold anything, not-a-number included, which no factor would mask.
        valid = batch.valid.unsqueeze(-1)
        target = torch.where(valid, batch.next_proprioception, decoded.detach())
        error = (decoded - target).square().mean(dim=-1)
        reconstruction = error.sum() / valid.sum().clamp(min=1)
        kl = 0.5 * (mean.square() + logvar.exp() - 1.0 - logvar).sum(dim=-1).mean()
        total = of_estimate + reconstruction + self.beta * kl
        scalars |= {DECODE_LOSS: reconstruction, "Loss/vae_kl_loss": kl}
        return LearnerLoss(total, scalars, steering=(reconstruction,))

    def adapt(self, *steering: torch.Tensor) -> None:
        """Lower beta while the reconstruction is worse than its target, else raise it.

        Args:
            steering: Reconstruction error of the last batch, the same on all ranks.
        """
        (reconstruction,) = steering
        surplus = 1.0 - reconstruction / self.cfg.target_reconstruction
        self.beta.mul_(torch.exp(self.cfg.beta_rate * surplus.clamp(-1.0, 1.0)))
        self.beta.clamp_(*self.cfg.beta_range)

    def metrics(self) -> dict[str, torch.Tensor]:
        """Weight of the KL term."""
        return {"Loss/vae_beta": self.beta}


def _sample(mean: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    return mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)
