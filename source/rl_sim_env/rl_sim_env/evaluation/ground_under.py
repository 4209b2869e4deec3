"""What is under a robot: the feature of its tile, or the level ground before and behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from rl_sim_env.evaluation.footholds import ground_around

if TYPE_CHECKING:
    from rl_sim_env.envs import AmpVaeEnv
    from rl_sim_env.terrains import HeightMap

GROUND = "ground"
"""Axis of what is under a robot, in the order of :data:`GROUND_NAMES`."""

GROUND_NAMES = ("on level ground", "on the feature")

REACH = 0.35
"""The ground counts as far as this from the middle of the trunk [m]: about where feet are."""

LEVEL_WITHIN = 0.005
"""Level ground differs by no more than this in height [m], less than the least rough ground."""


def ground_under(env: AmpVaeEnv) -> torch.Tensor:
    """Place of each robot on the axis :data:`GROUND`. Shape (num_robots,), long."""
    xy = env.robot.data.root_link_pos_w[: env.num_robots, :2]
    return is_feature(env.height_map, xy).long()


def is_feature(height_map: HeightMap, xy: torch.Tensor) -> torch.Tensor:
    """Whether a robot is on the feature of its tile where the middle of its trunk is.

    Args:
        height_map: The ground.
        xy: Places in the world [m], shape (..., 2).

    Returns:
        Shape (...), bool.
    """
    heights = ground_around(height_map, xy, REACH)
    return heights.amax(dim=-1) - heights.amin(dim=-1) > LEVEL_WITHIN
