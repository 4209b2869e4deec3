"""Context VAE: reads velocity, load and a latent code out of the last observation frames.

The scheme is DreamWaQ's context-aided estimator (Nahrendra et al., arXiv:2301.10602) with mass and
centre of mass as further explicit quantities, and with a memory: how heavy the robot is shows in
the forces of whole strides, of which five frames see a quarter.
"""

from __future__ import annotations

import math
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


class Sequences(NamedTuple):
    """Steps of B environments over T steps, as they followed each other."""

    history: torch.Tensor
    """Stacked frames, shape (T, B, history width)."""

    memory: torch.Tensor
    """Memory before the first step, shape (B, memory width)."""

    begins: torch.Tensor
    """Whether a step is the first of its episode, shape (T, B), bool."""

    true_code: torch.Tensor
    """Targets of the estimate, shape (T, B, estimate width)."""

    next_proprioception: torch.Tensor
    """Targets of the decoder, shape (T, B, reconstruction width)."""

    valid: torch.Tensor
    """Whether there is a next frame, shape (T, B), bool: not where the episode ended."""


class VaeOutput(NamedTuple):
    """What the actor reads of one step, and what the next step needs."""

    estimate: torch.Tensor
    """Normalised estimate, shape (B, estimate width)."""

    latent: torch.Tensor
    """Latent code, shape (B, latent width)."""

    memory: torch.Tensor
    """Memory after the step, shape (B, memory width)."""


class LeakyMemory(nn.Module):
    """Running means of learned features, each at a rate that the present step decides.

    m_t = (1 - r_t) m_{t-1} + r_t c_t, where rate r_t and candidate c_t depend on the features of
    step t alone: the minimal gated unit of Feng et al. (arXiv:2410.01201). No matrix product waits
    for the step before, so that a sequence costs little more than its steps one by one.

    Args:
        feature_width: Width of the features.
        memory_width: Width of the memory.
        initial_rate: Rate before anything is learned, 0 to 1.
    """

    def __init__(self, feature_width: int, memory_width: int, initial_rate: float) -> None:
        super().__init__()
        self.gates = nn.Linear(feature_width, 2 * memory_width)
        with torch.no_grad():
            self.gates.bias[:memory_width] = math.log(initial_rate / (1.0 - initial_rate))

    def prepare(self, features: torch.Tensor) -> torch.Tensor:
        """What follows from the features alone, all steps at once.

        Shape (..., feature width) -> (..., 2 memory width).
        """
        rate, candidate = self.gates(features).chunk(2, dim=-1)
        return torch.cat((rate.sigmoid(), candidate), dim=-1)

    def advance(self, prepared: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
        """The memory after one step. Shapes (B, 2 memory width), (B, memory width)."""
        rate, candidate = prepared.chunk(2, dim=-1)
        return torch.lerp(memory, candidate, rate)


class GatedMemory(nn.Module):
    """A gated recurrent unit (Cho et al., arXiv:1406.1078): its gates see the memory as well.

    It learns more from the same steps than a :class:`LeakyMemory`, but each step waits for the one
    before.

    Args:
        feature_width: Width of the features.
        memory_width: Width of the memory.
        initial_rate: Share of a step in the memory before anything is learned, 0 to 1.
    """

    def __init__(self, feature_width: int, memory_width: int, initial_rate: float) -> None:
        super().__init__()
        self.cell = nn.GRUCell(feature_width, memory_width)
        with torch.no_grad():
            # The second gate of torch's three is the share that is kept.
            _, keep, _ = self.cell.bias_ih.chunk(3)
            keep.fill_(math.log((1.0 - initial_rate) / initial_rate))

    def prepare(self, features: torch.Tensor) -> torch.Tensor:
        """Nothing is worth preparing: the features themselves."""
        return features

    def advance(self, prepared: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
        """The memory after one step. Shapes (B, feature width), (B, memory width)."""
        return self.cell(prepared, memory)


_MEMORIES = {"leaky": LeakyMemory, "gru": GatedMemory}


class ContextVae(nn.Module):
    """Encoder with deterministic estimates and a sampled latent, and a decoder for its loss.

    Stacked frames become features, features update the memory, features and memory give the
    estimate and the latent.

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
        self.memory = _MEMORIES[cfg.memory_cell](feature_dim, cfg.memory_dim, cfg.memory_rate)
        # All heads in one matrix product: estimate, latent mean and latent log-variance.
        self._head_widths = (targets.width, cfg.latent_dim, cfg.latent_dim)
        self.heads = nn.Linear(feature_dim + cfg.memory_dim, sum(self._head_widths))
        self.decoder = MLP(self.code_width, reconstruction_width, cfg.decoder_dims, "elu")
        self.register_buffer("beta", torch.tensor(cfg.beta))

    def initial_memory(self, num_envs: int) -> torch.Tensor:
        """Memory at the start of an episode, shape (num_envs, memory width)."""
        return torch.zeros(num_envs, self.cfg.memory_dim, device=self.beta.device)

    def forward(
        self, history: torch.Tensor, memory: torch.Tensor, deterministic: bool
    ) -> VaeOutput:
        """Read one step.

        Args:
            history: Shape (B, history width).
            memory: Shape (B, memory width).
            deterministic: Take the latent's mean in place of a sample.
        """
        features = self.encoder(history)
        memory = self.memory.advance(self.memory.prepare(features), memory)
        estimate, mean, logvar = self._read(features, memory)
        return VaeOutput(estimate, mean if deterministic else _sample(mean, logvar), memory)

    def encode(
        self, history: torch.Tensor, memory: torch.Tensor, begins: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Read sequences.

        Args:
            history: Shape (T, B, history width).
            memory: Memory before the first step, shape (B, memory width).
            begins: Where to begin with a fresh memory, shape (T, B), bool.

        Returns:
            Estimate (normalised, shape (T, B, estimate width)), and mean and log-variance of the
            latent (shape (T, B, latent width) each).
        """
        features = self.encoder(history)
        memories = []
        for prepared, first in zip(self.memory.prepare(features), begins, strict=True):
            memory = self.memory.advance(prepared, torch.where(first[:, None], 0.0, memory))
            memories.append(memory)
        return self._read(features, torch.stack(memories))

    def _read(
        self, features: torch.Tensor, memory: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        heads = self.heads(torch.cat((features, memory), dim=-1))
        estimate, mean, logvar = heads.split(self._head_widths, dim=-1)
        bound = self.cfg.logvar_bound
        return estimate, mean, bound * torch.tanh(logvar / bound)

    def loss(self, batch: Sequences) -> VaeLosses:
        """Losses of a batch; the gradient reaches back to the first step of the sequences."""
        estimate, mean, logvar = self.encode(batch.history, batch.memory, batch.begins)
        squared_error = (estimate - batch.true_code).square().mean(dim=(0, 1))
        velocity, mass, com = (part.mean() for part in self.targets.split(squared_error))
        decoded = self.decoder(torch.cat((estimate, _sample(mean, logvar)), dim=-1))
        # Invalid targets may hold anything, not-a-number included, which no factor would mask.
        valid = batch.valid.unsqueeze(-1)
        target = torch.where(valid, batch.next_proprioception, decoded.detach())
        error = (decoded - target).square().mean(dim=-1)
        reconstruction = error.sum() / valid.sum().clamp(min=1)
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
