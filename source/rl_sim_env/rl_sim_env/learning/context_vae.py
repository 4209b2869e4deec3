"""Context VAE: reads velocity, load and a latent code out of the last observation frames.

The scheme is DreamWaQ's context-aided estimator (Nahrendra et al., arXiv:2301.10602) with mass and
centre of mass as further explicit quantities.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from rsl_rl.modules import MLP
from torch import nn

from rl_sim_env.learning.config import ContextVaeCfg
from rl_sim_env.learning.estimation import EstimationTargets


class VaeLosses(NamedTuple):
    """Losses of one batch: scalars that carry gradients, and errors that are only looked at."""

    total: torch.Tensor
    """Weighted sum that is minimised."""

    velocity: torch.Tensor
    """Mean square error of the velocity code."""

    mass: torch.Tensor
    """Mean square error of the mass code."""

    com: torch.Tensor
    """Mean square error of the centre-of-mass code."""

    reconstruction: torch.Tensor
    """Mean square error of the next proprioception, over valid samples."""

    kl: torch.Tensor
    """KL divergence of the latent from a standard normal [nat]."""

    rmse: torch.Tensor
    """Errors of velocity [m/s], mass [kg] and centre of mass [m]. Shape (3,)."""

    def scalars(self) -> dict[str, torch.Tensor]:
        """What is logged, by name."""
        velocity_rmse, mass_rmse, com_rmse = self.rmse
        return {
            "Loss/vae_vel_loss": self.velocity,
            "Loss/vae_mass_loss": self.mass,
            "Loss/vae_com_loss": self.com,
            "Loss/vae_decode_loss": self.reconstruction,
            "Loss/vae_kl_loss": self.kl,
            "Estimation/velocity_rmse": velocity_rmse,
            "Estimation/mass_rmse": mass_rmse,
            "Estimation/com_rmse": com_rmse,
        }


class ContextVae(nn.Module):
    """Encoder with deterministic estimates and a sampled latent, and a decoder for its loss.

    Args:
        history_width: Width of the stacked frames.
        targets: What is estimated.
        reconstruction_width: Width of the proprioception that the decoder predicts.
        cfg: Sizes and weights.
    """

    beta: torch.Tensor

    def __init__(
        self,
        history_width: int,
        targets: EstimationTargets,
        reconstruction_width: int,
        cfg: ContextVaeCfg,
    ) -> None:
        super().__init__()
        self.cfg = cfg
        self.targets = targets
        self.code_width = targets.width + cfg.latent_dim
        *hidden_dims, feature_dim = cfg.encoder_dims
        self.encoder = MLP(history_width, feature_dim, hidden_dims, "elu", last_activation="elu")
        # All heads in one matrix product: estimate, latent mean and latent log-variance.
        self._head_widths = (targets.width, cfg.latent_dim, cfg.latent_dim)
        self.heads = nn.Linear(feature_dim, sum(self._head_widths))
        self.decoder = MLP(self.code_width, reconstruction_width, cfg.decoder_dims, "elu")
        self.register_buffer("beta", torch.tensor(cfg.beta))

    def encode(self, history: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Encode stacked frames.

        Args:
            history: Shape (..., history width).

        Returns:
            Estimate (normalised, shape (..., estimate width)), and mean and log-variance of the
            latent (shape (..., latent width) each).
        """
        heads = self.heads(self.encoder(history))
        estimate, mean, logvar = heads.split(self._head_widths, dim=-1)
        bound = self.cfg.logvar_bound
        return estimate, mean, bound * torch.tanh(logvar / bound)

    def forward(
        self, history: torch.Tensor, deterministic: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What the actor reads.

        Args:
            history: Shape (..., history width).
            deterministic: Take the latent's mean in place of a sample.

        Returns:
            Estimate (normalised, shape (..., estimate width)) and latent (shape (..., latent
            width)).
        """
        estimate, mean, logvar = self.encode(history)
        return estimate, mean if deterministic else _sample(mean, logvar)

    def loss(
        self,
        history: torch.Tensor,
        true_code: torch.Tensor,
        next_proprioception: torch.Tensor,
        valid: torch.Tensor,
    ) -> VaeLosses:
        """Losses of a batch.

        Args:
            history: Stacked frames, shape (B, history width).
            true_code: Targets of the estimate, shape (B, estimate width).
            next_proprioception: Target of the decoder, shape (B, reconstruction width).
            valid: Shape (B, 1); 0 where the episode ended, so that there is no next frame.
        """
        estimate, mean, logvar = self.encode(history)
        squared_error = (estimate - true_code).square().mean(dim=0)
        velocity, mass, com = (part.mean() for part in self.targets.split(squared_error))
        decoded = self.decoder(torch.cat((estimate, _sample(mean, logvar)), dim=-1))
        # Invalid targets may hold anything, not-a-number included, which no factor would mask.
        target = torch.where(valid > 0.0, next_proprioception, decoded.detach())
        error = (decoded - target).square().mean(dim=-1, keepdim=True)
        reconstruction = error.sum() / valid.sum().clamp(min=1.0)
        kl = 0.5 * (mean.square() + logvar.exp() - 1.0 - logvar).sum(dim=-1).mean()
        total = (
            self.cfg.velocity_weight * velocity
            + self.cfg.mass_weight * mass
            + self.cfg.com_weight * com
            + reconstruction
            + self.beta * kl
        )
        rmse = self.targets.rmse(squared_error.detach())
        return VaeLosses(total, velocity, mass, com, reconstruction, kl, rmse)

    @torch.no_grad()
    def adapt_beta(self, reconstruction: torch.Tensor) -> None:
        """Lower beta while the reconstruction is worse than its target, else raise it.

        Args:
            reconstruction: Reconstruction error of the last batch, the same on all ranks.
        """
        surplus = 1.0 - reconstruction / self.cfg.target_reconstruction
        self.beta.mul_(torch.exp(self.cfg.beta_rate * surplus.clamp(-1.0, 1.0)))
        self.beta.clamp_(*self.cfg.beta_range)


def _sample(mean: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    return mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)
