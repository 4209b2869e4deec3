"""Rollout storage with true successor states and a fresh shuffle for every epoch."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

import torch
from rsl_rl.storage import RolloutStorage
from tensordict import TensorDict

from rl_sim_env.learning.policy import POLICY_INPUT


def split_step(
    observations: TensorDict,
    next_proprioception: torch.Tensor,
    dones: torch.Tensor,
    extras: Mapping[str, Any],
) -> tuple[TensorDict, TensorDict]:
    """Sort a step by who reads it.

    Args:
        observations: Observations s_t with the actor's input, batch size (N,).
        next_proprioception: Target of the VAE's decoder, shape (N, width).
        dones: Not zero where the episode ended, shape (N,).
        extras: Extras of the environment's step.

    Returns:
        What mini-batches read, and what only the whole rollout is judged by; batch size (N,) each.
    """
    after = extras["terminal_obs"]
    samples = {
        POLICY_INPUT: observations[POLICY_INPUT],
        "critic_obs": observations["critic_obs"],
        "vae_obs": observations["vae_obs"],
        "next_proprioception": next_proprioception,
        "valid": (dones == 0).float().unsqueeze(1),
    }
    outcome = {
        "amp_obs": observations["amp_obs"],
        "next_amp_obs": after["amp_obs"],
        "next_critic_obs": after["critic_obs"],
        "time_outs": extras["time_outs"],
        "style_scale": extras["style_scale"],
    }
    size = observations.batch_size
    return TensorDict(samples, batch_size=size), TensorDict(outcome, batch_size=size)


class AmpVaeRolloutStorage(RolloutStorage):
    """Storage that keeps, beside rsl_rl's transitions, what a whole rollout is judged by.

    Args:
        num_envs: Number of environments N.
        num_steps: Control steps of a rollout T.
        samples: Example of what mini-batches read, from :func:`split_step`.
        outcomes: Example of what the whole rollout is judged by, from :func:`split_step`.
        num_actions: Width of the actions.
        device: Where everything lives.
    """

    outcomes: TensorDict
    """Facts about each transition, batch size (T, N)."""

    def __init__(
        self,
        num_envs: int,
        num_steps: int,
        samples: TensorDict,
        outcomes: TensorDict,
        num_actions: int,
        device: str,
    ) -> None:
        super().__init__("rl", num_envs, num_steps, samples, (num_actions,), device)
        self.outcomes = torch.stack([torch.zeros_like(outcomes)] * num_steps)

    def add_outcome(self, outcome: TensorDict) -> None:
        """Record the outcome of the step that the next ``add_transition`` completes."""
        self.outcomes[self.step].copy_(outcome)

    def mini_batch_generator(
        self, num_mini_batches: int, num_epochs: int = 8
    ) -> Generator[RolloutStorage.Batch, None, None]:
        """Yield mini-batches, shuffled anew in every epoch.

        rsl_rl draws one permutation for all epochs, which repeats the very same mini-batches.
        """
        for _ in range(num_epochs):
            yield from super().mini_batch_generator(num_mini_batches, num_epochs=1)
