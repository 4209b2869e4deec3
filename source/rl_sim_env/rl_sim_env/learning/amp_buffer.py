"""Replay of state pairs on the device."""

from __future__ import annotations

from typing import Any

import torch


class AmpReplayBuffer:
    """Ring of the newest pairs (s_t, s_t+1) of the policy.

    How many pairs there are is known on the host, so neither inserting nor sampling reads the
    device.

    Args:
        capacity: Greatest number of pairs.
        state_width: Width of one state.
        device: Where the pairs live.
    """

    def __init__(self, capacity: int, state_width: int, device: str) -> None:
        self.capacity = capacity
        self._pairs = torch.zeros(capacity, 2, state_width, device=device)
        self._end = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def insert(self, states: torch.Tensor, next_states: torch.Tensor) -> None:
        """Add pairs; the oldest make room.

        Args:
            states: s_t, shape (..., state width); the leading dimensions run from old to new.
            next_states: s_t+1 of the same episodes, same shape.
        """
        pairs = torch.stack((states, next_states), dim=-2).flatten(0, -3)[-self.capacity :]
        until_end = min(len(pairs), self.capacity - self._end)
        self._pairs[self._end : self._end + until_end] = pairs[:until_end]
        self._pairs[: len(pairs) - until_end] = pairs[until_end:]
        self._end = (self._end + len(pairs)) % self.capacity
        self._count = min(self._count + len(pairs), self.capacity)

    def sample(self, batch_size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw pairs uniformly, with replacement.

        Returns:
            States and next states, shape (batch size, state width) each.

        Raises:
            IndexError: The buffer is empty.
        """
        if not self._count:
            raise IndexError("the replay buffer is empty; insert a rollout before sampling")
        ages = torch.randint(1, self._count + 1, (batch_size,), device=self._pairs.device)
        states, next_states = self._pairs[(self._end - ages) % self.capacity].unbind(dim=1)
        return states, next_states

    def state_dict(self, newest: int) -> dict[str, Any]:
        """The newest pairs, at most ``newest`` of them, from old to new."""
        kept = min(newest, self._count)
        order = torch.arange(-kept, 0, device=self._pairs.device)
        return {"pairs": self._pairs[(self._end + order) % self.capacity]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Hold the saved pairs and no others."""
        self._end = self._count = 0
        self.insert(*state["pairs"].to(self._pairs.device).unbind(dim=1))
