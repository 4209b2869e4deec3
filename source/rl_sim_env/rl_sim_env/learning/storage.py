"""Rollout storage with true successor states and a fresh shuffle for every epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from rsl_rl.storage import RolloutStorage
from tensordict import TensorDict

from rl_sim_env.learning.context_vae import Sequences
from rl_sim_env.learning.estimation import EstimationTargets
from rl_sim_env.learning.mirror import MIRRORED_POLICY_INPUT, Mirror
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
        What mini-batches of single steps read, and what is read in order; batch size (N,) each.
    """
    after = extras["terminal_obs"]
    names = (POLICY_INPUT, MIRRORED_POLICY_INPUT, "critic_obs")
    samples = {name: observations[name] for name in names if name in observations}
    outcome = {
        "next_proprioception": next_proprioception,
        "valid": dones == 0,
        "amp_obs": observations["amp_obs"],
        "next_amp_obs": after["amp_obs"],
        "next_critic_obs": after["critic_obs"],
        "time_outs": extras["time_outs"],
        "style_scale": extras["style_scale"],
    }
    size = observations.batch_size
    return TensorDict(samples, batch_size=size), TensorDict(outcome, batch_size=size)


class Picks(NamedTuple):
    """What a mini-batch is made of, as indices on the device."""

    samples: torch.Tensor
    """Single steps of the rollout, shape (B,)."""

    envs: torch.Tensor
    """Environments whose whole time is read, shape (E,)."""


class AmpVaeRolloutStorage(RolloutStorage):
    """Storage that keeps, beside rsl_rl's transitions, what is read in the order of time.

    Its tensors stay where they are, so that a CUDA graph may read them.

    Args:
        num_envs: Number of environments N.
        num_steps: Control steps of a rollout T.
        samples: Example of what mini-batches read, from :func:`split_step`.
        outcomes: Example of what is read in order, from :func:`split_step`.
        frame_stack: Example of the frames that the VAE reads, oldest first, shape (N, L, width).
        memory: Memory of the VAE before the first step, shape (N, width), or (2 N, width) with that
            of the mirror images behind it.
        num_actions: Width of the actions.
        device: Where everything lives.
    """

    outcomes: TensorDict
    """Facts about each transition, batch size (T, N)."""

    frames: torch.Tensor
    """Every frame that the VAE read, once: the L - 1 before the rollout, then one of each step.
    Shape (L - 1 + T, N, width)."""

    memory: torch.Tensor
    """Memory of the VAE before the first step of the rollout, shape (N or 2 N, width)."""

    def __init__(
        self,
        num_envs: int,
        num_steps: int,
        samples: TensorDict,
        outcomes: TensorDict,
        frame_stack: torch.Tensor,
        memory: torch.Tensor,
        num_actions: int,
        device: str,
    ) -> None:
        super().__init__("rl", num_envs, num_steps, samples, (num_actions,), device)
        self.outcomes = torch.stack([torch.zeros_like(outcomes)] * num_steps)
        _, length, width = frame_stack.shape
        self.frames = frame_stack.new_zeros(length - 1 + num_steps, num_envs, width)
        self.memory = memory

    def add_outcome(self, outcome: TensorDict, frame_stack: torch.Tensor) -> None:
        """Record the step that the next ``add_transition`` completes.

        Args:
            outcome: From :func:`split_step`.
            frame_stack: The frames that the VAE read, shape (N, L, width).
        """
        self.outcomes[self.step].copy_(outcome)
        length = frame_stack.shape[1]
        if self.step == 0:
            self.frames[:length] = frame_stack.transpose(0, 1)
        else:
            self.frames[length - 1 + self.step] = frame_stack[:, -1]

    def draw(self, num_mini_batches: int, num_epochs: int) -> Iterator[Picks]:
        """Yield what mini-batches are made of, shuffled anew in every epoch.

        rsl_rl draws one permutation for all epochs, which repeats the very same mini-batches.

        Args:
            num_mini_batches: Parts of one epoch.
            num_epochs: Passes over the rollout.
        """
        counts = (self.num_envs * self.num_transitions_per_env, self.num_envs)
        for _ in range(num_epochs):
            orders = [torch.randperm(count, device=self.device) for count in counts]
            for part in range(num_mini_batches):
                yield Picks(*(_part(order, part, num_mini_batches) for order in orders))

    def transitions(self, samples: torch.Tensor) -> RolloutStorage.Batch:
        """Single steps, of whatever environment and time.

        Args:
            samples: Indices into all steps of the rollout, shape (B,).
        """
        assert self.distribution_params is not None, "there is no rollout yet"

        def pick(values: Any) -> Any:
            return values.flatten(0, 1)[samples]

        return RolloutStorage.Batch(
            observations=pick(self.observations),
            actions=pick(self.actions),
            values=pick(self.values),
            advantages=pick(self.advantages),
            returns=pick(self.returns),
            old_actions_log_prob=pick(self.actions_log_prob),
            old_distribution_params=tuple(map(pick, self.distribution_params)),
        )

    def sequences(
        self, envs: torch.Tensor, targets: EstimationTargets, mirror: Mirror | None
    ) -> Sequences:
        """The whole time of some environments.

        Args:
            envs: Which ones, shape (B,).
            targets: What is estimated.
            mirror: Puts every other one into the mirror; None puts none.
        """
        valid = self.outcomes["valid"][:, envs]
        begins = torch.zeros_like(valid)
        # The memory before the first step is already that of a new episode where one begins.
        begins[1:] = ~valid[:-1]
        sequences = Sequences(
            history=self.frames[self._frames_read(begins), envs[:, None]].flatten(2),
            memory=self.memory[envs],
            begins=begins,
            true_code=targets.from_critic(self.observations["critic_obs"][:, envs]),
            next_proprioception=self.outcomes["next_proprioception"][:, envs],
            valid=valid,
        )
        if mirror is not None:
            sequences = mirror.sequences(sequences, self.memory[self.num_envs + envs])
        return sequences

    def _frames_read(self, begins: torch.Tensor) -> torch.Tensor:
        """Which of the frames the VAE read in each step, oldest first.

        Args:
            begins: Whether a step is the first of its episode, shape (T, N).

        Returns:
            Indices into ``frames``, shape (T, N, L).
        """
        length = len(self.frames) - len(begins) + 1
        newest = torch.arange(length - 1, len(self.frames), device=self.device)
        # An episode's first frame stands for those that there were before it.
        first = torch.where(begins, newest[:, None], 0).cummax(dim=0).values
        ages = torch.arange(length - 1, -1, -1, device=self.device)
        return torch.maximum((newest[:, None] - ages)[:, None], first[:, :, None])


def _part(order: torch.Tensor, part: int, num_parts: int) -> torch.Tensor:
    """One of equal parts; with fewer elements than parts, some are in several."""
    size = max(len(order) // num_parts, 1)
    start = part * size % len(order)
    return order[start : start + size]
