"""PPO (Schulman et al., arXiv:1707.06347), with the mirror loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import chain
from typing import Any, ClassVar

import torch

from rl_sim_env.learning.collectives import standardize_over_ranks
from rl_sim_env.learning.learner import ActingLearner, LearnerContext, LearnerLoss, Transition, Tree
from rl_sim_env.learning.policy import build_actor, build_critic
from rl_sim_env.learning.returns import returns_beyond
from rl_sim_env.learning.rollout import BatchIndices, Rollout
from rl_sim_env.learning.symmetry import MIRRORED

_LR_STEP = 1.5
"""Factor by which the KL rule changes the learning rate."""
_KL_BAND = 2.0
"""The KL rule acts where the divergence is off its target by more than this factor."""
_ACTED = ("actions", "values", "log_prob")
_DISTRIBUTION = "distribution_"
"""Begins the names of the parameters of the distribution that acted."""


class PpoLearner(ActingLearner):
    """Actor and critic.

    The policy gradient reaches those who provide again what the actor reads
    (:meth:`~rl_sim_env.learning.learner.Learner.provide_again`), and nobody else. Time-outs
    bootstrap on the true terminal state.

    Raises:
        UserError: A model cannot be built.

    Attributes:
        actor: The actor.
        critic: The critic.
        learning_rate: Of both; the KL rule moves it. Shape ().
    """

    policy_parts: ClassVar[Mapping[str, str]] = {"actor": "actor"}

    def __init__(self, context: LearnerContext) -> None:
        cfg = context.cfg.algorithm
        self.cfg = cfg
        device = context.device
        self.actor = build_actor(context.groups, context.num_actions, context.cfg).to(device)
        self.critic = build_critic(context.groups, context.cfg).to(device)
        self.modules = {"actor": self.actor, "critic": self.critic}
        self.max_grad_norm = cfg.max_grad_norm
        self.learning_rate = context.policy_rate
        self._entropy_coef = torch.tensor(cfg.entropy_coef, device=device)
        self.optimizer = torch.optim.Adam(
            chain(self.actor.parameters(), self.critic.parameters()),
            lr=self.learning_rate,
            fused=True,
        )
        self._actor_groups = context.cfg.actor.obs_groups
        self._critic_groups = context.cfg.critic.obs_groups
        self._symmetry = context.symmetry
        # Learners provide the mirror images of what they provide; the rest is reflected here.
        self._reflections = {
            group: self._symmetry.group(group)
            for group in self._actor_groups
            if self._symmetry is not None and group in context.layout.groups
        }
        # Groups that the loss reads; what learners provide also as the mirror images read it.
        mirrored = () if self._symmetry is None else self._actor_groups
        self._read = (
            *self._actor_groups,
            *self._critic_groups,
            *(MIRRORED + group for group in mirrored if group not in self._reflections),
        )
        self._acted: dict[str, torch.Tensor] = {}
        self._distribution: tuple[str, ...] = ()

    def act(self, observations: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Sample actions, shape (N, number of actions)."""
        actions = self.actor(observations, stochastic_output=True)
        self._acted = {
            "actions": actions,
            "values": self.critic(observations).squeeze(-1),
            "log_prob": self.actor.get_output_log_prob(actions),
        }
        parameters = enumerate(self.actor.output_distribution_params)
        distribution = {f"{_DISTRIBUTION}{number}": value for number, value in parameters}
        self._distribution = tuple(distribution)
        self._acted |= distribution
        return actions

    def record(self, step: Transition) -> dict[str, torch.Tensor]:
        """What the networks read, what they said, and the state that a time-out ended in."""
        assert self._acted, "act() comes before record()"
        acted, self._acted = self._acted, {}
        groups: Any = step.observations  # rsl_rl's models read them as they would a TensorDict
        self.actor.update_normalization(groups)
        self.critic.update_normalization(groups)
        return {
            **{group: step.observations[group] for group in self._read},
            **{f"next_{group}": step.next_observations[group] for group in self._critic_groups},
            **acted,
        }

    def finish_rollout(
        self, rollout: Rollout, last_observations: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Compute returns, and advantages that are standardised over all ranks."""
        returns = returns_beyond(
            rollout["time_outs"],
            rollout,
            lambda seen: self.critic(seen).squeeze(-1),
            last_observations,
            rewards=rollout["rewards"],
            values=rollout["values"],
            continuations=rollout["continuations"],
            groups=self._critic_groups,
            ppo=self.cfg,
        )
        rollout.put("returns", returns)
        rollout.put("advantages", standardize_over_ranks(returns - rollout["values"]))
        return {}

    def loss(self, rollout: Rollout, indices: BatchIndices, own: Tree) -> LearnerLoss:
        """Clipped surrogate, value error, entropy bonus and mirror loss."""
        cfg = self.cfg
        distribution = self._distribution
        names = (*self._read, *_ACTED, *distribution, "returns", "advantages")
        batch = rollout.pick(names, indices.samples)
        for adviser in self.advisers:
            batch |= adviser.provide_again(rollout, indices)
        self.actor(batch, stochastic_output=True)
        log_prob = self.actor.get_output_log_prob(batch["actions"])
        with torch.no_grad():
            kl = self.actor.get_kl_divergence(
                tuple(batch[name] for name in distribution), self.actor.output_distribution_params
            ).mean()
        ratio = torch.exp(log_prob - batch["log_prob"])
        clipped_ratio = ratio.clamp(1.0 - cfg.clip_param, 1.0 + cfg.clip_param)
        advantages = batch["advantages"]
        surrogate = -torch.min(advantages * ratio, advantages * clipped_ratio).mean()

        values = self.critic(batch).squeeze(-1)
        value_error = (values - batch["returns"]).square()
        if cfg.use_clipped_value_loss:
            change = (values - batch["values"]).clamp(-cfg.clip_param, cfg.clip_param)
            clipped_error = (batch["values"] + change - batch["returns"]).square()
            value_error = torch.max(value_error, clipped_error)
        value = value_error.mean()

        entropy = self.actor.output_entropy.mean()
        total = surrogate + cfg.value_loss_coef * value - self._entropy_coef * entropy
        mirror_loss = torch.zeros_like(entropy)
        if self._symmetry is not None:
            mirror_loss = self._mirror_loss(batch)
            total = total + cfg.mirror_loss_coef * mirror_loss
        scalars = {
            "Loss/surrogate": surrogate,
            "Loss/value_function": value,
            "Loss/entropy": entropy,
            "Loss/kl": kl,
            "Loss/mirror": mirror_loss,
        }
        for adviser in self.advisers:
            if (advice := adviser.policy_loss(rollout, indices, ratio)) is not None:
                total = total + advice.total
                scalars |= advice.scalars
        return LearnerLoss(total, scalars, steering=(kl,))

    def adapt(self, *steering: torch.Tensor) -> None:
        """Steer the divergence of an update to its target, on the device."""
        (kl,) = steering
        target = self.cfg.desired_kl
        change = torch.where(kl > _KL_BAND * target, 1.0 / _LR_STEP, 1.0)
        too_small = (kl < target / _KL_BAND) & (kl > 0.0)
        change = torch.where(too_small, _LR_STEP, change)
        self.learning_rate.mul_(change).clamp_(*self.cfg.learning_rate_range)

    def metrics(self) -> dict[str, torch.Tensor]:
        """Learning rate, and how much the policy explores."""
        return {
            "Loss/learning_rate": self.learning_rate,
            "Policy/mean_noise_std": self.actor.output_std.mean(),
        }

    def set_progress(self, fraction: float) -> None:
        """Let the entropy bonus fade."""
        cfg = self.cfg
        self._entropy_coef.fill_(
            (1.0 - fraction) * cfg.entropy_coef + fraction * cfg.final_entropy_coef
        )

    def state_dict(self) -> dict[str, Any]:
        """With the learning rate, which the KL rule has found."""
        return {**super().state_dict(), "learning_rate": self.learning_rate}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from :meth:`state_dict`."""
        super().load_state_dict(state)
        self.learning_rate.copy_(state["learning_rate"])

    def _mirror_loss(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Squared distance between the mirror image of the mean and the mean in the mirror."""
        assert self._symmetry is not None
        # Mini-batches are shuffled, so that their first part is a random sample.
        part = math.ceil(self.cfg.mirror_loss_share * len(batch["advantages"]))
        mean = self.actor.output_mean[:part]
        mirrored = {
            group: self._reflections[group].apply(batch[group][:part])
            if group in self._reflections
            else batch[MIRRORED + group][:part]
            for group in self._actor_groups
        }
        difference = self.actor(mirrored) - self._symmetry.actions.apply(mean)
        return difference.square().sum(dim=-1).mean()
