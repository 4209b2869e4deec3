"""All learners on one rollout: who acts, who records, who shapes the returns, one update."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import torch
from tensordict import TensorDict
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from rl_sim_env.errors import UserError, found_in
from rl_sim_env.learning.class_names import resolve_class
from rl_sim_env.learning.collectives import broadcast_state, sum_over_ranks
from rl_sim_env.learning.config import AmpVaeRunnerCfg
from rl_sim_env.learning.constraint_layout import require_constraints
from rl_sim_env.learning.episodes import EpisodeSums, ReturnMeter
from rl_sim_env.learning.figure import Figure
from rl_sim_env.learning.foothold_learner import FootholdLearner
from rl_sim_env.learning.growth import grown
from rl_sim_env.learning.learner import ActingLearner, Learner, LearnerContext, Named, Transition
from rl_sim_env.learning.metrics import LossMeter
from rl_sim_env.learning.motion_pairs import PairSource
from rl_sim_env.learning.policy import POLICY_STATE, AmpVaePolicy
from rl_sim_env.learning.rollout import Rollout
from rl_sim_env.learning.strategies import find_strategy
from rl_sim_env.learning.structure import require_like
from rl_sim_env.learning.symmetry import Symmetry
from rl_sim_env.learning.training_env import TrainingEnv
from rl_sim_env.learning.update_step import MiniBatch, UpdateStep
from rl_sim_env.typed import typed

CONSTRAINTS = "constraints"
"""Name of the learner that keeps limits."""

FOOTHOLDS = "footholds"
"""Name of the learner of footholds."""


class Algorithm:
    """The learners of a configuration on one rollout.

    In a step each learner provides observation groups for those that follow, one of them acts, and
    each records what it needs. Once the rollout is complete each may shape its rewards, then each
    finishes it: returns, replay. An update trains all of them on the same mini-batches.

    The environment must report in ``extras``: ``time_outs`` (N,) bool, and ``terminal_obs``, groups
    of the true state s_t+1 of all environments, before any reset; and whatever else the learners
    ask for. Rewards change when the rollout is complete: everything before it stays on the device.

    Args:
        env: Environment that the sizes are taken from.
        cfg: Configuration of the run.
        expert: Source of expert pairs in the layout of ``amp_obs``; None for none.
        device: Where everything lives.

    Raises:
        LayoutError: The environment lacks an observation group or term.
        UserError: Nothing can be trained with a value, the learners do not make up a policy, or one
            of them cannot be built.

    Attributes:
        learners: The learners by name, in order.
        rollout: What they recorded.
        update_step: Trains them on a mini-batch.
        what_is_new: In words, what of a policy that has grown out of another is new; else empty.
    """

    what_is_new: str = ""

    def __init__(
        self, env: TrainingEnv, cfg: AmpVaeRunnerCfg, expert: PairSource | None, device: str
    ) -> None:
        cfg.check()
        self.cfg = cfg
        self.device = device
        self.learners = _build_learners(env, cfg, expert, device)
        self.rollout = Rollout(env.num_envs, cfg.num_steps_per_env, device)
        self.update_step = UpdateStep(
            tuple(self.learners.values()), self.rollout, capture=cfg.capture_update, device=device
        )
        self._acting = _acting_learner(self.learners)
        self._acting.advisers = tuple(
            each for each in self.learners.values() if each is not self._acting
        )
        self._policy = _policy_of(self.learners, cfg)
        self._average = AveragedModel(
            self._policy,
            multi_avg_fn=get_ema_multi_avg_fn(1.0 - 1.0 / cfg.policy_memory),
        )
        self._read: Named | None = None
        self._episodes = ReturnMeter(env.num_envs, device)
        self._finished = EpisodeSums()
        self._meter = LossMeter()

    def figures(self) -> tuple[Figure, ...]:
        """What the learners log that people should see."""
        return learner_figures(self.cfg)

    def set_progress(self, fraction: float) -> None:
        """Follow the schedules; once an iteration, with the part of training that is done."""
        for learner in self.learners.values():
            learner.set_progress(fraction)

    def get_inference_policy(self) -> AmpVaePolicy:
        """The deterministic policy, averaged over the last updates; it goes on with training."""
        return cast(AmpVaePolicy, self._average.module)

    def episode_statistics(self) -> dict[str, float]:
        """Mean return and length [control steps] of episodes finished since the last call.

        Episodes of all ranks count, up to the last update; without any, the result is empty.
        """
        finished, self._finished = self._finished, EpisodeSums()
        if not finished.count:
            return {}
        return {
            "Train/mean_reward": finished.returns / finished.count,
            "Train/mean_episode_length": finished.lengths / finished.count,
        }

    @torch.no_grad()
    def act(self, obs: TensorDict) -> torch.Tensor:
        """Sample actions.

        Args:
            obs: Observations of the environment, batch size (N,).

        Returns:
            Actions, shape (N, number of actions).
        """
        read = Named("observations", obs)
        for learner in self.learners.values():
            if self.rollout.step == 0:
                learner.begin_rollout()
            read.update(learner.provide(read))
        self._read = read
        return self._acting.act(read)

    @torch.no_grad()
    def process_env_step(
        self,
        obs: TensorDict,
        rewards: torch.Tensor,
        dones: torch.Tensor,
        extras: Mapping[str, Any],
    ) -> None:
        """Record the transition from the observations of the last ``act``.

        Args:
            obs: Observations of the next step, after resets; not needed here.
            rewards: Task rewards, multiplied by the control step, shape (N,).
            dones: Not zero where an episode ended, shape (N,).
            extras: See the class.
        """
        assert self._read is not None, "act() comes before process_env_step()"
        extras = Named("extras of the environment's step", extras)
        step = Transition(
            index=self.rollout.step,
            observations=self._read,
            next_observations=Named('extras["terminal_obs"]', extras["terminal_obs"]),
            rewards=rewards,
            dones=dones != 0,
            time_outs=extras["time_outs"],
            extras=extras,
        )
        fields = {
            "rewards": rewards,
            "dones": step.dones,
            "time_outs": step.time_outs,
            # How far an episode goes on: learners may lower it where constraints are broken.
            "continuations": 1.0 - step.dones.float(),
        }
        for name, learner in self.learners.items():
            for field, value in learner.record(step).items():
                if fields.setdefault(field, value) is not value:
                    raise UserError(
                        f"learner '{name}' records '{field}', which is another's field already; "
                        "give it a name of its own"
                    )
        self.rollout.record(fields)
        self._read = None

    @torch.no_grad()
    def compute_returns(self, obs: TensorDict) -> None:
        """Let the learners shape the rewards of the rollout, then finish it.

        Args:
            obs: Observations after the last step.
        """
        for learner in self.learners.values():
            self._meter.add(learner.shape_rewards(self.rollout))
        self._episodes.add(self.rollout["rewards"], self.rollout["dones"])
        last = Named("observations", obs)
        for learner in self.learners.values():
            self._meter.add(learner.finish_rollout(self.rollout, last))

    def update(self, on_batch: Callable[[], None] = lambda: None) -> dict[str, float]:
        """Train all learners on the rollout.

        Args:
            on_batch: Called after each mini-batch.

        Returns:
            Scalars by the name they are logged under.

        Raises:
            FloatingPointError: A loss is not finite; the message names it.
        """
        ppo = self.cfg.algorithm
        count = ppo.num_mini_batches * ppo.num_learning_epochs
        own = zip(*(learner.batches(count) for learner in self.learners.values()), strict=True)
        drawn = self.rollout.draw(
            ppo.num_mini_batches,
            ppo.num_learning_epochs,
            sequences=any(learner.needs_sequences for learner in self.learners.values()),
        )
        for indices, brought in zip(drawn, own, strict=True):
            self._meter.add(self.update_step(MiniBatch(indices, brought)))
            on_batch()
        self.rollout.clear()
        self._average.update_parameters(self._policy)
        return self._read_metrics()

    def train_mode(self) -> None:
        """Sample latents while acting."""
        for learner in self.learners.values():
            learner.train()

    def eval_mode(self) -> None:
        """Take the means of latents while acting."""
        for learner in self.learners.values():
            learner.train(False)

    def save(self) -> dict[str, Any]:
        """What is the same in all processes, as tensors, numbers and containers of them."""
        return {
            POLICY_STATE: self.get_inference_policy().state_dict(),
            "learners": {name: each.state_dict() for name, each in self.learners.items()},
        }

    def process_state(self) -> dict[str, Any]:
        """What this process has of its own: replay, running episodes, memories."""
        return {
            "learners": {name: each.process_state_dict() for name, each in self.learners.items()},
            "episodes": self._episodes.state_dict(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from what :meth:`save` returned.

        Raises:
            UserError: It is a policy without its trainer, was saved by other learners, or its
                optimisers' moments are not of the updates that it counts.
            MisfitError: It is of another form: the networks are of other sizes.
        """
        require_trainer(state)
        typed(state["learners"], dict[str, dict[str, Any]], "algorithm.learners")
        if state["learners"].keys() != self.learners.keys():
            raise UserError(
                f"its learners are {', '.join(state['learners'])}, those of the configuration "
                f"{', '.join(self.learners)}; set agent.learners, agent.footholds and "
                "agent.constraints as they were, or train anew"
            )
        require_like(state, _without_moments(self.save()), "algorithm")
        for name, learner in self.learners.items():
            with found_in(f"algorithm.learners.{name}"):
                learner.load_state_dict(state["learners"][name])
        self.get_inference_policy().load_state_dict(state[POLICY_STATE])
        self._go_on_from_loaded()

    def load_process_state(self, state: Mapping[str, Any]) -> None:
        """Continue from what :meth:`process_state` returned, in this process or another.

        Raises:
            MisfitError: It is of another form.
        """
        require_like(state, self.process_state(), "algorithm.process", rows_may_differ=True)
        for name, learner in self.learners.items():
            learner.load_process_state_dict(state["learners"][name])
        self._episodes.load_state_dict(state["episodes"])

    def load_policy(self, state: Mapping[str, Any]) -> None:
        """Begin with the policy that :meth:`save` returned; all else stays new, as it is.

        This policy may observe more than that one did, or have more networks: ``what_is_new`` says
        what. Variances of its estimates are left out where none are wanted.

        Args:
            state: What was saved.

        Raises:
            MisfitError: The networks are of other sizes.
        """
        require_like(state, {POLICY_STATE: {}}, "algorithm")
        loaded, self.what_is_new = grown(state[POLICY_STATE], self._policy.state_dict())
        for policy in (self._policy, self.get_inference_policy()):
            policy.load_state_dict(loaded, strict=False)
        self._go_on_from_loaded()

    def begin_episodes(self) -> None:
        """Forget the running episodes, which the environment has ended."""
        self._episodes.begin()
        for learner in self.learners.values():
            learner.begin_episodes()

    def broadcast_parameters(self) -> None:
        """Give all ranks the parameters, buffers, optimiser states and schedules of rank 0."""
        self.load(broadcast_state(self.save(), self.device))

    def _go_on_from_loaded(self) -> None:
        # With a count of 0, the next update would overwrite the average that was just loaded.
        self._average.n_averaged.fill_(1)
        self.update_step.recapture()

    def _read_metrics(self) -> dict[str, float]:
        """Read the figures of the iteration, and let what lives on the host follow them."""
        for learner in self.learners.values():
            self._meter.add(learner.metrics())
        metrics = self._meter.read()
        finished = EpisodeSums(*sum_over_ranks(self._episodes.sums).tolist())
        self._episodes.clear()
        self._finished += finished
        for learner in self.learners.values():
            metrics |= learner.observe(metrics, finished)
        return metrics


def require_trainer(state: Mapping[str, Any]) -> None:
    """Refuse what holds a policy alone.

    Args:
        state: What :meth:`Algorithm.save` returned, or a policy of it.

    Raises:
        UserError: There is nothing that learning could go on with.
    """
    if "learners" not in state:
        raise UserError(
            "holds a policy without its trainer, which can be played, evaluated and exported; "
            "begin a new run with it (--finetune), or continue from a checkpoint of a training run"
        )


def _without_moments(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state without those of optimisers, which are empty before the first step."""
    learners = {name: {**of, "optimizer": {}} for name, of in state["learners"].items()}
    return {**state, "learners": learners}


def learner_figures(cfg: AmpVaeRunnerCfg) -> tuple[Figure, ...]:
    """What the learners of a configuration log that people should see.

    Raises:
        UserError: A learner cannot be found.
    """
    return tuple(figure for kind in _learner_classes(cfg).values() for figure in kind.figures(cfg))


def _learner_classes(cfg: AmpVaeRunnerCfg) -> dict[str, type[Learner]]:
    """Classes by name.

    What pays for footholds comes after the policy, whose advantages it may add to. What keeps
    limits comes last: it judges rewards that are complete, and changes what the policy makes of
    them.
    """
    classes: dict[str, type[Learner]] = {
        name: resolve_class(each.class_name, Learner, f"agent.learners.{name}.class_name")
        for name, each in cfg.learners.items()
        if each is not None
    }
    further: tuple[tuple[str, type[Learner] | None, str], ...] = (
        (
            FOOTHOLDS,
            FootholdLearner if cfg.footholds.guidance != "off" else None,
            f"guidance={cfg.footholds.guidance}",
        ),
        (
            CONSTRAINTS,
            find_strategy(cfg.constraints.strategy),
            f"strategy={cfg.constraints.strategy}",
        ),
    )
    for name, kind, setting in further:
        if kind is None:
            continue
        if name in classes:
            raise UserError(
                f"agent.learners.{name}: the name is that of agent.{name}.{setting}; choose another"
            )
        classes[name] = kind
    return classes


def _build_learners(
    env: TrainingEnv, cfg: AmpVaeRunnerCfg, expert: PairSource | None, device: str
) -> dict[str, Learner]:
    layout = env.observation_layout
    # Here and not where they are used: with penalties nobody does, and a misspelt name is one all
    # the same.
    reported, chosen = env.constraint_layout, cfg.constraints.names
    require_constraints("agent.constraints.names", chosen, reported.names)
    require_constraints(
        "agent.constraints.budgets", cfg.constraints.budgets, reported.chosen(chosen)
    )
    symmetry = None
    if cfg.algorithm.mirror_loss_coef > 0.0:
        symmetry = Symmetry(layout, env.reflections())
    context = LearnerContext(
        cfg=cfg,
        settings={},
        layout=layout,
        groups={group: layout.width(group) for group in layout.groups},
        num_envs=env.num_envs,
        num_actions=env.num_actions,
        step_dt=env.step_dt,
        constraints=reported,
        report_footing=lambda: env.report_footing(),
        expert=expert,
        symmetry=symmetry,
        policy_rate=torch.tensor(cfg.algorithm.learning_rate, device=device),
        device=device,
    )
    learners: dict[str, Learner] = {}
    for name, kind in _learner_classes(cfg).items():
        declared = cfg.learners.get(name)
        settings = {} if declared is None else declared.settings
        learners[name] = kind(replace(context, settings=settings))
        context = replace(context, groups={**context.groups, **learners[name].provides})
    return learners


def _acting_learner(learners: Mapping[str, Learner]) -> ActingLearner:
    acting = {name: each for name, each in learners.items() if isinstance(each, ActingLearner)}
    if len(acting) != 1:
        raise UserError(
            f"agent.learners: {len(acting)} of {', '.join(learners) or 'none'} act; exactly one "
            "must be derived from ActingLearner"
        )
    return next(iter(acting.values()))


def _policy_of(learners: Mapping[str, Learner], cfg: AmpVaeRunnerCfg) -> AmpVaePolicy:
    """The policy that is made of the learners' networks."""
    parts = {
        part: learner.modules[module]
        for learner in learners.values()
        for part, module in learner.policy_parts.items()
    }
    if missing := {"actor", "vae"} - parts.keys():
        raise UserError(
            f"agent.learners: none of {', '.join(learners)} has the policy's "
            f"{' and '.join(sorted(missing))}; the default learners policy and estimator do"
        )
    return AmpVaePolicy(parts["actor"], parts["vae"], cfg.actor.obs_groups)  # type: ignore[arg-type]
