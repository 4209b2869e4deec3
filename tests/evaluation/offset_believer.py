"""Policies whose beliefs are known by construction."""

from __future__ import annotations

import torch

from rl_sim_env.learning.estimation import Estimate, EstimationTargets
from rl_sim_env.learning.layout import ObservationLayout
from rl_sim_env.learning.policy import PolicyOutput


class OffsetBeliever:
    """Stands still and believes the truth plus constants, in SI units."""

    def __init__(
        self,
        layout: ObservationLayout,
        num_actions: int,
        *,
        velocity: float = 0.0,
        mass: float = 0.0,
        com: float = 0.0,
    ) -> None:
        self.targets = EstimationTargets(layout, com_scale=1.0)
        self._num_actions = num_actions
        self._offsets = velocity, mass, com

    def initial_memory(self, num_envs: int) -> torch.Tensor:
        return torch.zeros(num_envs, 0)

    def __call__(
        self,
        actor_obs: torch.Tensor,
        vae_obs: torch.Tensor,
        memory: torch.Tensor,
        truth: torch.Tensor | None = None,
        p_boot: float = 1.0,
    ) -> PolicyOutput:
        assert truth is not None
        parts = zip(self.targets.to_si(truth), self._offsets, strict=True)
        estimate = Estimate(*(part + offset for part, offset in parts))
        return PolicyOutput(torch.zeros(len(actor_obs), self._num_actions), estimate, memory)
