"""The networks that act, and the policy without its trainer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from rsl_rl.models import MLPModel
from tensordict import TensorDict
from torch import nn

from rl_sim_env.errors import UserError
from rl_sim_env.learning.class_names import resolve_class
from rl_sim_env.learning.config import AmpVaeRunnerCfg, ContextVaeCfg, MlpCfg
from rl_sim_env.learning.distribution import Gaussian
from rl_sim_env.learning.estimation import Estimate, EstimationTargets
from rl_sim_env.learning.estimator import ESTIMATE, LATENT, Estimator
from rl_sim_env.learning.layout import ObservationLayout
from rl_sim_env.learning.structure import require_like

POLICY_STATE = "policy_state_dict"
"""Key of the policy in the algorithm's saved state."""

VARIANCE_STATE = "vae.variance."
"""Begins the names of what tells how far estimates may be off, in the policy's saved state."""


class PolicyOutput(NamedTuple):
    """What the policy does and what it believes."""

    actions: torch.Tensor
    """Mean actions, shape (N, number of actions)."""

    estimate: Estimate
    """What is estimated, in SI units, whatever the actor was fed."""

    memory: torch.Tensor
    """What the estimator remembers, for the next step; zeros begin an episode. Shape (..., width).
    """

    std: Estimate | None = None
    """Standard deviations of the estimate's errors, in the same units; None where the policy tells
    none."""

    reconstructions: Mapping[str, torch.Tensor] = MappingProxyType({})
    """What the estimator has reconstructed of privileged groups, by the names of what it provides,
    as they are observed, shape (N, width of the group) each; whatever the actor was fed."""

    reconstruction_logvars: Mapping[str, torch.Tensor] = MappingProxyType({})
    """Log-variances of their errors, of those that the estimator tells it of; shaped alike."""


def build_estimator(layout: ObservationLayout, cfg: ContextVaeCfg) -> Estimator:
    """The estimator of a configuration, sized by the layout.

    Raises:
        LayoutError: The layout lacks a group or term.
        UserError: There is no such class.
    """
    kind = resolve_class(cfg.class_name, Estimator, "agent.vae.class_name")
    return kind(layout, cfg)  # pyright: ignore[reportAbstractUsage] (a class that derives from it)


def build_actor(groups: Mapping[str, int], num_actions: int, cfg: AmpVaeRunnerCfg) -> MLPModel:
    """The actor of a configuration.

    Args:
        groups: Width of every group that it may read.
        num_actions: Width of the actions.
        cfg: Configuration of the run.

    Raises:
        UserError: There is no such class or group, or it has a memory of its own.
    """
    gaussian = {"class_name": Gaussian, "init_std": cfg.actor.init_std, "std_type": "log"}
    return _build_model(groups, "actor", num_actions, cfg.actor, distribution_cfg=gaussian)


def build_critic(groups: Mapping[str, int], cfg: AmpVaeRunnerCfg, *, width: int = 1) -> MLPModel:
    """The critic of a configuration, of some values; see :func:`build_actor`."""
    return _build_model(groups, "critic", width, cfg.critic)


def _build_model(
    groups: Mapping[str, int], role: str, width: int, cfg: MlpCfg, **further: Any
) -> MLPModel:
    for name in cfg.obs_groups:
        if name not in groups:
            raise UserError(
                f"agent.{role}.obs_groups: there is no group '{name}'; there are "
                f"{', '.join(groups)}. Add it to the environment, or put the learner that provides "
                "it before the policy's in agent.learners"
            )
    kind = resolve_class(cfg.class_name, MLPModel, f"agent.{role}.class_name")
    # rsl_rl's models read the widths off an example observation.
    example = TensorDict({name: torch.zeros(1, of) for name, of in groups.items()}, batch_size=[1])
    arguments = {"hidden_dims": cfg.hidden_dims, "activation": cfg.activation, **further}
    groups_read = {role: list(cfg.obs_groups)}
    try:
        model = kind(example, groups_read, role, width, **arguments, **cfg.settings)
    except TypeError as error:
        if not cfg.settings:
            raise
        raise UserError(
            f"agent.{role}.settings={cfg.settings}: {cfg.class_name} does not take that ({error})"
        ) from error
    if model.is_recurrent:
        raise UserError(
            f"agent.{role}.class_name={cfg.class_name!r}: mini-batches are single steps, so a "
            "model cannot remember; what is remembered is the estimator's (agent.vae.memory_dim)"
        )
    return model


class AmpVaePolicy(nn.Module):
    """Deterministic policy: observations to estimates, and both to actions.

    Args:
        actor: The actor.
        vae: The estimator.
        actor_groups: Groups that the actor reads.
    """

    def __init__(self, actor: MLPModel, vae: Estimator, actor_groups: tuple[str, ...]) -> None:
        super().__init__()
        self.actor = actor
        self.vae = vae
        self.groups = tuple(
            dict.fromkeys(
                group for group in (*actor_groups, *vae.groups) if group not in vae.provides
            )
        )
        """Observation groups of the environment that it reads."""

    @property
    def targets(self) -> EstimationTargets:
        """What it estimates, and where the truth about it stands."""
        return self.vae.targets

    def trained_range(self) -> Estimate | None:
        """Least and greatest truth of its training, in SI units, shape (2, width of the quantity).

        None where that is not known: it tells no variances, or has not been trained.
        """
        seen = None if self.vae.variance is None else self.vae.variance.seen()
        if seen is None:
            return None
        # A term may be observed at a negative scale.
        ends = self.targets.to_si(seen).items()
        return Estimate({name: part.sort(dim=0).values for name, part in ends})

    def initial_memory(self, num_envs: int) -> torch.Tensor:
        """What it remembers when episodes begin, shape (num_envs, memory width)."""
        return self.vae.initial_memory(num_envs)

    @classmethod
    def build(
        cls, layout: ObservationLayout, num_actions: int, cfg: AmpVaeRunnerCfg
    ) -> AmpVaePolicy:
        """An untrained policy.

        Args:
            layout: What stands where in the observations.
            num_actions: Number of actions.
            cfg: Configuration of its training.

        Raises:
            LayoutError: The layout lacks a group or term.
            UserError: A network cannot be built.
        """
        vae = build_estimator(layout, cfg.vae)
        groups = {**{group: layout.width(group) for group in layout.groups}, **vae.provides}
        return cls(build_actor(groups, num_actions, cfg), vae, cfg.actor.obs_groups)

    @classmethod
    def from_saved(
        cls,
        saved: Mapping[str, Any],
        layout: ObservationLayout,
        num_actions: int,
        cfg: AmpVaeRunnerCfg,
        device: str,
        source: Path | str = "what was saved",
    ) -> AmpVaePolicy:
        """Rebuild the policy from what the algorithm saved, without anything else of it.

        Args:
            saved: Result of ``Algorithm.save``.
            layout: Observation layout it was trained with.
            num_actions: Number of actions.
            cfg: Configuration it was trained with.
            device: Where the policy runs.
            source: Where it was read from, for the message.

        Raises:
            UserError: A network of it cannot be found, or what was saved is not that of these
                networks.
        """
        policy = cls.build(layout, num_actions, cfg)
        require_like(saved, {POLICY_STATE: policy.state_dict()}, f"{source}: algorithm")
        policy.load_state_dict(saved[POLICY_STATE])
        return policy.to(device).eval()

    def forward(
        self, observations: Mapping[str, torch.Tensor], memory: torch.Tensor, p_boot: float = 1.0
    ) -> PolicyOutput:
        """Act on estimates, on the truth, or on a blend.

        Args:
            observations: Groups by name, shape (N, width of the group) each: ``groups``, and where
                ``p_boot`` is below 1 the privileged ones that show the truth.
            memory: Memory of the last step, shape (N, memory width).
            p_boot: Share of the estimate in what the actor reads: 1 estimates only, 0 the truth
                only, between them a linear blend p estimate + (1 - p) truth. Training never
                blends, so values between show how sensitive the actor is, not how it was trained.

        Raises:
            UserError: ``p_boot`` is outside 0 to 1, or the truth is missing.
        """
        if not 0.0 <= p_boot <= 1.0:
            raise UserError(f"p_boot is {p_boot}; give a number from 0 (truth) to 1 (estimates).")
        output = self.vae(observations, memory, deterministic=True)
        estimate, logvar = output.estimate, output.logvar
        fed = {ESTIMATE: estimate, **output.reconstructions}
        if p_boot < 1.0:
            truth = {ESTIMATE: self.targets.truth(observations)}
            truth |= self.vae.truths(observations)
            fed = {name: torch.lerp(truth[name], value, p_boot) for name, value in fed.items()}
        actions = self.actor({**dict(observations.items()), **fed, LATENT: output.latent})
        std = None if logvar is None else self.targets.std_in_si(logvar)
        told = self.targets.to_si(estimate)
        return PolicyOutput(
            *(actions, told, output.memory, std),
            output.reconstructions,
            output.reconstruction_logvars,
        )
