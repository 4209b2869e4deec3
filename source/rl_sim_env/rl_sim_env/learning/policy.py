"""The networks that act, and the policy without its trainer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from rsl_rl.models import MLPModel
from rsl_rl.modules.distribution import GaussianDistribution
from tensordict import TensorDict
from torch import nn

from rl_sim_env.errors import UserError
from rl_sim_env.learning.config import AmpVaeRunnerCfg
from rl_sim_env.learning.context_vae import ContextVae
from rl_sim_env.learning.estimation import Estimate, EstimationTargets
from rl_sim_env.learning.layout import ObservationLayout

POLICY_STATE = "policy_state_dict"
"""Key of the policy in the algorithm's saved state."""

POLICY_INPUT = "policy_input"
"""Key of what the actor reads in a set of observations."""


class _Gaussian(GaussianDistribution):
    """rsl_rl's Gaussian, sampled without its check of the deviation, which reads the device."""

    def sample(self) -> torch.Tensor:
        """One sample of each action, shape (..., number of actions)."""
        return self.mean + self.std * torch.randn_like(self.mean)


class PolicyOutput(NamedTuple):
    """What the policy does and what it believes."""

    actions: torch.Tensor
    """Mean actions, shape (N, number of actions)."""

    estimate: Estimate
    """Estimates of the VAE in SI units, whatever the actor was fed."""

    memory: torch.Tensor
    """What the VAE remembers, for the next step; zeros begin an episode. Shape (..., width)."""


def build_vae(layout: ObservationLayout, cfg: AmpVaeRunnerCfg) -> ContextVae:
    """A context VAE sized by the layout.

    Raises:
        LayoutError: The layout lacks a group or term.
    """
    return ContextVae(
        history_width=layout.width("vae_obs"),
        targets=EstimationTargets(layout, cfg.vae.com_scale),
        reconstruction_width=sum(
            layout.term("critic_obs", name).width for name in cfg.vae.reconstructed_terms
        ),
        cfg=cfg.vae,
    )


def build_actor(
    layout: ObservationLayout, vae: ContextVae, num_actions: int, cfg: AmpVaeRunnerCfg
) -> MLPModel:
    """An actor that reads the code of ``vae`` and ``actor_obs`` from the key ``policy_input``."""
    return MLPModel(
        _example(POLICY_INPUT, vae.code_width + layout.width("actor_obs")),
        {"actor": [POLICY_INPUT]},
        "actor",
        num_actions,
        hidden_dims=cfg.actor.hidden_dims,
        activation=cfg.actor.activation,
        distribution_cfg={
            "class_name": _Gaussian,
            "init_std": cfg.actor.init_std,
            "std_type": "log",
        },
    )


def build_critic(layout: ObservationLayout, cfg: AmpVaeRunnerCfg) -> MLPModel:
    """A critic that reads ``critic_obs``."""
    return MLPModel(
        _example("critic_obs", layout.width("critic_obs")),
        {"critic": ["critic_obs"]},
        "critic",
        1,
        hidden_dims=cfg.critic.hidden_dims,
        activation=cfg.critic.activation,
    )


def assemble_policy_input(
    code: torch.Tensor, latent: torch.Tensor, actor_obs: torch.Tensor
) -> torch.Tensor:
    """What the actor reads: code (estimated or true), latent and current frame.

    Shapes (..., code width), (..., latent width), (..., actor_obs width) -> (..., their sum).
    """
    return torch.cat((code, latent, actor_obs), dim=-1)


class AmpVaePolicy(nn.Module):
    """Deterministic policy: history to code, code and observation to actions.

    Args:
        actor: Actor network.
        vae: Context VAE; only its encoder runs.
    """

    def __init__(self, actor: MLPModel, vae: ContextVae) -> None:
        super().__init__()
        self.actor = actor
        self.vae = vae

    @property
    def targets(self) -> EstimationTargets:
        """Makes the true code, for ``forward``, out of privileged observations."""
        return self.vae.targets

    def initial_memory(self, num_envs: int) -> torch.Tensor:
        """What the VAE remembers when episodes begin, shape (num_envs, memory width)."""
        return self.vae.initial_memory(num_envs)

    @classmethod
    def from_saved(
        cls,
        saved: Mapping[str, Any],
        layout: ObservationLayout,
        num_actions: int,
        cfg: AmpVaeRunnerCfg,
        device: str,
    ) -> AmpVaePolicy:
        """Rebuild the policy from what the algorithm saved, without anything else of it.

        Args:
            saved: Result of ``AmpVaePPO.save``.
            layout: Observation layout it was trained with.
            num_actions: Number of actions.
            cfg: Configuration it was trained with.
            device: Where the policy runs.
        """
        vae = build_vae(layout, cfg)
        actor = build_actor(layout, vae, num_actions, cfg)
        policy = cls(actor, vae)
        policy.load_state_dict(saved[POLICY_STATE])
        return policy.to(device).eval()

    def forward(
        self,
        actor_obs: torch.Tensor,
        vae_obs: torch.Tensor,
        memory: torch.Tensor,
        truth: torch.Tensor | None = None,
        p_boot: float = 1.0,
    ) -> PolicyOutput:
        """Act on estimates, on the truth, or on a blend.

        Args:
            actor_obs: Shape (N, width of the group).
            vae_obs: Shape (N, width of the group).
            memory: Memory of the last step, shape (N, memory width).
            truth: True code, from ``targets.from_critic``; needed where ``p_boot`` is below 1.
            p_boot: Share of the estimate in what the actor reads: 1 estimates only, 0 the truth
                only, between them a linear blend p estimate + (1 - p) truth. Training never
                blends, so values between show how sensitive the actor is, not how it was trained.

        Raises:
            UserError: ``p_boot`` is outside 0 to 1, or the truth is missing.
        """
        if not 0.0 <= p_boot <= 1.0:
            raise UserError(f"p_boot is {p_boot}; give a number from 0 (truth) to 1 (estimates).")
        estimate, latent, memory = self.vae(vae_obs, memory, deterministic=True)
        fed = estimate
        if p_boot < 1.0:
            if truth is None:
                raise UserError(
                    f"p_boot {p_boot} needs the true velocity, mass and centre of mass, "
                    "which only a simulation knows; use p_boot 1."
                )
            fed = torch.lerp(truth, estimate, p_boot)
        # The actor's Gaussian has the network's output as its mean.
        actions = self.actor.mlp(assemble_policy_input(fed, latent, actor_obs))
        return PolicyOutput(actions, self.targets.to_si(estimate), memory)


def _example(key: str, width: int) -> TensorDict:
    """One observation, which tells rsl_rl's models their input width."""
    return TensorDict({key: torch.zeros(1, width)}, batch_size=[1])
