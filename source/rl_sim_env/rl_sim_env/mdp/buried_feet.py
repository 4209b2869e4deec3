"""Feet that are stuck in the ground, which physics should not allow."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch

from rl_sim_env.errors import Notice, UserError
from rl_sim_env.mdp.observations import foot_pos_w
from rl_sim_env.terrains.field_heights import FieldHeights

if TYPE_CHECKING:
    from rl_sim_env.envs import AmpVaeEnv

BURIED_TIME = 0.1
"""A foot whose centre is below the surface for longer than this is stuck [s]."""

STUCK_FEET = "Metrics/stuck_feet_per_minute"
"""How often a robot's feet get stuck, on all grounds together [1/min]."""


class BuriedFeet:
    """Counts the times that a foot is stuck below the surface of a height field.

    It reads nothing from the device, and keeps its state in place, so that a captured control step
    may hold it. How long feet have been below is no part of a checkpoint: it is a tenth of a second
    at most.

    Args:
        env: The environment that is watched.

    Attributes:
        newly: Feet of each robot that have been below the surface for longer than
            :data:`BURIED_TIME` since the last step; each counts once. Shape (num_robots,).
    """

    def __init__(self, env: AmpVaeEnv) -> None:
        self._env = env
        try:
            self._heights = FieldHeights(env.sim.mj_model, env.device)
        except UserError as error:
            notice = Notice(f"{error}: feet that are stuck in it are not counted")
            warnings.warn(notice, stacklevel=2)
            self._heights = None
        shape = (env.num_envs, len(env.cfg.robot.legs))
        self._steps = torch.zeros(shape, dtype=torch.long, device=env.device)
        self._limit = round(BURIED_TIME / env.step_dt)
        self.newly = torch.zeros(env.num_robots, dtype=torch.long, device=env.device)
        # Feet that were stuck, and robot-steps that were watched.
        self._tally = torch.zeros(2, dtype=torch.long, device=env.device)

    def watch(self) -> None:
        """Look at the state that a control step ends in, before resets; once in each step."""
        if not self._heights:
            return
        env = self._env
        position = foot_pos_w(env)
        below = position[..., 2] < self._heights(position[..., :2])
        # What a foot did in the episode before does not count.
        below &= env.episode_length_buf[:, None] > 1
        self._steps.add_(1).mul_(below)
        self.newly.copy_((self._steps == self._limit + 1).sum(dim=-1)[: env.num_robots])
        self._tally[0].add_(self.newly.sum())
        self._tally[1].add_(env.num_robots)

    def read_log(self) -> dict[str, tuple[float, int]]:
        """Sum and number of samples since the last call, under :data:`STUCK_FEET`.

        Reads the device; empty where there was no step, or is no height field.
        """
        stuck, robot_steps = self._tally.tolist()
        self._tally.zero_()
        if not robot_steps:
            return {}
        return {STUCK_FEET: (60.0 / self._env.step_dt * stuck, robot_steps)}
