"""What keeps a policy within its limits: one file for each strategy, chosen by its name.

A file of this folder is a strategy: ``STRATEGY`` in it is a class derived from
:class:`~rl_sim_env.learning.constraint_learner.ConstraintLearner`. docs/constraints.md compares
them.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from rl_sim_env.errors import UserError, known_names

if TYPE_CHECKING:
    from rl_sim_env.learning.constraint_learner import ConstraintLearner

PENALTIES = "penalties"
"""Nothing but the reward terms of the task."""

STRATEGIES = (PENALTIES, *(module.name for module in iter_modules(__path__)))
"""Names of all strategies."""

_SETTING = "agent.constraints.strategy"


def unknown_strategy(name: str) -> str | None:
    """What to write instead of a name that no strategy has; None where it is one, or a class."""
    if name in STRATEGIES or ":" in name:
        return None
    return f"{known_names(name, STRATEGIES)} (or write module.path:Class for one of your own)"


def find_strategy(name: str) -> type[ConstraintLearner] | None:
    """The learner of a strategy; None where the reward terms are all there is.

    Args:
        name: One of :data:`STRATEGIES`, or ``module.path:Class`` for one of one's own.

    Raises:
        UserError: There is none of this name.
    """
    # Only here: these imports take seconds.
    from rl_sim_env.learning.class_names import resolve_class
    from rl_sim_env.learning.constraint_learner import ConstraintLearner

    if name == PENALTIES:
        return None
    if name in STRATEGIES:
        return import_module(f"{__name__}.{name}").STRATEGY
    if instead := unknown_strategy(name):
        raise UserError(f"{_SETTING}: unknown strategy '{name}'; {instead}")
    return resolve_class(name, ConstraintLearner, _SETTING)
