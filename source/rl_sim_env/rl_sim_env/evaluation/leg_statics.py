"""Mass and centre of mass without learning: out of what the drives hold up."""

from __future__ import annotations

import torch

from rl_sim_env.conventions import GRAVITY
from rl_sim_env.evaluation.leg_model import LegModel, PlacedLegs, Sensed

FORGETTING = 2.0
"""Time that forces are averaged over [s]: the weight of a walking robot swings with its stride."""

PRIOR_TIME = 0.2
"""What the nominal robot counts for as an episode begins, as a time that it was measured [s]."""


class StaticLoad:
    """Follows mass and centre of mass of walking robots from step to step.

    Torques and weights of the links on each leg leave the force at its foot: tau + J' f + g = 0, J
    of the point where the sphere touches. Inertia, friction of the joints and the slope of the
    ground are left out.

    What the ground presses with is averaged over time, so that accelerations cancel. The mean
    force along gravity is the weight. The mean moment M = c x F of the mean force F says where the
    centre of mass c is, but for its height, along F, which stays that of the nominal robot.

    Args:
        legs: What feet press with.
        num_robots: Number of robots N.
        step_dt: Time between two calls [s].
        device: Where the tensors live.
    """

    NAME = "forces under the feet"

    METHOD = (
        f"{NAME}: what sensed torques say by the legs' Jacobians, as if the robot "
        f"stood still, averaged over the last {FORGETTING:g} s"
    )
    """What it does, in words."""

    def __init__(self, legs: LegModel, num_robots: int, step_dt: float, device: str) -> None:
        self._legs = legs
        self._share = step_dt / FORGETTING
        self._first = PRIOR_TIME / step_dt
        self._count = torch.zeros(num_robots, 1, device=device)
        self._weight = torch.zeros(num_robots, 1, device=device)
        self._force, self._moment = torch.zeros(2, num_robots, 3, device=device)

    def begin(self, episodes: torch.Tensor) -> None:
        """Forget what was before, where episodes begin; shape (N,), bool."""
        self._count.masked_fill_(episodes[:, None], 0.0)

    def update(self, sensed: Sensed, placed: PlacedLegs) -> tuple[torch.Tensor, torch.Tensor]:
        """Take in a step, with the legs where they are sensed.

        Returns:
            Mass above that of the robot without load [kg], shape (N, 1), and centre of mass, base
            frame [m], shape (N, 3).
        """
        legs, down = self._legs, sensed.down
        held = -(legs.of_legs(sensed.torques) + legs.weights(placed, GRAVITY * down))
        force, moment = legs.wrench(placed, held)[1].split(3, dim=-1)
        # The nominal robot counts for the first few steps.
        nominal = -GRAVITY * legs.mass * down
        of_nominal = torch.linalg.cross(legs.com.expand_as(nominal), nominal)
        is_first = self._count == 0.0
        share = torch.clamp(1.0 / (self._first + self._count + 1.0), min=self._share)
        for mean, now, prior in (
            (self._weight, -(force * down).sum(dim=-1, keepdim=True), GRAVITY * legs.mass),
            (self._force, force, nominal),
            (self._moment, moment, of_nominal),
        ):
            mean.copy_(torch.where(is_first, prior, mean))
            mean.lerp_(now, share)
        self._count += 1.0
        along = torch.nn.functional.normalize(self._force, dim=-1)
        across = torch.linalg.cross(self._force, self._moment)
        com = across / self._force.square().sum(dim=-1, keepdim=True)
        com = com + along * (along * legs.com).sum(dim=-1, keepdim=True)
        return self._weight / GRAVITY - legs.mass, com
