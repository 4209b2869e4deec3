"""What the fields of a checkpoint must be, whoever wrote the file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rl_sim_env.errors import UserError
from rl_sim_env.learning.layout import ObservationLayout
from rl_sim_env.typed import typed

_BEFORE_THE_FIRST = -1
"""Iteration of what is saved when the first one fails."""


def require_fields(content: Mapping[str, Any], types: Mapping[str, Any]) -> None:
    """Refuse fields that no run has saved.

    What is inside of the learners' states and of configurations is looked at where it is loaded.

    Args:
        content: The fields by name, as the file holds them.
        types: Their declared types.

    Raises:
        UserError: One is of another type or impossible; the message names it.
    """
    for name, hint in types.items():
        typed(content[name], hint, name)
    for name in ("config", "env_cfg", "task_arguments"):
        _require_plain(content[name], name)
    smallest = {"iteration": _BEFORE_THE_FIRST, "total_steps": 0, "total_seconds": 0, "progress": 0}
    for name, least in smallest.items():
        if not least <= content[name] < math.inf:
            raise UserError(f"{name} is {content[name]}; it must be at least {least}")
    if content["progress"] > 1.0:
        raise UserError(f"progress is {content['progress']}; it must be at most 1")
    ObservationLayout.from_dict(content["layout"])
    if not content["processes"]:
        raise UserError("processes is empty; a run has at least one")
    for rank, process in enumerate(content["processes"]):
        typed(process.get("env"), dict[str, Any], f"processes.{rank}.env")


def _require_plain(value: Any, where: str) -> None:
    if isinstance(value, Mapping):
        for name, item in typed(value, dict[str, Any], where).items():
            _require_plain(item, f"{where}.{name}")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            _require_plain(item, f"{where}.{place}")
    elif not isinstance(value, bool | int | float | str | None):
        raise UserError(f"{where} is of type {type(value).__name__}; configurations are plain")
