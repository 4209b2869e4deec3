"""Learns where feet touch down next, and has them paid for the ground there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from rl_sim_env.learning.collectives import standardize_over_ranks, sum_over_ranks
from rl_sim_env.learning.config import AmpVaeRunnerCfg
from rl_sim_env.learning.figure import Figure
from rl_sim_env.learning.foothold_predictor import (
    Foothold,
    FootholdPredictor,
    expected,
    likelihood_loss,
)
from rl_sim_env.learning.footing import FOOTING, Footing, Touchdowns, next_touchdowns
from rl_sim_env.learning.learner import (
    Learner,
    LearnerContext,
    LearnerLoss,
    Named,
    Transition,
    Tree,
)
from rl_sim_env.learning.policy import build_critic
from rl_sim_env.learning.returns import returns_beyond
from rl_sim_env.learning.rollout import BatchIndices, Rollout

_BEFORE, _AFTER = "footing_before", "footing_after"
_PLACES, _KNOWN = "touchdowns", "touchdown_is_known"
_COST, _VALUES, _RETURNS = "foothold_cost", "foothold_values", "foothold_returns"
_RMSE, _DEFICIENCY = "Footholds/rmse", "Footholds/touchdown_deficiency"

QUALITY = "quality"
"""Name under which a checkpoint holds :attr:`FootholdLearner.quality`."""

_RATE = 0.1
"""Share of a rollout in the running quality of predictions."""


class FootholdLearner(Learner):
    """Imagined footholds, after SSR (arXiv:2605.30770), for a robot with feet like balls.

    For each foot in the air a network tells, from state and action, where it touches down next: a
    Gaussian, learned from the touchdowns that followed. What is paid for is the support that the
    ground lacks (:func:`~rl_sim_env.terrains.support_deficiency_map`), a mean over the feet: of
    those that stand, where they stand; of those in the air, where they are expected, as soon as the
    predictions, on rollouts that they have not been trained on, are near enough.

    Of the environment it needs :data:`~rl_sim_env.learning.footing.FOOTING` in extras.

    Raises:
        UserError: There is no such observation group, or the networks cannot be built.

    Attributes:
        predictor: Tells touchdowns.
        quality: How good predictions have been on late rollouts: mean squared distance [m^2], and
            the shares of touchdowns within one and two deviations; the same in all processes.
            Shape (3,).
    """

    def __init__(self, context: LearnerContext) -> None:
        cfg = context.cfg.footholds
        self.cfg = cfg
        self._ppo = context.cfg.algorithm
        self._step_dt = context.step_dt
        support = context.report_footing()
        self._deficiency = support.deficiency
        self._groups = cfg.obs_groups
        has_critic = cfg.own_critic and cfg.guidance != "predict"
        self._critic_groups = context.cfg.critic.obs_groups if has_critic else ()
        groups = Named("agent.footholds.obs_groups", context.groups)
        width = context.num_actions + sum(groups[group] for group in self._groups)
        # The other learners, and the actions, shall not notice that there is one more network.
        with torch.random.fork_rng(devices=[]):
            predictor = FootholdPredictor(width, support.num_feet, cfg)
            critic = build_critic(context.groups, context.cfg) if has_critic else None
        self.predictor = predictor.to(context.device)
        self._critic = None if critic is None else critic.to(context.device)
        judges = {} if self._critic is None else {"foothold_critic": self._critic}
        self.modules = {"foothold_predictor": self.predictor, **judges}
        self.optimizer = torch.optim.Adam(self.parameters(), lr=cfg.learning_rate, fused=True)
        self.max_grad_norm = cfg.max_grad_norm
        greatest = cfg.sigma_range[1]
        self.quality = torch.tensor([greatest**2, 0.0, 0.0], device=context.device)
        self._before = Footing.unknown(context.num_envs, support.num_feet, context.device)

    @classmethod
    def figures(cls, cfg: AmpVaeRunnerCfg) -> tuple[Figure, ...]:
        """How well touchdowns are foretold, and what ground they find."""
        return (
            Figure(label="foothold error", metric=_RMSE, unit="cm", factor=100.0, digits=1),
            Figure(label="unsupported ground", metric=_DEFICIENCY, unit="%", factor=100.0),
        )

    def record(self, step: Transition) -> dict[str, torch.Tensor]:
        """Feet before and after the step, and what the networks read."""
        before, after = self._before, step.extras[FOOTING]
        # Where the next episode begins is known only once its first step is done.
        self._before = torch.where(step.dones[:, None], 0.0, after)
        groups = (*self._groups, *self._critic_groups)
        fields = {group: step.observations[group] for group in groups}
        fields |= {_BEFORE: before, _AFTER: after}
        if self._critic is not None:
            observations: Any = step.observations  # read as rsl_rl's models would a TensorDict
            self._critic.update_normalization(observations)
            fields[_VALUES] = self._critic(observations).squeeze(-1)
            fields |= {f"next_{each}": step.next_observations[each] for each in self._critic_groups}
        return fields

    def begin_episodes(self) -> None:
        """Forget where the feet were."""
        self._before = torch.zeros_like(self._before)

    def shape_rewards(self, rollout: Rollout) -> dict[str, torch.Tensor]:
        """Look ahead for touchdowns, measure the predictions by them, and pay for support."""
        before, after = (Footing.unpacked(rollout[name]) for name in (_BEFORE, _AFTER))
        touchdowns = next_touchdowns(before, after, rollout["dones"])
        rollout.put(_PLACES, touchdowns.xy)
        rollout.put(_KNOWN, touchdowns.is_known)
        foothold = self._predict({name: rollout[name] for name in self._read}, before)
        cost, scalars = self._cost(foothold, before, after)
        if self._critic is not None:
            rollout.put(_COST, self._step_dt * cost)
        elif self.cfg.guidance != "predict":
            rollout["rewards"].sub_(self.cfg.weight * self._step_dt * cost)
        return scalars | self._measure(foothold, touchdowns, after)

    def finish_rollout(
        self, rollout: Rollout, last_observations: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Advantages of the own critic, if there is one, beside those of the reward."""
        if self._critic is None:
            return {}
        critic, values = self._critic, rollout[_VALUES]
        # Costs go on after falls as after time-outs: else a fall would be the way out of them.
        returns = returns_beyond(
            rollout["dones"],
            rollout,
            lambda seen: critic(seen).squeeze(-1),
            last_observations,
            rewards=rollout[_COST],
            values=values,
            continuations=1.0 - rollout["dones"].float(),
            groups=self._critic_groups,
            ppo=self._ppo,
        )
        rollout.put(_RETURNS, returns)
        advantages = standardize_over_ranks(values - returns)
        rollout["advantages"].add_(self.cfg.critic_weight * advantages)
        return {}

    def loss(self, rollout: Rollout, indices: BatchIndices, own: Tree) -> LearnerLoss:
        """Likelihood of the touchdowns, and the error of the own critic."""
        names = (*self._read, *self._critic_groups, _BEFORE, _PLACES, _KNOWN)
        batch = rollout.pick(dict.fromkeys(names), indices.samples)
        foothold = self._predict(batch, Footing.unpacked(batch[_BEFORE]))
        loss = likelihood_loss(foothold, batch[_PLACES], batch[_KNOWN].float())
        scalars = {"Loss/foothold_likelihood": loss}
        if self._critic is None:
            return LearnerLoss(loss, scalars)
        returns = rollout.pick((_RETURNS,), indices.samples)[_RETURNS]
        error = (self._critic(batch).squeeze(-1) - returns).square().mean()
        return LearnerLoss(loss + error, {**scalars, "Loss/foothold_value": error})

    def state_dict(self) -> dict[str, Any]:
        """With the quality of the predictions so far."""
        return {**super().state_dict(), QUALITY: self.quality}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from :meth:`state_dict`."""
        super().load_state_dict(state)
        self.quality.copy_(state[QUALITY])

    def process_state_dict(self) -> dict[str, Any]:
        """Where the feet of the running episodes are."""
        return {"before": self._before}

    def load_process_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with it; other robots' feet are looked for anew."""
        if state["before"].shape == self._before.shape:
            self._before.copy_(state["before"])

    @property
    def _read(self) -> tuple[str, ...]:
        """Fields that the predictor reads."""
        return (*self._groups, "actions")

    def _predict(self, fields: Mapping[str, torch.Tensor], before: Footing) -> Foothold:
        return self.predictor(torch.cat([fields[name] for name in self._read], dim=-1), before)

    def _measure(
        self, foothold: Foothold, touchdowns: Touchdowns, after: Footing
    ) -> dict[str, torch.Tensor]:
        """Follow the quality of predictions that were not yet trained on; scalars to log."""
        known = touchdowns.is_known
        squared = (touchdowns.xy - foothold.mean).square().sum(dim=-1)
        variance = foothold.sigma.square()
        quality = (squared, squared <= variance, squared <= 4.0 * variance)
        in_air = ~after.stands & after.is_valid[..., None]
        counted = (known, in_air, foothold.sigma * known, *(each * known for each in quality))
        sums = sum_over_ranks(torch.stack([each.sum(dtype=torch.float32) for each in counted]))
        count = sums[0].clamp(min=1.0)
        latest = torch.where(sums[0] > 0.0, sums[3:] / count, self.quality)
        self.quality.lerp_(latest, _RATE)
        return {
            _RMSE: latest[0].sqrt(),
            "Footholds/within_1_sigma": latest[1],
            "Footholds/within_2_sigma": latest[2],
            "Footholds/sigma": sums[2] / count,
            "Footholds/labelled": sums[0] / sums[1].clamp(min=1.0),
        }

    def _cost(
        self, foothold: Foothold, before: Footing, after: Footing
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Support that is lacking, mean over the feet, shape (T, N), 0 to 1; scalars to log."""
        cfg = self.cfg
        lacking = self._deficiency(after.to_world(after.foot_xy))
        lands = after.stands & ~before.stands & before.is_valid[..., None]
        at_touchdown = sum_over_ranks(torch.stack(((lacking * lands).sum(), lands.sum().float())))
        of_feet = lacking * after.stands
        scalars = {_DEFICIENCY: at_touchdown[0] / at_touchdown[1].clamp(min=1.0)}
        if cfg.guidance == "imagined":
            is_near = (self.quality[0] < cfg.greatest_error**2).float()
            in_air = ~after.stands & before.is_valid[..., None]
            ahead = in_air * is_near * self._imagined(foothold, before)
            of_feet = of_feet + ahead
            scalars |= {"Footholds/gate": is_near, "Footholds/imagined_cost": ahead.mean()}
        counts = after.is_valid & (after.level >= cfg.least_level)
        cost = of_feet.mean(dim=-1) * counts
        return cost, scalars | {"Footholds/cost": cost.mean()}

    def _imagined(self, foothold: Foothold, before: Footing) -> torch.Tensor:
        """Support that is expected to lack where feet in the air come down, shape (T, N, F)."""
        steps = []
        # Step by step: the nodes of a whole rollout would fill gigabytes.
        for step in range(len(before.yaw)):
            at = Footing(*(each[step] for each in before))
            of_step = Foothold(*(each[step] for each in foothold))
            steps.append(expected(lambda xy, at=at: self._deficiency(at.to_world(xy)), of_step))
        return torch.stack(steps)
