"""The rollout: what learners recorded of each step, by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import torch

from rl_sim_env.errors import UserError


class BatchIndices(NamedTuple):
    """What a mini-batch is made of, as indices on the device."""

    samples: torch.Tensor
    """Single steps of the rollout, shape (B,)."""

    envs: torch.Tensor
    """Environments whose whole time is read, shape (E,)."""


class Rollout:
    """Fields by name, shape (T, N, ...) each.

    The first value of a field declares it. From then on its tensor stays where it is, so that a
    CUDA graph may read it.

    Args:
        num_envs: Number of environments N.
        num_steps: Control steps of a rollout T.
        device: Where everything lives.

    Attributes:
        step: Steps that are complete.
    """

    def __init__(self, num_envs: int, num_steps: int, device: str) -> None:
        self.num_envs = num_envs
        self.num_steps = num_steps
        self.device = device
        self.step = 0
        self._fields: dict[str, torch.Tensor] = {}

    def __getitem__(self, name: str) -> torch.Tensor:
        """A field, shape (T, N, ...).

        Raises:
            UserError: Nobody records it.
        """
        if name not in self._fields:
            raise UserError(
                f"the rollout has no field '{name}'; learners record "
                f"{', '.join(self._fields) or 'none'}: return it from record()"
            )
        return self._fields[name]

    def record(self, values: Mapping[str, torch.Tensor]) -> None:
        """Complete a step.

        Args:
            values: Its values by field, shape (N, ...) each.

        Raises:
            OverflowError: The rollout is complete already.
        """
        if self.step == self.num_steps:
            raise OverflowError("the rollout is complete; clear() it before the next step")
        for name, value in values.items():
            self._declare(name, value)[self.step].copy_(value)
        self.step += 1

    def put(self, name: str, values: torch.Tensor) -> None:
        """Set what follows from the whole rollout.

        Args:
            name: The field.
            values: Shape (T, N, ...).
        """
        self._declare(name, values[0]).copy_(values)

    def clear(self) -> None:
        """Begin the next rollout, over this one."""
        self.step = 0

    def pick(self, names: Iterable[str], samples: torch.Tensor) -> dict[str, torch.Tensor]:
        """Single steps, of whatever environment and time.

        Args:
            names: Fields.
            samples: Indices into all steps of the rollout, shape (B,).

        Returns:
            Values by field, shape (B, ...) each.
        """
        return {name: self[name].flatten(0, 1)[samples] for name in names}

    def steps_of(self, envs: torch.Tensor) -> torch.Tensor:
        """Indices of all steps of some environments, one environment after the other.

        Shape (E,) -> (E T,).
        """
        steps = torch.arange(self.num_steps, device=self.device)
        return (self.num_envs * steps + envs[:, None]).flatten()

    def draw(
        self, num_mini_batches: int, num_epochs: int, *, sequences: bool = False
    ) -> Iterator[BatchIndices]:
        """Yield what mini-batches are made of, shuffled anew in every epoch.

        Args:
            num_mini_batches: Parts of one epoch.
            num_epochs: Passes over the rollout.
            sequences: Whether the samples are all steps of the environments.
        """
        counts = (self.num_envs * self.num_steps, self.num_envs)
        for _ in range(num_epochs):
            orders = [torch.randperm(count, device=self.device) for count in counts]
            for part in range(num_mini_batches):
                samples, envs = (_part(order, part, num_mini_batches) for order in orders)
                yield BatchIndices(self.steps_of(envs) if sequences else samples, envs)

    def _declare(self, name: str, example: torch.Tensor) -> torch.Tensor:
        if name not in self._fields:
            # An ordinary tensor, also where the first rollout runs in inference mode.
            with torch.inference_mode(False):
                self._fields[name] = torch.zeros(
                    self.num_steps, *example.shape, dtype=example.dtype, device=self.device
                )
        return self._fields[name]


def _part(order: torch.Tensor, part: int, num_parts: int) -> torch.Tensor:
    """One of equal parts; with fewer elements than parts, some are in several."""
    size = max(len(order) // num_parts, 1)
    start = part * size % len(order)
    return order[start : start + size]
