"""The state of all random number generators of a process, saved and restored."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from rl_sim_env.errors import UserError
from rl_sim_env.learning.structure import require_like


def random_state(device: str) -> dict[str, Any]:
    """Return the state of every random number generator this process draws from."""
    kind, keys, *position = np.random.get_state(legacy=True)
    state = {
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(np.asarray(keys, dtype=np.int64)), *position),
        "torch": torch.get_rng_state(),
    }
    if torch.device(device).type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def restore_random_state(state: Mapping[str, Any], device: str) -> None:
    """Set the random number generators to what ``random_state`` returned.

    Raises:
        UserError: It is not such a state.
    """
    require_like(state, random_state("cpu"), "random")
    try:
        random.setstate(state["python"])
        kind, keys, *position = state["numpy"]
        np.random.set_state((kind, keys.numpy().astype(np.uint32), *position))
        torch.set_rng_state(state["torch"])
    except (ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"random: not a state of random number generators ({error})") from error
    if torch.device(device).type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
