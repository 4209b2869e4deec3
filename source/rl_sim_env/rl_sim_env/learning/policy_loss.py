"""Losses of actor and critic: PPO (Schulman et al., arXiv:1707.06347), and the mirror loss."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from rsl_rl.models import MLPModel
from rsl_rl.storage import RolloutStorage

from rl_sim_env.learning.config import AmpVaePpoCfg
from rl_sim_env.learning.mirror import MIRRORED_POLICY_INPUT, Mirror
from rl_sim_env.learning.policy import POLICY_INPUT


class PolicyLosses(NamedTuple):
    """Losses of actor and critic on one mini-batch, scalars."""

    total: torch.Tensor
    """Weighted sum that is minimised."""

    surrogate: torch.Tensor
    """Clipped surrogate loss."""

    value: torch.Tensor
    """Mean square error of the value."""

    entropy: torch.Tensor
    """Entropy of the policy [nat]."""

    kl: torch.Tensor
    """KL divergence from the policy that acted [nat]; no gradient."""

    mirror: torch.Tensor
    """Squared distance between the mirror image of the mean action and the mean action in the
    mirror; 0 where neither is asked for."""

    def scalars(self) -> dict[str, torch.Tensor]:
        """What is logged, by name."""
        return {
            "Loss/surrogate": self.surrogate,
            "Loss/value_function": self.value,
            "Loss/entropy": self.entropy,
            "Loss/kl": self.kl,
            "Loss/mirror": self.mirror,
        }


def policy_losses(
    actor: MLPModel,
    critic: MLPModel,
    batch: RolloutStorage.Batch,
    cfg: AmpVaePpoCfg,
    entropy_coef: torch.Tensor,
    mirror: Mirror | None,
) -> PolicyLosses:
    """Losses of actor and critic on a mini-batch.

    Args:
        actor: Actor; its distribution is updated.
        critic: Critic.
        batch: Transitions, batch size (B,).
        cfg: Clips and weights.
        entropy_coef: Weight of the entropy bonus, shape ().
        mirror: Exchanges left and right; None for no mirror loss.
    """
    assert batch.observations is not None
    advantages = batch.advantages.squeeze(-1)  # type: ignore[union-attr]
    # The new distribution without a sample: nothing needs one, and drawing it fails on NaN before
    # the losses can say where it came from.
    actor.distribution.update(actor.mlp(batch.observations[POLICY_INPUT]))  # type: ignore
    log_prob = actor.get_output_log_prob(batch.actions)  # type: ignore[arg-type]
    with torch.no_grad():
        kl = actor.get_kl_divergence(
            batch.old_distribution_params,  # type: ignore[arg-type]
            actor.output_distribution_params,
        ).mean()
    ratio = torch.exp(log_prob - batch.old_actions_log_prob.squeeze(-1))  # type: ignore[union-attr]
    clipped_ratio = ratio.clamp(1.0 - cfg.clip_param, 1.0 + cfg.clip_param)
    surrogate = -torch.min(advantages * ratio, advantages * clipped_ratio).mean()

    values = critic(batch.observations)
    value_error = (values - batch.returns).square()
    if cfg.use_clipped_value_loss:
        change = (values - batch.values).clamp(-cfg.clip_param, cfg.clip_param)
        clipped_error = (batch.values + change - batch.returns).square()
        value_error = torch.max(value_error, clipped_error)
    value = value_error.mean()

    entropy = actor.output_entropy.mean()
    total = surrogate + cfg.value_loss_coef * value - entropy_coef * entropy
    mirror_loss = torch.zeros_like(entropy)
    if mirror is not None:
        # Mini-batches are shuffled: any part is as good as another.
        part = math.ceil(cfg.mirror_loss_share * len(advantages))
        mean = actor.output_distribution_params[0][:part]
        in_the_mirror = actor.mlp(batch.observations[MIRRORED_POLICY_INPUT][:part])
        mirror_loss = (in_the_mirror - mirror.actions.of(mean)).square().sum(dim=-1).mean()
        total = total + cfg.mirror_loss_coef * mirror_loss
    return PolicyLosses(total, surrogate, value, entropy, kl, mirror_loss)
