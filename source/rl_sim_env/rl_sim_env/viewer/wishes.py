"""What a user wants of robots, kept through falls and new episodes."""

from __future__ import annotations

import torch

from rl_sim_env.envs import AmpVaeEnv
from rl_sim_env.mdp import events

_SAME_LOAD = 1e-3
"""Difference of loads that is none [kg]."""

FRICTION = "geom_friction"


class Wishes:
    """Load, boom and friction that a user has chosen; what he has not, stays as it is drawn.

    A robot that falls begins anew with what was chosen for it: else somebody who hangs on too much
    would look at another, lighter load before he knew.

    Args:
        env: The environment; before its first step, which a GPU may capture.

    Attributes:
        load: Chosen loads [kg]; NaN: as drawn. Shape (num_envs,).
        boom: Chosen angle [rad] and length [m] of booms. Shape (num_envs, 2).
        friction: Chosen sliding friction of feet. Shape (num_envs,).
    """

    def __init__(self, env: AmpVaeEnv) -> None:
        self._env = env
        # Without this all robots would share one friction.
        env.sim.expand_model_fields((FRICTION,))
        self.load = torch.full((env.num_envs,), torch.nan, device=env.device)
        self.friction = self.load.clone()
        self.boom = torch.full((env.num_envs, 2), torch.nan, device=env.device)

    @property
    def can_carry(self) -> bool:
        """Whether robots carry something."""
        return self._env.cfg.robot.payload is not None

    def load_of(self, robot: int) -> float:
        """Load of a robot at present [kg]."""
        return float(events.get_load(self._env)[robot])

    def set_load(self, robots: torch.Tensor, load: float) -> None:
        """Have robots carry a load [kg] from now on, while they walk."""
        self.load[robots] = load
        self._grant_load(robots)

    def set_boom(self, robots: torch.Tensor, angle: float, length: float) -> None:
        """Turn booms to an angle [rad] and pull them out to a length [m], from now on.

        Their drives move them there: a boom that jumped would be a blow.
        """
        self.boom[robots, 0], self.boom[robots, 1] = angle, length
        self._env.robot.set_joint_position_target(
            self.boom[robots], joint_ids=self._env.index.boom_joints, env_ids=robots
        )

    def set_friction(self, robots: torch.Tensor, friction: float) -> None:
        """Have feet slide at another friction from now on."""
        self.friction[robots] = friction
        self._grant_friction(robots)

    def friction_of(self, robot: int) -> float:
        """Sliding friction of a robot's feet at present."""
        foot = self._env.index.foot_geoms_global[0]
        return float(self._env.sim.model.geom_friction[robot, foot, 0])

    def boom_of(self, robot: int) -> tuple[float, float]:
        """Angle [rad] and length [m] of a robot's boom at present."""
        angle, length = self._env.robot.data.joint_pos[robot, self._env.index.boom_joints].tolist()
        return angle, length

    def keep(self, begun: torch.Tensor) -> None:
        """Renew, after a step, what it has overruled: resets and events draw by themselves.

        Args:
            begun: Whose episode began in it. Shape (num_robots,), bool.
        """
        if self.can_carry:
            drawn = events.get_load(self._env)
            # NaN compares as False.
            other = ((drawn - self.load).abs() > _SAME_LOAD).nonzero().squeeze(-1)
            if len(other):
                self._grant_load(other)
        new = begun.nonzero().squeeze(-1)
        if len(new):
            self._grant_friction(new[~self.friction[new].isnan()])
            self._grant_boom(new[~self.boom[new, 0].isnan()])

    def _grant_load(self, robots: torch.Tensor) -> None:
        events.set_load(self._env, robots, self.load[robots], recompute=True)
        self._env.sim.forward()

    def _grant_friction(self, robots: torch.Tensor) -> None:
        feet = self._env.index.foot_geoms_global
        self._env.sim.model.geom_friction[robots[:, None], feet, 0] = self.friction[robots, None]

    def _grant_boom(self, robots: torch.Tensor) -> None:
        if len(robots):
            events.hold_joints(self._env, robots, self._env.index.boom_joints, self.boom[robots])
            self._env.sim.forward()
