"""A recurrent actor: a memory that the policy's gradient trains, through time.

Recurrent PPO as locomotion has it (Siekmann et al., arXiv:2105.08328; rsl_rl's ``RNNModel``): the
memory reads the frame, the actor's layers read the memory. Here the memory is the estimator's, so
that rollouts, mirror images, checkpoints and exported files keep it as any other.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from rl_sim_env.learning.config import ContextVaeCfg
from rl_sim_env.learning.estimator import LATENT, Estimator, EstimatorOutput, Sequences, joined
from rl_sim_env.learning.layout import ObservationLayout
from rl_sim_env.learning.learner import LearnerLoss
from rl_sim_env.learning.memory_cells import build_memory, remember


class RecurrentEstimator(Estimator):
    """A memory whose state is the latent code; estimates are read off it by one linear layer.

    The policy's loss alone trains the memory, over whole rollouts from the memory that they began
    with. What the estimates are trained by stops before it: they say what such a memory tells.
    Their cell is ``agent.vae.memory_cell``, of width ``agent.vae.memory_dim``.

    Args:
        layout: What stands where in the observations.
        cfg: Cell and width.

    Raises:
        LayoutError: The layout lacks a group or term.
    """

    def __init__(self, layout: ObservationLayout, cfg: ContextVaeCfg) -> None:
        super().__init__(layout, cfg)
        self.latent_width = self.memory_width = cfg.memory_dim
        self.cell = build_memory(sum(layout.width(group) for group in self.groups), cfg)
        self.trained_by_policy = {LATENT: self.cell}
        self.probe = nn.Linear(cfg.memory_dim, self.targets.width)
        self.add_variance(cfg.memory_dim)

    def forward(
        self, observations: Mapping[str, torch.Tensor], memory: torch.Tensor, deterministic: bool
    ) -> EstimatorOutput:
        """Read one step; see :class:`~rl_sim_env.learning.estimator.Estimator`."""
        memory = self.cell.advance(self.cell.prepare(joined(observations, self.groups)), memory)
        logvar = None if self.variance is None else self.variance(memory)
        return EstimatorOutput(self.probe(memory), latent=memory, memory=memory, logvar=logvar)

    def loss(self, batch: Sequences) -> LearnerLoss:
        """Errors of what is read off the memory."""
        with torch.no_grad():
            memories = self._remember(batch)
        total, scalars = self.estimate_loss(memories, self.probe(memories), batch.estimate_targets)
        return LearnerLoss(total, scalars)

    def provide_again(
        self, batch: Sequences, fed: Mapping[str, torch.Tensor], is_truth: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """The memory after each step; the gradient reaches back to the first one."""
        return {LATENT: self._remember(batch)}

    def _remember(self, batch: Sequences) -> torch.Tensor:
        return remember(
            self.cell, joined(batch.observations, self.groups), batch.memory, batch.begins
        )
