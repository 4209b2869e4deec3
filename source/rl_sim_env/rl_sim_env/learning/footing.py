"""Feet and base at one moment, and where the feet touch down next."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

from rl_sim_env.geometry import turned

FOOTING = "footing"
"""What the environment reports in ``extras`` of the state that a step led to, before resets: a
packed :class:`Footing`; zeros where that state is broken, so that it is not valid."""

_OF_THE_ROBOT = 5
"""Elements beside those of the feet."""


class FootSupport(NamedTuple):
    """What the ground of an environment offers feet."""

    num_feet: int
    """Number of feet F of a robot."""

    deficiency: Callable[[torch.Tensor], torch.Tensor]
    """Share of the ground around places in the world (..., 2) [m] that would not carry a foot,
    (...)."""


class Footing(NamedTuple):
    """Feet and base of robots; the base-yaw frame is that of the same moment.

    Its origin is below the base link's, its x-axis points where the base does, seen from above.
    """

    foot_xy: torch.Tensor
    """Foot centres in the base-yaw frame [m], shape (..., F, 2)."""

    stands: torch.Tensor
    """Whether the ground carries each foot, shape (..., F), bool."""

    base_xy: torch.Tensor
    """Origin of the base link in the world [m], shape (..., 2)."""

    yaw: torch.Tensor
    """Heading of the base in the world [rad], shape (...)."""

    level: torch.Tensor
    """Level of the terrain that the robot is on, from 0, shape (...)."""

    is_valid: torch.Tensor
    """Whether all of this is known, shape (...), bool."""

    @staticmethod
    def in_world(
        *,
        foot_xy: torch.Tensor,
        stands: torch.Tensor,
        base_xy: torch.Tensor,
        yaw: torch.Tensor,
        level: torch.Tensor,
    ) -> Footing:
        """What is known of feet in the world; arguments as fields, but ``foot_xy`` in the world."""
        at = Footing(foot_xy, stands, base_xy, yaw, level, torch.ones_like(yaw, dtype=torch.bool))
        return at._replace(foot_xy=at.to_base(foot_xy))

    @staticmethod
    def unknown(num_envs: int, num_feet: int, device: str) -> torch.Tensor:
        """Nothing of so many robots, packed, shape (num_envs, 3 F + 5)."""
        return torch.zeros(num_envs, 3 * num_feet + _OF_THE_ROBOT, device=device)

    def to_world(self, xy: torch.Tensor) -> torch.Tensor:
        """Places of the base-yaw frame in the world [m]. Shape (..., points, 2), same shape."""
        return turned(xy, self.yaw[..., None]) + self.base_xy[..., None, :]

    def to_base(self, xy: torch.Tensor) -> torch.Tensor:
        """Places of the world in the base-yaw frame [m]. Shape (..., points, 2), same shape."""
        return turned(xy - self.base_xy[..., None, :], -self.yaw[..., None])

    def packed(self) -> torch.Tensor:
        """One tensor, shape (..., 3 F + 5)."""
        of_robot = (self.base_xy, *(each[..., None] for each in self[3:]))
        parts = (self.foot_xy.flatten(-2), self.stands, *of_robot)
        return torch.cat([part.float() for part in parts], dim=-1)

    @staticmethod
    def unpacked(packed: torch.Tensor) -> Footing:
        """The inverse of :meth:`packed`."""
        num_feet = (packed.shape[-1] - _OF_THE_ROBOT) // 3
        foot_xy, stands, base_xy, rest = packed.split((2 * num_feet, num_feet, 2, 3), dim=-1)
        yaw, level, is_valid = rest.unbind(dim=-1)
        return Footing(
            foot_xy.unflatten(-1, (num_feet, 2)), stands > 0.5, base_xy, yaw, level, is_valid > 0.5
        )


class Touchdowns(NamedTuple):
    """Where feet in the air come down next, seen from the steps in which they are in the air."""

    xy: torch.Tensor
    """Places in the base-yaw frame before the step [m], shape (T, N, F, 2); any where unknown."""

    is_known: torch.Tensor
    """Whether the foot is in the air after the step, and comes down within the rollout and the
    episode, shape (T, N, F), bool."""


def next_touchdowns(before: Footing, after: Footing, dones: torch.Tensor) -> Touchdowns:
    """Look ahead in a rollout.

    A place is looked up in the world, and told in the frame of the step that it is predicted in:
    the base goes on until the foot is down.

    Args:
        before: What a step begins with, s_t, shape (T, N, ...) each.
        after: What it led to, s_t+1 before resets.
        dones: Whether an episode ended with the step, shape (T, N), bool.
    """
    in_world = after.to_world(after.foot_xy)
    places, known = torch.empty_like(in_world), torch.empty_like(after.stands)
    place, is_known = torch.zeros_like(in_world[0]), torch.zeros_like(after.stands[0])
    for step in reversed(range(len(in_world))):
        lands = after.stands[step]
        # What follows the end of an episode is of another.
        is_known = is_known & ~dones[step, :, None]
        places[step], known[step] = place, is_known & ~lands & before.is_valid[step, :, None]
        place = torch.where(lands[..., None], in_world[step], place)
        is_known = is_known | lands
    return Touchdowns(before.to_base(places), known)
