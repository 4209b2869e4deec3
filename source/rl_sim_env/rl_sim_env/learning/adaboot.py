"""Adaptive bootstrapping: whether the actor is fed the estimate or the truth.

After DreamWaQ (Nahrendra et al., arXiv:2301.10602): the steadier the episode returns, the likelier
the estimate. A draw holds for a whole episode, so the actor never sees a blend of both, and a
schedule makes sure that training ends on estimates alone.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import astuple
from typing import Any

import torch

from rl_sim_env.errors import UserError, misfit
from rl_sim_env.learning.config import AdaBootCfg
from rl_sim_env.learning.episodes import EpisodeSums
from rl_sim_env.typed import typed

_PENDING = "adaboot.pending"


class AdaBoot:
    """Probability p of the estimate, and the draw of every environment.

    Args:
        num_envs: Number of environments.
        cfg: Gains and schedule.
        device: Where the draws live.
    """

    def __init__(self, num_envs: int, cfg: AdaBootCfg, device: str) -> None:
        self.cfg = cfg
        self._measured: deque[float] = deque(maxlen=cfg.window)
        self._pending = EpisodeSums()
        self._floor = 0.0
        self.set_progress(0.0)
        fed = torch.tensor(self.p >= 1.0, device=device)
        self.uses_estimate = fed.repeat(num_envs)
        """Whether the episode of an environment runs on estimates. Shape (num_envs,)."""

    @property
    def p(self) -> float:
        """Probability that an episode runs on estimates, 0 to 1."""
        return max(sum(self._measured) / self.cfg.window, self._floor)

    def set_progress(self, fraction: float) -> None:
        """Follow the schedule. The least p never falls, even where a resume prolongs training.

        Args:
            fraction: Part of training that is done, 0 to 1.
        """
        ramp_end = 1.0 - self.cfg.final_fraction
        floor = 1.0 + (fraction - ramp_end) / self.cfg.ramp_fraction
        self._floor = max(self._floor, min(floor, 1.0))

    def observe(self, finished: EpisodeSums) -> None:
        """Measure p from the returns of finished episodes.

        Episodes add up until there are enough of them for one measurement.

        Args:
            finished: Sums over episodes of all ranks that no earlier call has seen.
        """
        self._pending += finished
        if self._pending.count >= self.cfg.min_episodes:
            self._measured.append(self._measure(self._pending))
            self._pending = EpisodeSums()

    def redraw(self, dones: torch.Tensor) -> None:
        """Draw anew where an episode ended.

        Args:
            dones: Not zero where an episode ended, shape (num_envs,).
        """
        drawn = torch.rand(self.uses_estimate.shape, device=dones.device) < self.p
        self.uses_estimate.copy_(torch.where(dones != 0, drawn, self.uses_estimate))

    def state_dict(self) -> dict[str, Any]:
        """What is the same in all processes: the measurements."""
        return {
            "measured": list(self._measured),
            "pending": list(astuple(self._pending)),
            "floor": self._floor,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state_dict`.

        Raises:
            UserError: Something that must be a probability is none, or sums are those of no
                episodes; the message names it.
        """
        measured = typed(state["measured"], list[float], "adaboot.measured")
        floor = typed(state["floor"], float, "adaboot.floor")
        for name, p in (*(("measured", each) for each in measured), ("floor", floor)):
            if not 0.0 <= p <= 1.0:
                raise UserError(misfit(f"adaboot.{name}", f"{p:g}", "between 0 and 1"))
        pending = EpisodeSums(*typed(state["pending"], tuple[float, float, float, float], _PENDING))
        if not pending.are_possible:
            raise UserError(misfit(_PENDING, str(astuple(pending)), "the sums of episodes"))
        self._measured = deque(measured, maxlen=self.cfg.window)
        self._pending = pending
        self._floor = floor

    def _measure(self, sums: EpisodeSums) -> float:
        mean = sums.returns / sums.count
        variance = max(sums.squared_returns / sums.count - mean**2, 0.0)
        # Where returns scatter around zero their variation has no bound, and p is 0.
        variation = math.sqrt(variance) / abs(mean) if mean else math.inf
        return min(max(self.cfg.gain * (1.0 - math.tanh(variation)), 0.0), 1.0)
