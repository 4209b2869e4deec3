"""Trains the estimator, remembers for it while the policy acts, and feeds the actor."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, ClassVar

import torch
from torch import nn

from rl_sim_env.errors import UserError
from rl_sim_env.learning.adaboot import AdaBoot
from rl_sim_env.learning.config import AmpVaeRunnerCfg
from rl_sim_env.learning.episodes import EpisodeSums
from rl_sim_env.learning.error_variance import ErrorVariance
from rl_sim_env.learning.estimator import DECODE_LOSS, ESTIMATE, LATENT, Sequences
from rl_sim_env.learning.figure import Figure
from rl_sim_env.learning.frames import FrameRecord
from rl_sim_env.learning.learner import Learner, LearnerContext, LearnerLoss, Transition, Tree
from rl_sim_env.learning.metrics import SpikeDetector
from rl_sim_env.learning.policy import build_estimator
from rl_sim_env.learning.rollout import BatchIndices, Rollout
from rl_sim_env.learning.symmetry import MIRRORED, Reflection, Symmetry

_P = "Adaboot/adaboot_p"
_FED_ESTIMATES = "fed_estimates"


class EstimatorLearner(Learner):
    """The estimator (:class:`~rl_sim_env.learning.estimator.Estimator`).

    It provides ``estimate``, which is the truth where AdaBoot says so, and ``latent``; where there
    is a symmetry, also those of the robots' mirror images.

    Raises:
        LayoutError: The layout lacks a group or term.
        UserError: The estimator cannot be built, or a term has no mirror image.

    Attributes:
        estimator: The estimator.
        adaboot: Draws who is fed the truth.
        first_memory: Memory before the first step of the rollout, shape (N, width), or (2 N, width)
            with that of the mirror images behind it.
        frames: What the rollout showed, by group.
    """

    policy_parts: ClassVar[Mapping[str, str]] = {"vae": "vae"}

    def __init__(self, context: LearnerContext) -> None:
        cfg, device = context.cfg.vae, context.device
        self.cfg = cfg
        self._layout = context.layout
        self._num_envs = context.num_envs
        self.estimator = build_estimator(context.layout, cfg).to(device)
        self._groups = tuple(dict.fromkeys((*self.estimator.groups, *self.estimator.privileged)))
        self.provides = self.estimator.provides
        if unread := self.estimator.trained_by_policy.keys() - set(context.cfg.actor.obs_groups):
            raise UserError(
                f"agent.actor.obs_groups: the actor does not read '{unread.pop()}', which "
                f"{cfg.class_name} learns by the policy's loss alone; add it"
            )
        self.modules = {"vae": self.estimator}
        self.max_grad_norm = cfg.max_grad_norm
        self._rate = torch.tensor(cfg.learning_rate, device=device)
        led = _parameters(self.estimator.trained_by_policy.values())
        rates = [{"params": _without(self.estimator.parameters(), led), "lr": self._rate}]
        if led:
            rates.append({"params": led, "lr": context.policy_rate})
        self.optimizer = torch.optim.Adam(rates, fused=True)
        self.needs_sequences = bool(led)
        self.adaboot = AdaBoot(context.num_envs, context.cfg.adaboot, device)
        self._mirrored = (
            None if context.symmetry is None else _MirrorSamples(context.symmetry, self)
        )
        copies = 1 if self._mirrored is None else 2
        self.first_memory = self.estimator.initial_memory(copies * context.num_envs)
        self._memory = torch.zeros_like(self.first_memory)
        self.frames = {}
        for group in self._groups:
            stack = context.layout.groups[group]
            self.frames[group] = FrameRecord(
                context.num_envs,
                context.cfg.num_steps_per_env,
                stack.history,
                stack.frame_width,
                device,
            )
        self._spike_detector = SpikeDetector(
            "reconstruction loss of the VAE", cfg.spike_factor, cfg.spike_window
        )

    @classmethod
    def figures(cls, cfg: AmpVaeRunnerCfg) -> tuple[Figure, ...]:
        """How often estimates are fed, and how far they are off."""
        errors = (
            Figure(
                label=f"{each.label} estimate RMSE",
                metric=f"Estimation/{name}_rmse",
                unit=each.shown_unit,
                factor=each.shown_per_si,
                digits=each.decimals,
            )
            for name, each in cfg.vae.estimated().items()
        )
        return (Figure(label="estimates fed (p)", metric=_P), *errors)

    def begin_rollout(self) -> None:
        """Keep the memory that the rollout begins with."""
        self.first_memory.copy_(self._memory)

    def provide(self, observations: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Read a step, and decide between estimate and truth."""
        read = {group: observations[group] for group in self._groups}
        truth = {ESTIMATE: self.estimator.targets.truth(observations)}
        uses_estimate = self.adaboot.uses_estimate.unsqueeze(1)
        if self._mirrored is not None:
            # Rows N to 2 N are the mirror images of rows 0 to N, each with a memory of its own.
            read = {group: self._mirrored.groups[group].augment(of) for group, of in read.items()}
            truth = {ESTIMATE: self._mirrored.targets.augment(truth[ESTIMATE])}
            uses_estimate = uses_estimate.repeat(2, 1)
        truth |= self.estimator.truths(read)
        output = self.estimator(read, self._memory, deterministic=not self.estimator.training)
        self._memory = output.memory
        believed = {ESTIMATE: output.estimate, **output.reconstructions}
        provided = {
            name: torch.where(uses_estimate, value, truth[name]) for name, value in believed.items()
        } | {LATENT: output.latent}
        return provided if self._mirrored is None else _by_side(provided)

    def record(self, step: Transition) -> dict[str, torch.Tensor]:
        """Keep frames and targets; forget where an episode ended, and draw anew who is fed what."""
        for group, frames in self.frames.items():
            frames.add(step.index, self._layout.frames(group, step.observations[group]))
        fields = {
            "estimate_targets": self.estimator.targets.truth(step.observations),
            "next_proprioception": self._layout.gather(
                "critic_obs", self.cfg.reconstructed_terms, step.next_observations["critic_obs"]
            ),
            "valid": ~step.dones,
        }
        if self.needs_sequences:
            # The draws change before the rollout has kept them.
            fields[_FED_ESTIMATES] = self.adaboot.uses_estimate.clone()
        self.adaboot.redraw(step.dones)
        ended = step.dones.repeat(len(self._memory) // len(step.dones))
        self._memory = torch.where(ended[:, None], 0.0, self._memory)
        return fields

    def begin_episodes(self) -> None:
        """Forget everything."""
        self._memory = torch.zeros_like(self._memory)

    def finish_rollout(
        self, rollout: Rollout, last_observations: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Remember between which values the truth has been."""
        if self.estimator.variance is not None:
            self.estimator.variance.see(rollout["estimate_targets"])
        return {}

    def sequences(self, rollout: Rollout, envs: torch.Tensor) -> Sequences:
        """The whole time of some environments.

        Args:
            rollout: The rollout.
            envs: Which ones, shape (B,).
        """
        valid = rollout["valid"][:, envs]
        begins = torch.zeros_like(valid)
        # The memory before the first step is already that of a new episode where one begins.
        begins[1:] = ~valid[:-1]
        return Sequences(
            observations={name: of.stacks(begins, envs) for name, of in self.frames.items()},
            memory=self.first_memory[envs],
            begins=begins,
            estimate_targets=rollout["estimate_targets"][:, envs],
            next_proprioception=rollout["next_proprioception"][:, envs],
            valid=valid,
        )

    def loss(self, rollout: Rollout, indices: BatchIndices, own: Tree) -> LearnerLoss:
        """Loss of the estimator over the whole time of some environments."""
        # Mini-batches are shuffled, so that their first part is a random sample.
        envs = indices.envs[: math.ceil(self.cfg.batch_share * len(indices.envs))]
        batch = self.sequences(rollout, envs)
        if self._mirrored is not None:
            in_the_mirror = self.first_memory[self._num_envs + envs]
            batch = self._mirrored.reflect_half(batch, in_the_mirror)
        return self.estimator.loss(batch)

    def provide_again(self, rollout: Rollout, indices: BatchIndices) -> dict[str, torch.Tensor]:
        """What the policy's loss trains, over the whole time of the mini-batch's environments."""
        if not self.estimator.trained_by_policy:
            return {}
        envs = indices.envs
        batch, is_truth = self.sequences(rollout, envs), ~rollout[_FED_ESTIMATES][:, envs]
        fed = {name: rollout[name][:, envs] for name in self.estimator.trained_by_policy}
        if self._mirrored is not None:
            batch = self._mirrored.augment(batch, self.first_memory[self._num_envs + envs])
            is_truth = is_truth.repeat(1, 2)
            fed = {
                name: torch.cat((of, rollout[MIRRORED + name][:, envs]), dim=1)
                for name, of in fed.items()
            }
        again = self.estimator.provide_again(batch, fed, is_truth)
        # The samples are one environment after the other.
        again = {name: of.transpose(0, 1).flatten(0, 1) for name, of in again.items()}
        return again if self._mirrored is None else _by_side(again)

    def clipped(self) -> dict[str, list[nn.Parameter]]:
        """Apart what other losses train: large gradients of theirs must not hold up the estimate.

        Those are the variances, and what the policy trains.
        """
        estimator = self.estimator
        variances = [each for each in estimator.modules() if isinstance(each, ErrorVariance)]
        apart = {
            "vae_variance": _parameters(variances),
            "vae_of_policy": _parameters(estimator.trained_by_policy.values()),
        }
        clipped = {"vae": _without(estimator.parameters(), chain(*apart.values())), **apart}
        return {name: parameters for name, parameters in clipped.items() if parameters}

    def adapt(self, *steering: torch.Tensor) -> None:
        """Let the estimator follow its loss."""
        self.estimator.adapt(*steering)

    def metrics(self) -> dict[str, torch.Tensor]:
        """What the estimator adapts."""
        return self.estimator.metrics()

    def observe(self, metrics: Mapping[str, float], finished: EpisodeSums) -> dict[str, float]:
        """Look for spikes, and measure how often estimates are fed from now on."""
        if DECODE_LOSS in metrics:
            self._spike_detector.watch(metrics[DECODE_LOSS])
        self.adaboot.observe(finished)
        return {_P: self.adaboot.p}

    def set_progress(self, fraction: float) -> None:
        """Lower the learning rate, and raise the least share of estimates."""
        cfg = self.cfg
        self.adaboot.set_progress(fraction)
        self._rate.fill_(cfg.learning_rate ** (1.0 - fraction) * cfg.final_learning_rate**fraction)

    def state_dict(self) -> dict[str, Any]:
        """With AdaBoot's measurements."""
        return {**super().state_dict(), "adaboot": self.adaboot.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from :meth:`state_dict`."""
        super().load_state_dict(state)
        self.adaboot.load_state_dict(state["adaboot"])

    def process_state_dict(self) -> dict[str, Any]:
        """Memories of the running episodes, and who is fed estimates in them."""
        return {"memory": self._memory, "uses_estimate": self.adaboot.uses_estimate}

    def load_process_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with both; with another number of environments, with new draws alone."""
        draws = self.adaboot.uses_estimate
        if state["memory"].shape == self._memory.shape:
            self._memory.copy_(state["memory"])
        if state["uses_estimate"].shape == draws.shape:
            draws.copy_(state["uses_estimate"])
        else:
            self.adaboot.redraw(torch.ones_like(draws))


def _parameters(modules: Iterable[nn.Module]) -> list[nn.Parameter]:
    return [parameter for module in modules for parameter in module.parameters()]


def _without(
    parameters: Iterable[nn.Parameter], others: Iterable[nn.Parameter]
) -> list[nn.Parameter]:
    left_out = set(map(id, others))
    return [each for each in parameters if id(each) not in left_out]


def _by_side(groups: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Groups of robots and of their mirror images, which are the second halves, apart."""
    sides = {}
    for name, of in groups.items():
        sides[name], sides[MIRRORED + name] = of.chunk(2)
    return sides


class _MirrorSamples:
    """Mirror images of what the estimator learns from.

    Args:
        symmetry: Reflections of its terms.
        learner: Whose observations and targets they are.
    """

    def __init__(self, symmetry: Symmetry, learner: EstimatorLearner) -> None:
        estimator = learner.estimator
        read = (*estimator.groups, *estimator.privileged)
        self.groups = {group: symmetry.group(group) for group in read}
        self.targets = symmetry.terms(each.term for each in estimator.targets.declared.values())
        self._proprioception = symmetry.terms(learner.cfg.reconstructed_terms)

    def augment(self, batch: Sequences, mirrored_memory: torch.Tensor) -> Sequences:
        """The sequences, then their mirror images: of B environments, of 2 B.

        Args:
            batch: Sequences of B environments.
            mirrored_memory: See :meth:`reflect_half`.
        """

        def both(values: torch.Tensor, reflection: Reflection) -> torch.Tensor:
            return torch.cat((values, reflection.apply(values)), dim=1)

        return Sequences(
            observations={
                name: both(of, self.groups[name]) for name, of in batch.observations.items()
            },
            memory=torch.cat((batch.memory, mirrored_memory)),
            begins=batch.begins.repeat(1, 2),
            estimate_targets=both(batch.estimate_targets, self.targets),
            next_proprioception=both(batch.next_proprioception, self._proprioception),
            valid=batch.valid.repeat(1, 2),
        )

    def reflect_half(self, batch: Sequences, mirrored_memory: torch.Tensor) -> Sequences:
        """Put every other environment of a mini-batch, by chance, into the mirror.

        Args:
            batch: Sequences of B environments.
            mirrored_memory: Memory that their mirror images would have before the first step,
                shape (B, memory width).
        """
        memory = batch.memory
        chosen = torch.rand(len(memory), 1, device=memory.device) < 0.5

        def mirrored(values: torch.Tensor, reflection: Reflection) -> torch.Tensor:
            return torch.where(chosen, reflection.apply(values), values)

        return batch._replace(
            observations={
                group: mirrored(values, self.groups[group])
                for group, values in batch.observations.items()
            },
            memory=torch.where(chosen, mirrored_memory, memory),
            estimate_targets=mirrored(batch.estimate_targets, self.targets),
            next_proprioception=mirrored(batch.next_proprioception, self._proprioception),
        )
