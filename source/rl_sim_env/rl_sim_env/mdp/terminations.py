"""Termination terms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch

from rl_sim_env.configuration.limits import NOT_NEGATIVE
from rl_sim_env.mdp.constraints import contact_force

if TYPE_CHECKING:
    from rl_sim_env.envs import AmpVaeEnv


def illegal_contact(
    env: AmpVaeEnv, *, sensor_name: str, force_threshold: Annotated[float, NOT_NEGATIVE]
) -> torch.Tensor:
    """A watched part bears more than ``force_threshold`` [N] of contact. Shape (num_envs,)."""
    return (contact_force(env, sensor_name) > force_threshold).any(dim=-1)


def in_a_pit(env: AmpVaeEnv, *, reach: Annotated[float, NOT_NEGATIVE]) -> torch.Tensor:
    """The base is below the ground ``reach`` [m] away on two opposite sides. Shape (num_envs,).

    Nowhere else is there ground on both sides of a trunk: not on stairs, which rise to one.
    """
    position = env.sim.data.xpos[:, env.index.base_body_global]
    x, y, z = position.unbind(dim=-1)

    def is_between(ahead: torch.Tensor, behind: torch.Tensor) -> torch.Tensor:
        heights = env.height_map.heights
        return torch.minimum(heights(ahead), heights(behind)) > z

    return is_between(
        torch.stack((x + reach, y), dim=-1), torch.stack((x - reach, y), dim=-1)
    ) | is_between(torch.stack((x, y + reach), dim=-1), torch.stack((x, y - reach), dim=-1))


def broken_physics(env: AmpVaeEnv) -> torch.Tensor:
    """Physics has produced NaN or absurd velocities. Shape (num_envs,)."""
    return ~env.state_is_valid()
