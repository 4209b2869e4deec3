"""Trains the discriminator, and pays the policy for motions that look like the clips'."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from rl_sim_env.errors import UserError
from rl_sim_env.learning.amp_buffer import AmpReplayBuffer
from rl_sim_env.learning.config import AmpVaeRunnerCfg
from rl_sim_env.learning.discriminator import Discriminator
from rl_sim_env.learning.figure import Figure
from rl_sim_env.learning.learner import Learner, LearnerContext, LearnerLoss, Transition, Tree
from rl_sim_env.learning.rollout import BatchIndices, Rollout

STYLE_STATE = "amp_obs"
"""Observation group whose transitions are judged."""

_NEXT_STATE = "next_amp_obs"
_SCALE = "style_scale"
_VALID = "state_is_valid"
_REWARD = "Train/style_reward"
_PART = 32_768
"""Transitions that are scored at once: activations of a whole rollout would fill gigabytes."""


class DiscriminatorLearner(Learner):
    """The adversarial motion prior (Peng et al., arXiv:2104.02180).

    Of the environment it needs the group ``amp_obs``, also of the true next state, and in extras
    ``style_scale``, the factor of the style reward, and ``state_is_valid``, whether the next state
    is one of sound physics, shape (N,) each.

    Raises:
        UserError: There are no expert motions.

    Attributes:
        discriminator: Tells transitions of the policy from those of the clips.
        replay: Transitions of this process.
    """

    def __init__(self, context: LearnerContext) -> None:
        cfg = context.cfg.amp
        if context.expert is None:
            raise UserError(
                "the discriminator has no expert motions to learn from; give motion clips, or "
                "leave it out: agent.learners.discriminator=None"
            )
        self.cfg = cfg
        self._expert = context.expert
        width = context.layout.width(STYLE_STATE)
        self.discriminator = Discriminator(width, cfg).to(context.device)
        self.modules = {"discriminator": self.discriminator}
        self.optimizer = self.discriminator.make_optimizer()
        self.max_grad_norm = cfg.max_grad_norm
        self.replay = AmpReplayBuffer(cfg.replay_size, width, context.device)
        self._weight = cfg.style_weight * context.step_dt

    @classmethod
    def figures(cls, cfg: AmpVaeRunnerCfg) -> tuple[Figure, ...]:
        """How much the motions look like the clips'."""
        return (Figure(label="style reward", metric=_REWARD),)

    def record(self, step: Transition) -> dict[str, torch.Tensor]:
        """Both states of the transition, how much its style counts, and whether it is valid."""
        return {
            STYLE_STATE: step.observations[STYLE_STATE],
            _NEXT_STATE: step.next_observations[STYLE_STATE],
            _SCALE: step.extras[_SCALE],
            _VALID: step.extras[_VALID],
        }

    def shape_rewards(self, rollout: Rollout) -> dict[str, torch.Tensor]:
        """Book the style of each transition for the action that led to it."""
        pairs = (rollout[name].flatten(0, 1).split(_PART) for name in (STYLE_STATE, _NEXT_STATE))
        style = torch.cat(list(map(self.discriminator.style_reward, *pairs)))
        style = style.view_as(rollout[_SCALE])
        rollout["rewards"].add_(self._weight * rollout[_SCALE] * style)
        return {_REWARD: style.mean()}

    def finish_rollout(
        self, rollout: Rollout, last_observations: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Keep the transitions for replay; a sound one takes the place of one that is not."""
        state_is_valid = rollout[_VALID].flatten()
        places = torch.arange(len(state_is_valid), device=state_is_valid.device)
        # The nearest before, or the first there is: their number is not read from the device.
        first = state_is_valid.long().argmax()
        sources = torch.where(state_is_valid, places, first).cummax(dim=0).values
        pairs = (rollout[name].flatten(0, 1)[sources] for name in (STYLE_STATE, _NEXT_STATE))
        self.replay.insert(*pairs)
        return {}

    def batches(self, count: int) -> Iterator[Tree]:
        """Normalised pairs of policy and clips.

        All are drawn and normalised at once, by statistics that change once an update.
        """
        size = self.cfg.batch_size
        pairs = self.replay.sample(size * count), self._expert.sample_pairs(size * count)
        self.discriminator.update_normalizer(*pairs)
        return zip(*(self.discriminator.normalize(of).split(size) for of in pairs), strict=True)

    def loss(self, rollout: Rollout, indices: BatchIndices, own: Tree) -> LearnerLoss:
        """Least-squares loss and gradient penalty."""
        policy_pairs, expert_pairs = own
        return self.discriminator.loss(policy_pairs, expert_pairs)

    def process_state_dict(self) -> dict[str, Any]:
        """The newest transitions."""
        return {"replay": self.replay.state_dict(self.cfg.checkpoint_pairs)}

    def load_process_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with the saved transitions and no others."""
        self.replay.load_state_dict(state["replay"])
