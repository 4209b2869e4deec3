"""Feet that are stuck in the ground, which physics should not allow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from rl_sim_env.mdp.observations import foot_pos_w
from rl_sim_env.terrains.field_heights import FieldHeights

if TYPE_CHECKING:
    from rl_sim_env.envs import AmpVaeEnv

BURIED_TIME = 0.1
"""A foot whose centre is below the surface for longer than this is stuck [s]."""


class BuriedFeet:
    """Counts the times that a foot is stuck below the surface of a height field.

    It reads nothing from the device, and keeps its state in place, so that a captured control step
    may hold it; to be called once after each.

    Args:
        env: The environment that is watched.
    """

    def __init__(self, env: AmpVaeEnv) -> None:
        self._env = env
        self._heights = FieldHeights(env.sim.mj_model, env.device)
        shape = (env.num_envs, len(env.cfg.robot.legs))
        self._steps = torch.zeros(shape, dtype=torch.long, device=env.device)
        self._limit = round(BURIED_TIME / env.step_dt)

    def __call__(self) -> torch.Tensor:
        """Feet that have now been below the surface for longer than :data:`BURIED_TIME`.

        Each counts once, when that time is over. The sum over robots and steps, by the robots' time
        in minutes, is the rate to look at.

        Returns:
            Number by robot, shape (num_robots,).
        """
        env = self._env
        position = foot_pos_w(env)
        below = position[..., 2] < self._heights(position[..., :2])
        below &= env.episode_length_buf[:, None] > 0
        self._steps.add_(1).mul_(below)
        return (self._steps == self._limit + 1).sum(dim=-1)[: env.num_robots]
