"""Policies whose beliefs are known by construction."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from rl_sim_env.learning.estimate_cfg import velocity_mass_com
from rl_sim_env.learning.estimation import Estimate, EstimationTargets
from rl_sim_env.learning.layout import ObservationLayout
from rl_sim_env.learning.policy import PolicyOutput


class OffsetBeliever:
    """Stands still and believes the truth plus constants, in SI units.

    With ``std`` it tells deviations, the same ones always, and knows its ``mass_range``.
    """

    def __init__(
        self,
        layout: ObservationLayout,
        num_actions: int,
        *,
        velocity: float = 0.0,
        mass: float = 0.0,
        com: float = 0.0,
        std: Mapping[str, float] | None = None,
        mass_range: tuple[float, float] | None = None,
    ) -> None:
        self.targets = EstimationTargets(layout, velocity_mass_com())
        self._num_actions = num_actions
        self._offsets = {"velocity": velocity, "mass": mass, "com": com}
        self._std, self._mass_range = std, mass_range

    def initial_memory(self, num_envs: int) -> torch.Tensor:
        return torch.zeros(num_envs, 0)

    def trained_range(self) -> Estimate | None:
        if self._mass_range is None:
            return None
        return Estimate({"mass": torch.tensor(self._mass_range)[:, None]})

    def __call__(
        self, observations: Mapping[str, torch.Tensor], memory: torch.Tensor, p_boot: float = 1.0
    ) -> PolicyOutput:
        truth = self.targets.to_si(self.targets.truth(observations))
        estimate = {name: part + self._offsets[name] for name, part in truth.items()}
        actions = torch.zeros(len(memory), self._num_actions)
        std = self._std and Estimate(
            {name: torch.full_like(truth[name], value) for name, value in self._std.items()}
        )
        return PolicyOutput(actions, Estimate(estimate), memory, std)
