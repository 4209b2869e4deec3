"""Where feet touch down: beside edges, or on even ground."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from rl_sim_env.evaluation.gait import FeetWatch
from rl_sim_env.mdp.footholds import ground_around, is_at_edge

if TYPE_CHECKING:
    from rl_sim_env.envs import AmpVaeEnv

JITTER = 0.15
"""Random footholds are displaced by up to this in x and y [m]."""


class FootholdMeter:
    """Where feet touch down, and where they would if they did so at random.

    Args:
        env: The environment that is watched.
    """

    def __init__(self, env: AmpVaeEnv) -> None:
        self._env = env
        self._feet = FeetWatch(env)

    def sample(self) -> dict[str, torch.Tensor]:
        """Sums of one control step over the feet that touched down, each of shape (num_robots,).

        ``edges`` counts footholds at an edge, see :func:`is_at_edge`; ``variance`` adds up the
        variance of the ground's height under the feet [m^2]; ``random_edges`` and
        ``random_variance`` are the same for the footholds displaced at random by up to
        :data:`JITTER`.
        """
        env = self._env
        landed = self._feet.observe().landed
        xy = env.robot.data.site_pos_w[: env.num_robots, env.index.foot_sites, :2]
        random_xy = xy + JITTER * (2.0 * torch.rand_like(xy) - 1.0)
        values = {"touchdowns": landed.sum(dim=-1)}
        for prefix, places in (("", xy), ("random_", random_xy)):
            at_edge = is_at_edge(env.height_map, places) & landed
            under = ground_around(env.height_map, places, env.index.foot_radius)
            variance = under.var(dim=-1, correction=0) * landed
            values[f"{prefix}edges"] = at_edge.sum(dim=-1)
            values[f"{prefix}variance"] = variance.sum(dim=-1)
        return values
