"""Returns and lengths of episodes, summed on the device."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from operator import add
from typing import Any

import torch


@dataclass(frozen=True)
class EpisodeSums:
    """Sums over finished episodes, as numbers on the host."""

    count: float = 0.0
    """Number of episodes."""

    returns: float = 0.0
    """Sum of their returns."""

    squared_returns: float = 0.0
    """Sum of their squared returns."""

    lengths: float = 0.0
    """Sum of their lengths [control steps]."""

    def __add__(self, other: EpisodeSums) -> EpisodeSums:
        return EpisodeSums(*map(add, astuple(self), astuple(other)))


class EpisodeTracker:
    """Follows the running episode of every environment.

    Args:
        num_envs: Number of environments.
        device: Where rewards come from.
    """

    def __init__(self, num_envs: int, device: str) -> None:
        self._returns = torch.zeros(num_envs, device=device)
        self._lengths = torch.zeros(num_envs, device=device)
        self.sums = torch.zeros(len(fields(EpisodeSums)), dtype=torch.float64, device=device)
        """Sums over episodes finished since :meth:`clear`, in the order of EpisodeSums."""

    def add(self, rewards: torch.Tensor, dones: torch.Tensor) -> None:
        """Add one step. Both of shape (N,); ``dones`` is not zero where an episode ended."""
        self._returns += rewards
        self._lengths += 1.0
        done = dones.double()
        returns = self._returns.double() * done
        lengths = self._lengths.double() * done
        self.sums += torch.stack((done.sum(), returns.sum(), returns.square().sum(), lengths.sum()))
        running = dones == 0
        self._returns *= running
        self._lengths *= running

    def begin(self) -> None:
        """Begin all episodes anew; those that were running do not count."""
        self._returns.zero_()
        self._lengths.zero_()

    def clear(self) -> None:
        """Forget the finished episodes."""
        self.sums.zero_()

    def state_dict(self) -> dict[str, Any]:
        """The running episodes and the sums."""
        return {"returns": self._returns, "lengths": self._lengths, "sums": self.sums}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue the saved episodes; with another number of environments, begin new ones."""
        self.sums.copy_(state["sums"])
        if state["returns"].shape == self._returns.shape:
            self._returns.copy_(state["returns"])
            self._lengths.copy_(state["lengths"])
