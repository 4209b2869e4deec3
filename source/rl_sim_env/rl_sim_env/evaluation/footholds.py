"""Where feet touch down: beside edges, or on even ground."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import torch

from rl_sim_env.evaluation.gait_metrics import FeetMeter
from rl_sim_env.mdp.footing import is_pushed_aside
from rl_sim_env.mdp.observations import foot_pos_w
from rl_sim_env.terrains import support_deficiency_map

if TYPE_CHECKING:
    from rl_sim_env.envs import AmpVaeEnv
    from rl_sim_env.terrains import HeightMap

EDGE_DISTANCE = 0.03
"""A foothold nearer to an edge than this is at the edge [m]."""

EDGE_HEIGHT = 0.03
"""Smallest height difference that is an edge [m]: less than the lowest step."""

ENOUGH_SUPPORT = 0.75
"""A foothold carries where more than this share of the ground around it does."""

JITTER = 0.15
"""Random footholds are displaced by up to this in x and y [m]."""

_DISC_STEPS = 3
"""Sampled points from the middle of a disc to its rim."""


@cache
def _disc(radius: float, device: torch.device) -> torch.Tensor:
    """Points of a grid within a disc around the origin, rim included. Shape (num_points, 2)."""
    line = torch.arange(-_DISC_STEPS, _DISC_STEPS + 1, device=device) / _DISC_STEPS
    points = torch.cartesian_prod(line, line)
    return radius * points[points.norm(dim=-1) <= 1.0]


def ground_around(height_map: HeightMap, xy: torch.Tensor, radius: float) -> torch.Tensor:
    """Heights of the ground on a disc around each place.

    Args:
        height_map: The ground.
        xy: Places in the world [m], shape (..., 2).
        radius: Radius of the disc [m].

    Returns:
        Heights [m]. Shape (..., num_points).
    """
    return height_map.heights(xy[..., None, :] + _disc(radius, xy.device))


def is_at_edge(height_map: HeightMap, xy: torch.Tensor) -> torch.Tensor:
    """Whether the ground within :data:`EDGE_DISTANCE` varies by more than :data:`EDGE_HEIGHT`.

    It is as exact as the map's cells are small. Steep slopes (more than 27 degrees) count as edges.

    Args:
        height_map: The ground.
        xy: Places in the world [m], shape (..., 2).

    Returns:
        Shape (...).
    """
    around = ground_around(height_map, xy, EDGE_DISTANCE)
    return around.amax(dim=-1) - around.amin(dim=-1) > EDGE_HEIGHT


class FootholdMeter:
    """Where feet touch down, and where they would if they did so at random.

    Args:
        env: The environment that is watched.
    """

    def __init__(self, env: AmpVaeEnv) -> None:
        self._env = env
        self._feet = FeetMeter(env)
        self._deficiency = support_deficiency_map(env.height_map, foot_radius=env.index.foot_radius)

    def sample(self) -> dict[str, torch.Tensor]:
        """Sums of one control step over the feet that touched down, each of shape (num_robots,).

        ``risers`` counts feet at an edge that are pushed aside, see :func:`is_at_edge` and
        :func:`is_pushed_aside`: they strike it; ``edges`` counts the others at an edge: they stand
        on it. ``variance`` adds up the variance of the ground's height under the feet [m^2],
        ``support`` the share of the ground that carries
        (:func:`~rl_sim_env.terrains.support_deficiency_map`), and ``supported`` counts where that
        is more than :data:`ENOUGH_SUPPORT`. ``random_edges``, all of those at an edge, and
        ``random_variance``, ``random_support`` and ``random_supported`` are the same for the
        footholds displaced at random by up to :data:`JITTER`.
        """
        env = self._env
        landed = self._feet.observe().landed
        xy = foot_pos_w(env)[: env.num_robots, :, :2]
        random_xy = xy + JITTER * (2.0 * torch.rand_like(xy) - 1.0)
        force = env.scene[env.cfg.feet_contact_sensor].data.force
        strikes = is_pushed_aside(force[: env.num_robots, env.foot_contact_order])
        values = {"touchdowns": landed.sum(dim=-1)}
        for prefix, places in (("", xy), ("random_", random_xy)):
            at_edge = is_at_edge(env.height_map, places) & landed
            under = ground_around(env.height_map, places, env.index.foot_radius)
            variance = under.var(dim=-1, correction=0) * landed
            if not prefix:
                values["risers"] = (at_edge & strikes).sum(dim=-1)
                at_edge = at_edge & ~strikes
            values[f"{prefix}edges"] = at_edge.sum(dim=-1)
            values[f"{prefix}variance"] = variance.sum(dim=-1)
            support = 1.0 - self._deficiency.heights(places)
            values[f"{prefix}support"] = (support * landed).sum(dim=-1)
            enough = (support > ENOUGH_SUPPORT) & landed
            values[f"{prefix}supported"] = enough.sum(dim=-1)
        return values
