"""The tiny environment with feet, which come down where they are told to."""

from __future__ import annotations

import torch
from toy_env import ToyEnv

from rl_sim_env.learning.footing import FOOTING, Footing, FootSupport

FEET = 2
STRIDE = 4
"""Steps of a stride: feet are in the air in the first three."""


def hole(xy: torch.Tensor) -> torch.Tensor:
    """Ground without support where x is positive."""
    return (xy[..., 0] > 0.0).float()


class WalkingToyEnv(ToyEnv):
    """Feet come down where the first action was when they were lifted [0.1 m]."""

    def __init__(self, num_envs: int = 8, device: str = "cpu") -> None:
        self.is_asked = False
        super().__init__(num_envs, device)
        self.state["aim"] = self._zeros(FEET, 2)

    def report_footing(self) -> FootSupport:
        self.is_asked = True
        return FootSupport(FEET, hole)

    def step(self, actions):
        phase = self.episode_length_buf % STRIDE
        lifts = (phase == 0)[:, None, None]
        aim = torch.where(lifts, 0.1 * actions[:, None, :1].clamp(-3, 3), self.state["aim"])
        self.state["aim"] = aim
        stands = (phase == STRIDE - 1)[:, None].expand(-1, FEET)
        zeros = self._zeros()
        at = Footing.in_world(
            foot_xy=aim,
            stands=stands,
            base_xy=self._zeros(2),
            yaw=zeros,
            level=zeros,
        )
        obs, rewards, dones, extras = super().step(actions)
        if self.is_asked:
            extras[FOOTING] = at.packed()
        return obs, rewards, dones, extras
