"""Teacher and student in one run: a code of what only a simulation knows, and who infers it.

The latent scheme of RMA (Kumar et al., RSS 2021, arXiv:2107.04034): the policy's gradient trains an
encoder of privileged observations, whose code stands for whatever about robot and ground matters; a
student regresses that code from what a robot can sense. Both learn at once on the same rollouts, as
in CTS (Wang et al., RA-L 2024, arXiv:2405.10830): some episodes are walked on the teacher's code,
the others on the student's, by and by all of them, as AdaBoot says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import torch
from rsl_rl.modules import MLP
from torch import nn

from rl_sim_env.configuration.limits import COUNT, NOT_EMPTY, POSITIVE
from rl_sim_env.learning.config import ContextVaeCfg
from rl_sim_env.learning.estimator import Estimator, EstimatorOutput, Sequences, joined
from rl_sim_env.learning.layout import ObservationLayout
from rl_sim_env.learning.learner import LearnerLoss
from rl_sim_env.learning.memory_cells import build_memory, remember

EXTRINSICS = "extrinsics"
"""Observation group of the code, the teacher's or the student's."""


@dataclass(kw_only=True)
class TeacherStudentCfg:
    """The teacher; sizes of the student are those of the context VAE, ``latent_dim`` is of both."""

    privileged: Annotated[tuple[str, ...], NOT_EMPTY] = ("critic_obs",)
    """Observation groups that the teacher reads."""

    teacher_dims: Annotated[tuple[int, ...], COUNT, NOT_EMPTY] = (256, 128)
    """Width of each hidden layer of the teacher."""

    weight: Annotated[float, POSITIVE] = 1.0
    """Weight of the student's error in the loss."""


class TeacherStudent(Estimator):
    """Provides ``extrinsics``; estimates are read off the student by one linear layer.

    No gradient of the student reaches the teacher, none of the policy the student, and none of the
    estimates either: they say what such a student knows.

    Args:
        layout: What stands where in the observations.
        cfg: Sizes; ``cfg.settings`` are those of :class:`TeacherStudentCfg`.

    Raises:
        LayoutError: The layout lacks a group or term.
        UserError: A setting is none, or beyond its limits.
    """

    def __init__(self, layout: ObservationLayout, cfg: ContextVaeCfg) -> None:
        super().__init__(layout, cfg)
        self.settings = self.own_settings(TeacherStudentCfg)
        self.memory_width = cfg.memory_dim
        *hidden_dims, feature_dim = cfg.encoder_dims
        seen, known = (sum(map(layout.width, each)) for each in (self.groups, self.privileged))
        self.encoder = MLP(seen, feature_dim, hidden_dims, "elu", last_activation="elu")
        self.cell = build_memory(feature_dim, cfg)
        context = feature_dim + cfg.memory_dim
        self.head = nn.Linear(context, cfg.latent_dim)
        self.teacher = MLP(
            known, cfg.latent_dim, self.settings.teacher_dims, "elu", last_activation="tanh"
        )
        self.trained_by_policy = {EXTRINSICS: self.teacher}
        self.probe = nn.Linear(context, self.targets.width)
        self.add_variance(context)

    @property
    def provides(self) -> dict[str, int]:
        """Widths of the groups that an actor may read of it."""
        return {**super().provides, EXTRINSICS: self.cfg.latent_dim}

    @property
    def privileged(self) -> tuple[str, ...]:
        """What the teacher reads."""
        return self.settings.privileged

    def truths(self, observations: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The teacher's code."""
        return {EXTRINSICS: self.teacher(joined(observations, self.privileged))}

    def forward(
        self, observations: Mapping[str, torch.Tensor], memory: torch.Tensor, deterministic: bool
    ) -> EstimatorOutput:
        """Read one step; see :class:`~rl_sim_env.learning.estimator.Estimator`."""
        features = self.encoder(joined(observations, self.groups))
        memory = self.cell.advance(self.cell.prepare(features), memory)
        context = torch.cat((features, memory), dim=-1)
        return EstimatorOutput(
            estimate=self.probe(context.detach()),
            latent=memory.new_zeros(len(memory), 0),
            memory=memory,
            logvar=None if self.variance is None else self.variance(context),
            reconstructions={EXTRINSICS: self.head(context).tanh()},
        )

    def loss(self, batch: Sequences) -> LearnerLoss:
        """The student's errors, and those of what is read off it."""
        features = self.encoder(joined(batch.observations, self.groups))
        memories = remember(self.cell, features, batch.memory, batch.begins)
        context = torch.cat((features, memories), dim=-1)
        with torch.no_grad():
            taught = self.truths(batch.observations)[EXTRINSICS]
        error = (self.head(context).tanh() - taught).square().mean()
        seen = context.detach()
        of_estimate, scalars = self.estimate_loss(seen, self.probe(seen), batch.estimate_targets)
        total = of_estimate + self.settings.weight * error
        return LearnerLoss(total, {**scalars, "Loss/vae_student_loss": error})

    def provide_again(
        self, batch: Sequences, fed: Mapping[str, torch.Tensor], is_truth: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """The teacher's code with its gradient where it was fed, the student's as it was."""
        taught = self.truths(batch.observations)[EXTRINSICS]
        return {EXTRINSICS: torch.where(is_truth[..., None], taught, fed[EXTRINSICS])}
