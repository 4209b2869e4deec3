"""One step of all learners on a mini-batch, which a GPU captures and replays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial, reduce
from itertools import chain
from operator import add
from typing import NamedTuple

import torch

from rl_sim_env.cuda_graphs import GraphedCallable, fork_join, overlapping
from rl_sim_env.errors import UserError
from rl_sim_env.learning.collectives import average_over_ranks
from rl_sim_env.learning.learner import Learner, LearnerLoss, Tree
from rl_sim_env.learning.rollout import BatchIndices, Rollout


class MiniBatch(NamedTuple):
    """What all learners train on in one step."""

    indices: BatchIndices
    """Which part of the rollout."""

    own: tuple[Tree, ...]
    """What each learner brings along."""


class UpdateStep:
    """Trains learners side by side, each with its own optimiser and clip.

    Nothing in it reads from the device: rates and weights that schedules move are tensors.

    Args:
        learners: The learners.
        rollout: Rollout that mini-batches are picked from.
        capture: Whether a GPU captures the step and replays it.
        device: Where all of them live.

    Raises:
        UserError: Two learners train the same parameter.
    """

    def __init__(
        self, learners: Sequence[Learner], rollout: Rollout, *, capture: bool, device: str
    ) -> None:
        self._learners = tuple(learners)
        self._optimizers = [each.optimizer for each in learners if each.optimizer is not None]
        self._rollout = rollout
        trained = Counter(map(id, chain.from_iterable(each.parameters() for each in learners)))
        if any(count > 1 for count in trained.values()):
            raise UserError(
                "two learners train the same parameter, so that neither knows its own gradient; "
                "have one of them own the network, and the other read it under torch.no_grad()"
            )
        # A graph holds the processes' exchange of gradients, too.
        self._graphed: GraphedCallable | None = None
        if capture and torch.device(device).type == "cuda":
            self._graphed = GraphedCallable(
                self._run,
                what="training on a mini-batch",
                setting="agent.capture_update",
                # The learners share no parameter; torch runs a gradient on its loss's stream.
                around=overlapping,
                own_stream=True,
            )
        self._step: Callable[[MiniBatch], torch.Tensor] = self._graphed or self._run
        self._names: tuple[str, ...] = ()
        self.recapture()

    def __call__(self, mini_batch: MiniBatch) -> dict[str, torch.Tensor]:
        """Take the step; returns the losses by the name they are logged under, scalars."""
        losses = self._step(mini_batch)
        return dict(zip(self._names, losses.unbind(), strict=True))

    def recapture(self) -> None:
        """Give up the CUDA graph; one of the steps that follow is captured anew.

        A graph writes to the tensors that were the optimisers' state when it was captured, and the
        process group that it exchanges gradients in cannot end before it.
        """
        if self._graphed is not None:
            self._graphed.forget()
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["capturable"] = self._graphed is not None

    def _run(self, mini_batch: MiniBatch) -> torch.Tensor:
        """Losses in the order of their names: one tensor, for a graph's results are copied."""
        losses: list[LearnerLoss] = fork_join(
            *(
                partial(learner.loss, self._rollout, mini_batch.indices, own)
                for learner, own in zip(self._learners, mini_batch.own, strict=True)
            )
        )
        for optimizer in self._optimizers:
            optimizer.zero_grad()
        # The graphs share no parameter, so each learner gets the gradient of its own loss.
        reduce(add, (loss.total for loss in losses)).backward()
        # What steers rates and weights is averaged with the gradients, in one collective.
        steering = [tuple(value.detach().clone() for value in loss.steering) for loss in losses]
        gradients = chain.from_iterable(learner.gradients() for learner in self._learners)
        average_over_ranks([*gradients, *chain.from_iterable(steering)])
        with torch.no_grad():
            for learner, averaged in zip(self._learners, steering, strict=True):
                learner.adapt(*averaged)
        norms = fork_join(*(learner.step for learner in self._learners))
        scalars = {name: value for loss in losses for name, value in loss.scalars.items()}
        if len(scalars) < sum(len(loss.scalars) for loss in losses):
            names = Counter(chain.from_iterable(loss.scalars for loss in losses))
            twice = ", ".join(name for name, count in names.items() if count > 1)
            raise UserError(f"two learners log '{twice}'; give the scalars of one another name")
        # A gradient that is not finite is told by its name, before its weights are saved.
        scalars |= {f"Gradient/{name}": norm for each in norms for name, norm in each.items()}
        self._names = tuple(scalars)
        return torch.stack([value.detach() for value in scalars.values()])
