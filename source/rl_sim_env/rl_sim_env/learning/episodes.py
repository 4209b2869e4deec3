"""Returns and lengths of episodes, summed on the device."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from operator import add
from typing import Any

import torch

from rl_sim_env.learning.structure import require_like

_ROUNDING = 1e-6
"""Share by which sums of equal returns may be off."""


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

    @property
    def are_possible(self) -> bool:
        """Whether there are episodes of which these are the sums, as far as rounding lets tell."""
        if self.count <= 0.0:
            return not any(astuple(self))
        # Cauchy and Schwarz: the mean's square is not above the mean of the squares.
        of_squares = self.count * self.squared_returns
        is_sound = self.returns**2 <= of_squares * (1.0 + _ROUNDING)
        return is_sound and self.count.is_integer() and self.lengths >= self.count

    def __add__(self, other: EpisodeSums) -> EpisodeSums:
        return EpisodeSums(*map(add, astuple(self), astuple(other)))


class ReturnMeter:
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
        """Add the steps of a rollout.

        Args:
            rewards: Shape (T, N).
            dones: Not zero where an episode ended with the step, same shape.
        """
        ended = dones != 0
        steps = torch.arange(1, len(dones) + 1, device=dones.device).unsqueeze(1)
        # How many steps of the rollout an environment had done when its episode began.
        last_end = torch.where(ended, steps, 0).cummax(dim=0).values
        begins = torch.cat((torch.zeros_like(last_end[:1]), last_end[:-1]))

        def since_begin(carried: torch.Tensor, gained: torch.Tensor) -> torch.Tensor:
            totals = carried + gained
            return totals - torch.cat((torch.zeros_like(totals[:1]), totals)).gather(0, begins)

        returns = since_begin(self._returns, rewards.double().cumsum(dim=0))
        lengths = since_begin(self._lengths, steps.double())
        finished = torch.stack((torch.ones_like(returns), returns, returns.square(), lengths))
        self.sums += torch.where(ended, finished, 0.0).sum(dim=(1, 2))
        self._returns.copy_(torch.where(ended[-1], 0.0, returns[-1]))
        self._lengths.copy_(torch.where(ended[-1], 0.0, lengths[-1]))

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
        require_like(state["sums"], self.sums, "episodes.sums")
        # Of how many robots they are is free, but all of the same.
        require_like(state["lengths"], state["returns"], "episodes.lengths")
        self.sums.copy_(state["sums"])
        if state["returns"].shape == self._returns.shape:
            self._returns.copy_(state["returns"])
            self._lengths.copy_(state["lengths"])
