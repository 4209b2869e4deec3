"""Rollout storage with true successor states and a fresh shuffle for every epoch."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

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


class AmpVaeRolloutStorage(RolloutStorage):
    """Storage that keeps, beside rsl_rl's transitions, what is read in the order of time.

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

    def mini_batch_generator(
        self, num_mini_batches: int, num_epochs: int = 8
    ) -> Generator[RolloutStorage.Batch, None, None]:
        """Yield mini-batches, shuffled anew in every epoch.

        rsl_rl draws one permutation for all epochs, which repeats the very same mini-batches.
        """
        for _ in range(num_epochs):
            yield from super().mini_batch_generator(num_mini_batches, num_epochs=1)

    def sequences(
        self,
        targets: EstimationTargets,
        mirror: Mirror | None,
        num_mini_batches: int,
        num_epochs: int,
    ) -> Generator[Sequences, None, None]:
        """Yield the whole time of some environments, others in each mini-batch of an epoch.

        Args:
            targets: What is estimated.
            mirror: Puts every other one into the mirror; None puts none.
            num_mini_batches: Parts of one epoch.
            num_epochs: Passes over the rollout.
        """
        steps = self.outcomes
        begins = torch.zeros_like(steps["valid"])
        # The memory before the first step is already that of a new episode where one begins.
        begins[1:] = ~steps["valid"][:-1]
        read = self._frames_read(begins)
        true_code = targets.from_critic(self.observations["critic_obs"])
        size = max(self.num_envs // num_mini_batches, 1)
        for _ in range(num_epochs):
            order = torch.randperm(self.num_envs, device=self.device)
            for part in range(num_mini_batches):
                # With fewer environments than parts, some serve in several.
                start = part * size % self.num_envs
                envs = order[start : start + size]
                sequences = Sequences(
                    history=self.frames[read[:, envs], envs[:, None]].flatten(2),
                    memory=self.memory[envs],
                    begins=begins[:, envs],
                    true_code=true_code[:, envs],
                    next_proprioception=steps["next_proprioception"][:, envs],
                    valid=steps["valid"][:, envs],
                )
                if mirror is not None:
                    sequences = mirror.sequences(sequences, self.memory[self.num_envs + envs])
                yield sequences

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
