"""Networks of somebody else's package: they stand in for ours by their names alone."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from rsl_rl.models import MLPModel
from torch import nn

from rl_sim_env.learning.estimator import Estimator, EstimatorOutput, Sequences
from rl_sim_env.learning.learner import LearnerLoss


class GatedActor(MLPModel):
    """Weighs what it reads by a gate of its own before rsl_rl's network sees it."""

    def __init__(self, *args, gate_init: float, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.gate = nn.Parameter(torch.full((self.obs_dim,), gate_init))

    def get_latent(self, obs, masks=None, hidden_state=None) -> torch.Tensor:
        return self.gate.sigmoid() * super().get_latent(obs, masks, hidden_state)


class FrameEstimator(Estimator):
    """One linear layer on the newest frame; it encodes nothing and remembers nothing."""

    def __init__(self, layout, cfg) -> None:
        super().__init__(layout, cfg)
        width = sum(layout.width(group) for group in self.groups)
        self.head = nn.Linear(width, self.targets.width)
        nn.init.constant_(self.head.bias, cfg.settings["bias"])

    def forward(
        self, observations: Mapping[str, torch.Tensor], memory: torch.Tensor, deterministic: bool
    ) -> EstimatorOutput:
        return EstimatorOutput(self._read(observations), memory.new_zeros(len(memory), 0), memory)

    def loss(self, batch: Sequences) -> LearnerLoss:
        error = (self._read(batch.observations) - batch.estimate_targets).square().mean(dim=(0, 1))
        return LearnerLoss(error.sum(), {"Loss/frame_loss": error.sum(), **self.rmse(error)})

    def _read(self, observations: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return self.head(torch.cat([observations[group] for group in self.groups], dim=-1))


class Recurrent(MLPModel):
    is_recurrent = True
