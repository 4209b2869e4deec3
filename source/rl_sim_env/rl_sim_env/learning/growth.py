"""A policy that observes more, or has more networks, than the one it begins with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch

from rl_sim_env.learning.policy import VARIANCE_STATE
from rl_sim_env.learning.structure import MisfitError, require_like

_WHERE = "algorithm.policy_state_dict"
_LEVELS = 2
"""Parts of a parameter's name that messages tell: the network, and its part."""


def grown(saved: Mapping[str, Any], own: Mapping[str, torch.Tensor]) -> tuple[dict[str, Any], str]:
    """The state of a policy, made of that of one that observes less or has fewer networks.

    What it does is what the other does: whatever reads new observations is as new, and counts for
    nothing, be it a layer that begins at zero or a column of zeros behind the old ones.

    Args:
        saved: State of the other policy, by name.
        own: State of this one, as new.

    Returns:
        The state, and in words what of it is new; nothing of a policy that has not grown.

    Raises:
        MisfitError: They differ in something else.
    """
    state, wider = {}, []
    for name, value in own.items():
        old = saved.get(name)
        if old is None:
            state[name] = value
        elif _has_more_columns(name, value, old):
            state[name] = torch.zeros_like(value)
            state[name][:, : old.shape[1]] = old
            wider.append(f"{name} reads {value.shape[1] - old.shape[1]} values more")
        else:
            require_like(old, value, f"{_WHERE}.{name}")
            state[name] = old
    if lost := [name for name in saved if name not in own and not name.startswith(VARIANCE_STATE)]:
        raise MisfitError(f"{_WHERE}: there is no place for '{lost[0]}'")
    new = Counter(".".join(name.split(".")[:_LEVELS]) for name in own if name not in saved)
    parts = ", ".join(f"{name} ({count})" for name, count in new.items())
    return state, "; ".join((*((f"new parameters: {parts}",) if parts else ()), *wider))


def _has_more_columns(name: str, value: torch.Tensor, old: Any) -> bool:
    return (
        name.endswith(".weight")
        and isinstance(old, torch.Tensor)
        and old.dtype == value.dtype
        and value.dim() == old.dim() == 2
        and len(value) == len(old)
        and value.shape[1] > old.shape[1]
    )
