"""What a learner is: networks that one optimiser trains on the rollouts, beside all others.

PPO, the estimator and the discriminator are three of them. A further one is a file that derives
from :class:`Learner` and an entry of ``agent.learners``: trainer, rollout, checkpoint, console and
curves learn of it by asking it.
"""

# Hooks that do nothing unless a learner overrides them are what the base class is for.
# ruff: noqa: B027

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import nn

from rl_sim_env.errors import UserError
from rl_sim_env.learning.config import AmpVaeRunnerCfg
from rl_sim_env.learning.constraint_layout import ConstraintLayout
from rl_sim_env.learning.episodes import EpisodeSums
from rl_sim_env.learning.figure import Figure
from rl_sim_env.learning.footing import FootSupport
from rl_sim_env.learning.layout import ObservationLayout
from rl_sim_env.learning.motion_pairs import PairSource
from rl_sim_env.learning.rollout import BatchIndices, Rollout
from rl_sim_env.learning.structure import require_like
from rl_sim_env.learning.symmetry import Symmetry

Tree = Any
"""Tensors in nested containers, the same ones in every mini-batch; None for nothing."""


class Named(dict[str, Any]):
    """Values by name, where a missing one is an error that says what there is.

    Args:
        what: What they are, for the message.
        values: The values.
    """

    def __init__(self, what: str, values: Mapping[str, Any]) -> None:
        super().__init__(values.items())
        self._what = what

    def __missing__(self, name: str) -> Any:
        raise UserError(
            f"{self._what}: no '{name}'; there are {', '.join(self) or 'none'}. Have the "
            "environment report it, or leave out the learner that needs it (agent.learners)"
        )


@dataclass(frozen=True, kw_only=True)
class LearnerContext:
    """What a learner is made from."""

    cfg: AmpVaeRunnerCfg
    """Configuration of the run."""

    settings: Mapping[str, Any]
    """The learner's own settings, from ``agent.learners.<name>.settings``."""

    layout: ObservationLayout
    """What stands where in the observations of the environment."""

    groups: Mapping[str, int]
    """Width of every group that the policy may read: those of the environment, and those that the
    learners before this one provide."""

    num_envs: int
    """Number of environments N."""

    num_actions: int
    """Width of the actions."""

    step_dt: float
    """Control step [s]."""

    constraints: ConstraintLayout
    """What the environment reports margins of in ``extras["margins"]``; may be none."""

    report_footing: Callable[[], FootSupport]
    """Has the environment report, from its first step on, where feet are and whether they stand:
    :data:`~rl_sim_env.learning.footing.FOOTING` in extras. Returns what ground there is."""

    expert: PairSource | None
    """Source of expert motions; None for none."""

    symmetry: Symmetry | None
    """Exchanges left and right; None where nothing is learned in the mirror."""

    policy_rate: torch.Tensor
    """Learning rate of the policy, shape (), which the learner that acts moves in place: for what
    the policy's loss trains in other learners."""

    device: str
    """Where everything lives."""


@dataclass(frozen=True, kw_only=True)
class Transition:
    """One control step of all N environments, s_t to s_t+1."""

    index: int
    """Its place in the rollout, from 0."""

    observations: Mapping[str, torch.Tensor]
    """s_t by group, with what learners provided, shape (N, width) each."""

    next_observations: Mapping[str, torch.Tensor]
    """The true s_t+1 by group, before any reset: the environment's ``terminal_obs``."""

    rewards: torch.Tensor
    """Task rewards, multiplied by the control step, shape (N,)."""

    dones: torch.Tensor
    """Whether an episode ended with the step, shape (N,), bool."""

    time_outs: torch.Tensor
    """Whether it ended for want of time alone, shape (N,), bool."""

    extras: Mapping[str, Any]
    """Whatever else the environment reported of the step."""


class LearnerLoss(NamedTuple):
    """Loss of one mini-batch."""

    total: torch.Tensor
    """What is minimised, shape ()."""

    scalars: dict[str, torch.Tensor]
    """What is logged, by name, shape () each."""

    steering: tuple[torch.Tensor, ...] = ()
    """Scalars that :meth:`Learner.adapt` is given once they are means over all processes; they
    travel with the gradients."""


class Learner(ABC):
    """Networks, optimiser, loss, and what they need of the rollouts.

    A derived class sets the attributes in its constructor, which takes a :class:`LearnerContext`,
    and overrides what it has to say. Gradients are recorded in :meth:`loss` alone. Whatever runs in
    a step, and the loss, reads nothing on the host; and rates that change are tensors, written in
    place: a GPU replays a CUDA graph of the update.

    Attributes:
        modules: Networks by the name that a checkpoint keeps them under; the gradient of each is
            clipped on its own unless :meth:`clipped` says otherwise. Learners share no parameters.
        optimizer: Optimiser of all their parameters; None where there are none, as of a learner
            that only shapes rewards.
        max_grad_norm: Clip of the gradient norm of each network; > 0.
    """

    provides: Mapping[str, int] = {}
    """Observation groups that :meth:`provide` adds, with their widths."""

    needs_sequences: bool = False
    """Whether the samples of a mini-batch must be the whole time of its environments:
    :meth:`provide_again` follows from the steps before."""

    policy_parts: ClassVar[Mapping[str, str]] = {}
    """Which of ``modules`` are parts of the policy that is played: its part, the module's name."""

    modules: Mapping[str, nn.Module]
    optimizer: torch.optim.Optimizer | None = None
    max_grad_norm: float

    @abstractmethod
    def __init__(self, context: LearnerContext) -> None: ...

    @classmethod
    def figures(cls, cfg: AmpVaeRunnerCfg) -> tuple[Figure, ...]:
        """Which of the scalars that it logs people should see, on the console and as curves."""
        return ()

    # While the policy acts.

    def begin_rollout(self) -> None:
        """Keep what the rollout that begins is read with, such as memories."""

    def provide(self, observations: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Observation groups for the learners that follow, shape (N, width) each.

        Args:
            observations: Those of the environment, and of the learners before.
        """
        return {}

    def record(self, step: Transition) -> dict[str, torch.Tensor]:
        """Fields of the rollout, shape (N, ...) each; the first step declares them.

        Running state, such as memories, follows the step here.
        """
        return {}

    def begin_episodes(self) -> None:
        """Forget the running episodes, which the environment has ended."""

    # When a rollout is complete.

    def shape_rewards(self, rollout: Rollout) -> dict[str, torch.Tensor]:
        """Change ``rewards`` (T, N), or ``continuations`` (T, N) from 0 to 1, in place.

        Returns:
            Scalars to log, by name.
        """
        return {}

    def finish_rollout(
        self, rollout: Rollout, last_observations: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Compute what follows from the final rewards, such as returns.

        Args:
            rollout: The rollout.
            last_observations: Groups of the environment after the last step.

        Returns:
            Scalars to log, by name.
        """
        return {}

    # The update.

    def batches(self, count: int) -> Iterator[Tree]:
        """What it trains on beside the rollout, one for each of ``count`` mini-batches."""
        return iter([None] * count)

    @abstractmethod
    def loss(self, rollout: Rollout, indices: BatchIndices, own: Tree) -> LearnerLoss:
        """Loss of a mini-batch.

        Args:
            rollout: The rollout.
            indices: Which steps, or environments, of it.
            own: One of :meth:`batches`.
        """

    def provide_again(self, rollout: Rollout, indices: BatchIndices) -> dict[str, torch.Tensor]:
        """What it has provided of a mini-batch's samples, as its networks would provide it now.

        The gradient of the policy's loss reaches what it is worked out from. Without it, what was
        provided counts as it was, and no gradient reaches anybody.

        Args:
            rollout: The rollout.
            indices: Which steps of it. With ``needs_sequences`` the samples are all steps of the
                first environment, then those of the next.

        Returns:
            Groups by name, also those of mirror images, shape (B, width) each.
        """
        return {}

    def policy_loss(
        self, rollout: Rollout, indices: BatchIndices, ratio: torch.Tensor
    ) -> LearnerLoss | None:
        """What the policy should minimise besides, as a constraint of its actions; None: nothing.

        It is called with the policy's own loss, before which everything else has finished the
        rollout.

        Args:
            rollout: The rollout.
            indices: Which steps of it.
            ratio: Probability of its actions over that when they were taken, with its gradient,
                shape (B,).
        """
        return None

    def adapt(self, *steering: torch.Tensor) -> None:
        """Follow what the loss returned for steering, before the step is taken."""

    def metrics(self) -> dict[str, torch.Tensor]:
        """Further scalars to log of an update, on the device, shape () each."""
        return {}

    def observe(self, metrics: Mapping[str, float], finished: EpisodeSums) -> dict[str, float]:
        """Look at an update that is done, on the host.

        Args:
            metrics: All that was logged of it, means over all processes.
            finished: Episodes that ended in its rollout, over all processes.

        Returns:
            Further scalars to log, by name.
        """
        return {}

    def set_progress(self, fraction: float) -> None:
        """Follow the schedules, with the part of training that is done, 0 to 1."""

    # Its state.

    def state_dict(self) -> dict[str, Any]:
        """What is the same in all processes, as tensors, numbers and containers of them."""
        modules = {name: module.state_dict() for name, module in self.modules.items()}
        if self.optimizer is None:
            return {"modules": modules, "optimizer": {}}
        return {
            "modules": modules,
            "optimizer": self.optimizer.state_dict(),
            # Said twice: of moments that are missing nobody could tell whether there were any.
            "updates": _updates(self.optimizer),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from :meth:`state_dict`; rates stay those of the configuration.

        Raises:
            UserError: The optimiser's moments are not of the updates that were counted.
        """
        for name, module in self.modules.items():
            module.load_state_dict(state["modules"][name])
        if self.optimizer is not None:
            _load_moments(self.optimizer, state["optimizer"], state["updates"])

    def process_state_dict(self) -> dict[str, Any]:
        """What each process has of its own: running episodes, replay, draws."""
        return {}

    def load_process_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from :meth:`process_state_dict`, also that of another number of environments."""

    # What the update asks of all learners alike.

    def train(self, mode: bool = True) -> None:
        """Set training or evaluation mode of all networks."""
        for module in self.modules.values():
            module.train(mode)

    def parameters(self) -> list[nn.Parameter]:
        """All parameters, in an order that is the same on all ranks."""
        return [each for module in self.modules.values() for each in module.parameters()]

    def gradients(self) -> list[torch.Tensor]:
        """Gradients of all parameters, in an order that is the same on all ranks."""
        return [each.grad for each in self.parameters() if each.grad is not None]

    def clipped(self) -> dict[str, list[nn.Parameter]]:
        """Parameters whose gradient is clipped as one: those of each network."""
        return {name: list(module.parameters()) for name, module in self.modules.items()}

    def step(self) -> dict[str, torch.Tensor]:
        """Clip the gradients and apply them.

        Returns:
            Norm of each gradient before it was clipped, by its name in :meth:`clipped`, shape ()
            each.
        """
        norms = {
            name: nn.utils.clip_grad_norm_(parameters, self.max_grad_norm)
            for name, parameters in self.clipped().items()
        }
        if self.optimizer is not None:
            self.optimizer.step()
        return norms


class ActingLearner(Learner):
    """The learner whose network acts; there is one among all learners.

    Attributes:
        advisers: Learners whose :meth:`policy_loss` it adds to its own.
    """

    advisers: tuple[Learner, ...] = ()

    @abstractmethod
    def act(self, observations: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Sample actions, shape (N, number of actions).

        Args:
            observations: Groups of the environment, and what learners provided.
        """


def _updates(optimizer: torch.optim.Optimizer) -> torch.Tensor:
    """How many updates each parameter has had, shape (parameters,), on their device.

    It is none as long as there are no moments: of what is frozen, or of all before the first
    update. An optimiser that does not count them has 1 for some.
    """
    counts = []
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            moments = optimizer.state.get(parameter)
            count = 0 if moments is None else moments.get("step", 1)
            counts.append(torch.as_tensor(count, dtype=torch.float32, device=parameter.device))
    return torch.stack(counts)


def _load_moments(
    optimizer: torch.optim.Optimizer, state: Mapping[str, Any], updates: torch.Tensor
) -> None:
    """Load an optimiser's moments; its rates stay those of the configuration."""
    require_like(state, {"state": {}}, "optimizer")
    updated = set(updates.nonzero().flatten().tolist())
    if state["state"].keys() != updated:
        raise UserError(
            f"optimizer.state holds moments of {len(state['state'])} parameters, updates counts "
            f"{len(updated)} that have some: one of the two is wrong"
        )
    moments = _moments_after_a_step(optimizer)
    require_like(state["state"], {index: moments[index] for index in updated}, "optimizer.state")
    for index, kept in state["state"].items():
        # A step would divide by its root.
        if "exp_avg_sq" in kept and (kept["exp_avg_sq"] < 0.0).any():
            raise UserError(f"optimizer.state.{index}.exp_avg_sq is a mean of squares and below 0")
    own_groups = optimizer.state_dict()["param_groups"]
    rates = [group["lr"] for group in optimizer.param_groups]
    optimizer.load_state_dict({**state, "param_groups": own_groups})
    # load_state_dict() made copies, but schedules write to the original tensors.
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    if not torch.equal(_updates(optimizer).cpu(), updates.cpu()):
        raise UserError(
            "optimizer.state is not of as many updates as updates counts: one of the two is wrong"
        )


def _moments_after_a_step(optimizer: torch.optim.Optimizer) -> dict[int, Any]:
    """What an optimiser keeps of each parameter, which it has nothing of before its first step."""
    trial = copy.deepcopy(optimizer)
    for group in trial.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    trial.step()
    return trial.state_dict()["state"]
