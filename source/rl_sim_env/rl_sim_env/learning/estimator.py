"""What an estimator is: observations and a memory in, an estimate and a latent code out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple, TypeVar

import torch
from torch import nn

from rl_sim_env.configuration.limits import check_limits
from rl_sim_env.learning.config import ContextVaeCfg
from rl_sim_env.learning.error_variance import ErrorVariance
from rl_sim_env.learning.estimation import EstimationTargets
from rl_sim_env.learning.layout import ObservationLayout
from rl_sim_env.learning.learner import LearnerLoss
from rl_sim_env.typed import typed

ESTIMATE = "estimate"
"""Observation group of the normalised estimate, or of the truth in its place."""
LATENT = "latent"
"""Observation group of the latent code."""
DECODE_LOSS = "Loss/vae_decode_loss"
"""Name that a reconstruction error is logged under; it is watched for spikes."""
SETTINGS = "agent.vae.settings"
"""Where settings of a derived class stand, for messages."""

Settings = TypeVar("Settings")


class EstimatorOutput(NamedTuple):
    """What the actor reads of one step, and what the next step needs."""

    estimate: torch.Tensor
    """Normalised estimate, shape (B, estimate width)."""

    latent: torch.Tensor
    """Latent code, shape (B, latent width)."""

    memory: torch.Tensor
    """Memory after the step, shape (B, memory width)."""

    logvar: torch.Tensor | None = None
    """Log-variance of the normalised estimate's error, shape (B, estimate width); None where the
    estimator has no variances."""

    reconstructions: Mapping[str, torch.Tensor] = MappingProxyType({})
    """What it provides in place of privileged groups, by the names in ``Estimator.reconstructs``,
    shape (B, width of the group) each."""

    reconstruction_logvars: Mapping[str, torch.Tensor] = MappingProxyType({})
    """Log-variances of their errors, of those that the estimator tells it of; shaped alike."""


class Sequences(NamedTuple):
    """Steps of B environments over T steps, as they followed each other."""

    observations: dict[str, torch.Tensor]
    """Groups that the estimator reads, and the truth of those that it reconstructs, shape (T, B,
    width of the group) each."""

    memory: torch.Tensor
    """Memory before the first step, shape (B, memory width)."""

    begins: torch.Tensor
    """Whether a step is the first of its episode, shape (T, B), bool."""

    estimate_targets: torch.Tensor
    """Targets of the estimate, shape (T, B, estimate width)."""

    next_proprioception: torch.Tensor
    """The next values of ``agent.vae.reconstructed_terms``, free of noise, shape (T, B, width)."""

    valid: torch.Tensor
    """Whether there is a next frame, shape (T, B), bool: not where the episode ended."""


def joined(observations: Mapping[str, torch.Tensor], groups: Iterable[str]) -> torch.Tensor:
    """Some groups side by side.

    Args:
        observations: At least the groups, shape (..., width of the group) each.
        groups: Their names, one at least.

    Returns:
        Shape (..., sum of the widths).
    """
    first, *others = (observations[group] for group in groups)
    return torch.cat((first, *others), dim=-1) if others else first


class Estimator(nn.Module, ABC):
    """Base of all estimators; ``agent.vae.class_name`` names the one that is built.

    A derived class adds its networks, and sets the widths of what it remembers and encodes. One
    that tells variances calls :meth:`add_variance`, too, returns what ``variance`` says, and adds
    :meth:`variance_loss` to its loss.

    Args:
        layout: What stands where in the observations.
        cfg: Settings; those of a class of its own stand in ``cfg.settings``.

    Raises:
        LayoutError: The layout lacks a privileged term that is to be estimated.

    Attributes:
        cfg: As given.
        targets: What is estimated.
        groups: Observation groups that it reads.
        reconstructs: Groups that it provides, and the privileged group that each stands for: an
            actor is given the truth in its place while AdaBoot says so.
        latent_width: Width of the latent code; 0 for none.
        memory_width: Width of the memory; 0 for none.
        variance: How far the estimate may be off; None where nobody says. Its gradient is clipped
            apart from that of everything else.
        trained_by_policy: Parts that the policy's loss trains, at the policy's learning rate, and
            :meth:`loss` does not, by the group that the actor reads of each. None unless a derived
            class says so.
    """

    variance: ErrorVariance | None
    latent_width: int = 0
    memory_width: int = 0
    trained_by_policy: Mapping[str, nn.Module] = MappingProxyType({})

    def __init__(self, layout: ObservationLayout, cfg: ContextVaeCfg) -> None:
        super().__init__()
        self.cfg = cfg
        self.targets = EstimationTargets(layout, cfg.estimated())
        self.groups = cfg.obs_groups
        self.reconstructs: dict[str, str] = {}
        self._layout = layout
        self.variance = None

    def own_settings(self, kind: type[Settings]) -> Settings:
        """``cfg.settings`` as what a derived class declares.

        Args:
            kind: A dataclass of them.

        Raises:
            UserError: There is no such setting, or a value is none that it may have.
        """
        found = typed(dict(self.cfg.settings), kind, SETTINGS)
        check_limits(found, SETTINGS)
        return found

    def add_variance(self, feature_width: int) -> None:
        """Have ``variance`` read features of some width, unless its loss has no weight."""
        cfg = self.cfg
        if cfg.variance_weight > 0.0:
            self.variance = ErrorVariance(feature_width, self.targets.width, cfg.variance_log_range)

    @property
    def provides(self) -> dict[str, int]:
        """Widths of the groups that an actor may read of it."""
        return {
            ESTIMATE: self.targets.width,
            LATENT: self.latent_width,
            **{name: self._layout.width(group) for name, group in self.reconstructs.items()},
        }

    @property
    def privileged(self) -> tuple[str, ...]:
        """Groups that :meth:`truths` reads."""
        return tuple(dict.fromkeys(self.reconstructs.values()))

    def truths(self, observations: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """What the actor is fed in place of reconstructions while AdaBoot says so.

        Args:
            observations: At least ``privileged``, shape (B, width of the group) each.

        Returns:
            By the names of the reconstructions, of their shapes.
        """
        return {name: observations[group] for name, group in self.reconstructs.items()}

    def initial_memory(self, num_envs: int) -> torch.Tensor:
        """Memory at the start of an episode: zeros, shape (num_envs, memory width)."""
        device = next(self.parameters()).device
        return torch.zeros(num_envs, self.memory_width, device=device)

    @abstractmethod
    def forward(
        self, observations: Mapping[str, torch.Tensor], memory: torch.Tensor, deterministic: bool
    ) -> EstimatorOutput:
        """Read one step.

        Args:
            observations: At least ``groups``, shape (B, width of the group) each.
            memory: Memory of the step before, shape (B, memory width).
            deterministic: Take the latent's mean in place of a sample.
        """

    @abstractmethod
    def loss(self, batch: Sequences) -> LearnerLoss:
        """Loss of sequences; :meth:`rmse` belongs among the scalars."""

    def provide_again(
        self, batch: Sequences, fed: Mapping[str, torch.Tensor], is_truth: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """What the actor has read of some steps, with the gradient of ``trained_by_policy``.

        Asked for where there are such parts, with every loss of the policy.

        Args:
            batch: The steps.
            fed: What the actor was fed then of the groups in ``trained_by_policy``, shape (T, B,
                width) each.
            is_truth: Whether that was the truth, where there is one, shape (T, B), bool.

        Returns:
            The same groups worked out anew.
        """
        return {}

    def adapt(self, *steering: torch.Tensor) -> None:
        """Follow what the loss returned for steering, as a mean over all processes."""

    def metrics(self) -> dict[str, torch.Tensor]:
        """Further scalars to log of an update, on the device, shape () each."""
        return {}

    def estimate_loss(
        self, features: torch.Tensor, estimate: torch.Tensor, truth: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Weighted squared errors of the estimate, and the loss of its variances.

        Args:
            features: What ``variance`` reads, shape (T, B, feature width).
            estimate: Normalised estimate, shape (T, B, estimate width).
            truth: Normalised truth, of the same shape.

        Returns:
            The loss, shape (), and scalars by name, those of :meth:`rmse` among them.
        """
        squared_error = (estimate - truth).square().mean(dim=(0, 1))
        errors = {name: part.mean() for name, part in self.targets.split(squared_error).items()}
        declared = self.targets.declared
        variance_loss, of_variance = self.variance_loss(features, estimate, truth)
        loss = sum(
            (declared[name].weight * error for name, error in errors.items()), start=variance_loss
        )
        losses = {
            f"Loss/vae_{declared[name].loss_name or name}_loss": error
            for name, error in errors.items()
        }
        return loss, {**losses, **of_variance, **self.rmse(squared_error)}

    def variance_loss(
        self, features: torch.Tensor, estimate: torch.Tensor, truth: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Weighted loss of the variances, which moves them alone, and what is logged of it.

        Args:
            features: What ``variance`` reads, shape (..., feature width).
            estimate: Normalised estimate, shape (..., estimate width).
            truth: Normalised truth, of the same shape.

        Returns:
            The loss, shape (), and scalars by name: the negative log-likelihood, and the share of
            truths within the 95 % interval by quantity. Without variances 0 and nothing.
        """
        if self.variance is None:
            return estimate.new_zeros(()), {}
        loss, covered = self.variance.loss(features, estimate, truth)
        shares = {name: part.mean() for name, part in self.targets.split(covered).items()}
        return self.cfg.variance_weight * loss, {
            "Loss/vae_variance_loss": loss,
            **{f"Estimation/{name}_coverage": share for name, share in shares.items()},
        }

    def rmse(self, squared_error: torch.Tensor) -> dict[str, torch.Tensor]:
        """Errors of all quantities in SI units, by the name that they are logged under.

        Args:
            squared_error: Mean square error of each element, normalised, shape (estimate width,).
        """
        errors = self.targets.rmse(squared_error.detach())
        return {f"Estimation/{name}_rmse": error for name, error in errors.items()}
