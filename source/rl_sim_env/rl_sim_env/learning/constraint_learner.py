"""What strategies that keep limits have in common: margins, costs, budgets, a critic of costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar, TypeVar

import torch

from rl_sim_env.configuration.limits import check_limits
from rl_sim_env.errors import UserError, known_names
from rl_sim_env.learning.collectives import moments_over_ranks
from rl_sim_env.learning.constraints_cfg import ConstraintsCfg
from rl_sim_env.learning.learner import Learner, LearnerContext, LearnerLoss, Transition, Tree
from rl_sim_env.learning.policy import build_critic
from rl_sim_env.learning.returns import returns_beyond
from rl_sim_env.learning.rollout import BatchIndices, Rollout

MARGINS = "margins"
"""What the environment reports in ``extras``: how far a step is beyond each limit, in its units."""

COSTS = "costs"
_VALUES, _RETURNS = "cost_values", "cost_returns"
ADVANTAGES = "cost_advantages"
"""Fields of the rollout, a column for each constraint."""

_PATH = "agent.constraints"

Settings = TypeVar("Settings")


class ConstraintLearner(Learner):
    """Turns margins into what a strategy needs.

    Limits are taken at ``factor`` of what they are: a policy should have learned to keep away from
    them where it is judged.

    Raises:
        UserError: The environment reports no margins, or a setting is unknown or none.

    Attributes:
        names: The constraints that count, in order.
        budgets: Share of the robot-steps that may violate each. Shape (constraints,).
    """

    saved: ClassVar[tuple[str, ...]] = ()
    """Names of the attributes that a checkpoint keeps: tensors, the same in all processes."""

    def __init__(self, context: LearnerContext) -> None:
        cfg: ConstraintsCfg = context.cfg.constraints
        self.cfg = cfg
        self.modules = {}
        layout = context.constraints
        if not layout.widths:
            raise UserError(
                f"{_PATH}.strategy={cfg.strategy}: the environment reports no margins to limits; "
                "use one that does, or strategy=penalties"
            )
        self._layout = layout
        self.names = layout.chosen(cfg.names)
        self._places = layout.places(self.names)
        final = [cfg.budgets.get(name, cfg.budget) for name in self.names]
        self._final_budgets = torch.tensor(final, device=context.device)
        self.budgets = self._final_budgets.clone()
        ConstraintLearner.set_progress(self, 0.0)

    def settings(self, kind: type[Settings]) -> Settings:
        """The strategy's own settings, ``agent.constraints.settings``.

        Args:
            kind: A dataclass of them.

        Raises:
            UserError: There is no such setting, or a value is none that it may have.
        """
        known = [each.name for each in fields(kind)]  # pyright: ignore[reportArgumentType]
        for name in self.cfg.settings:
            if name not in known:
                raise UserError(
                    f"{_PATH}.settings: {self.cfg.strategy} has no '{name}'; "
                    f"{known_names(name, known)}"
                )
        found = kind(**self.cfg.settings)
        check_limits(found, f"{_PATH}.settings")
        return found

    def tightened(self, margins: torch.Tensor) -> torch.Tensor:
        """Margins to the limits of training, which are ``factor`` of the robot's."""
        return (margins + 1.0) / self.cfg.factor - 1.0

    def costs(self, margins: torch.Tensor) -> torch.Tensor:
        """What violations cost, from the margins of all columns, shape (N, constraints).

        An indicator is 1 where a column is violated, a severity its margin up to 1; of the columns
        of a constraint the worst counts, or all of them.
        """
        beyond = self.tightened(margins)
        severity = beyond.clamp(0.0, 1.0)
        of_column = (beyond > 0.0).float() if self.cfg.cost == "indicator" else severity
        reduce = self._layout.worst if self.cfg.channels == "max" else self._layout.total
        return reduce(of_column).index_select(-1, self._places)

    def loss(self, rollout: Rollout, indices: BatchIndices, own: Tree) -> LearnerLoss:
        """Nothing of its own to train."""
        return LearnerLoss(rollout["rewards"].new_zeros(()), {})

    def set_progress(self, fraction: float) -> None:
        """Let budgets shrink to their final values."""
        cfg = self.cfg
        left = max(1.0 - fraction / cfg.tightening, 0.0) if cfg.tightening else 0.0
        first = torch.clamp(self._final_budgets, min=cfg.first_budget)
        self.budgets.copy_(torch.lerp(self._final_budgets, first, left))

    def logged(self, what: str, values: torch.Tensor) -> dict[str, torch.Tensor]:
        """A scalar for each constraint, by the name that is logged."""
        names = (f"Constraint_{what}/{name}" for name in self.names)
        return dict(zip(names, values.unbind(), strict=True))

    def state_dict(self) -> dict[str, Any]:
        """With all that the strategy has found."""
        return {**super().state_dict(), **{name: getattr(self, name) for name in self.saved}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from :meth:`state_dict`."""
        super().load_state_dict(state)
        for name in self.saved:
            getattr(self, name).copy_(state[name])


class CostCriticLearner(ConstraintLearner):
    """With a critic of one head for each constraint, which reads what the critic of rewards does.

    Costs neither follow soft terminations nor stop where an episode ends, by time or by a fall: the
    critic is asked for what would have come. Else a robot that violates something all the time, as
    untrained ones do, would do best to fall.

    Attributes:
        critic: Discounted sums of costs, one for each constraint.
        rates: Mean cost of each constraint in the last rollout, over all processes.
        means: Mean advantage of each, over all processes; 0 where nothing is violated.
        deviations: Standard deviation of the advantages, not below ``cfg.least_deviation``.
    """

    def __init__(self, context: LearnerContext) -> None:
        super().__init__(context)
        self._ppo = context.cfg.algorithm
        self._groups = context.cfg.critic.obs_groups
        # The other learners, and the actions, shall not notice that there is one more network.
        with torch.random.fork_rng(devices=[]):
            network = build_critic(context.groups, context.cfg, width=len(self.names))
        self.critic = network.to(context.device)
        self.modules = {"cost_critic": self.critic}
        self.optimizer = torch.optim.Adam(
            self.critic.parameters(), lr=self.cfg.learning_rate, fused=True
        )
        self.max_grad_norm = self._ppo.max_grad_norm
        self.rates, self.means, self.deviations = torch.zeros(
            3, len(self.names), device=context.device
        )

    def record(self, step: Transition) -> dict[str, torch.Tensor]:
        """Costs, their values, and what the critic reads."""
        observations: Any = step.observations  # read as rsl_rl's models would a TensorDict
        self.critic.update_normalization(observations)
        return {
            **{group: step.observations[group] for group in self._groups},
            **{f"next_{group}": step.next_observations[group] for group in self._groups},
            COSTS: self.costs(step.extras[MARGINS]),
            _VALUES: self.critic(observations),
        }

    def finish_rollout(
        self, rollout: Rollout, last_observations: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Returns of the costs, and statistics over all processes."""
        costs, values = rollout[COSTS], rollout[_VALUES]
        _, rates, _ = moments_over_ranks(costs.flatten(0, 1))
        self.rates.copy_(rates)
        returns = returns_beyond(
            rollout["dones"],
            rollout,
            self.critic,
            last_observations,
            rewards=costs,
            values=values,
            continuations=1.0 - rollout["dones"].float()[..., None],
            groups=self._groups,
            ppo=self._ppo,
        )
        advantages = returns - values
        _, *moments = moments_over_ranks(advantages.flatten(0, 1))
        mean, mean_square = (each.float() for each in moments)
        # What a critic expects of violations that there are none of is noise.
        is_violated = self.rates > 0.0
        self.means.copy_(mean * is_violated)
        deviation = (mean_square - mean.square()).clamp(min=0.0).sqrt()
        self.deviations.copy_(deviation.clamp(min=self.cfg.least_deviation))
        rollout.put(_RETURNS, returns)
        rollout.put(ADVANTAGES, (advantages - self.means) * is_violated)
        return {
            **self.logged("Rate", self.rates.clone()),
            **self.logged("Deviation", self.deviations.clone()),
        }

    def loss(self, rollout: Rollout, indices: BatchIndices, own: Tree) -> LearnerLoss:
        """Squared error of the values, summed over the constraints."""
        batch = rollout.pick((*self._groups, _RETURNS), indices.samples)
        error = (self.critic(batch) - batch[_RETURNS]).square().mean(dim=0).sum()
        return LearnerLoss(error, {"Loss/cost_value": error})
