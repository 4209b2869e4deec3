"""Where feet are and whether they stand, as learners of footholds want it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from rl_sim_env.learning.footing import Footing
from rl_sim_env.mdp.observations import base_pos_w, foot_pos_w

if TYPE_CHECKING:
    from rl_sim_env.envs import AmpVaeEnv

RISER_SLOPE = 1.0
"""A foot that is pushed more sideways than this times upwards has met a riser: at 45 degrees and
more, which no tread or slope of the ground does."""


def is_pushed_aside(force: torch.Tensor) -> torch.Tensor:
    """Whether the ground pushes feet more sideways than upwards, as the face of a step does.

    Args:
        force: Force between feet and ground, world frame, either way [N]. Shape (..., 3).

    Returns:
        Shape (...).
    """
    return force[..., :2].norm(dim=-1) > RISER_SLOPE * force[..., 2].abs()


def footing(env: AmpVaeEnv) -> torch.Tensor:
    """A :class:`~rl_sim_env.learning.footing.Footing`, packed. Shape (num_envs, width).

    A foot stands where the ground pushes it upwards: one that strikes a riser goes on swinging.
    """
    data = env.scene[env.cfg.feet_contact_sensor].data
    touches = data.found[:, env.foot_contact_order] > 0
    base, terrain = base_pos_w(env), env.terrain
    on_plane = terrain.terrain_origins is None
    return Footing.in_world(
        foot_xy=foot_pos_w(env)[..., :2],
        stands=touches & ~is_pushed_aside(data.force[:, env.foot_contact_order]),
        base_xy=base[:, :2],
        yaw=env.robot_heading(),
        level=torch.zeros_like(base[:, 0]) if on_plane else terrain.terrain_levels.float(),
    ).packed()
