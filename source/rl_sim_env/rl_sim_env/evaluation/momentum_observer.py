"""Mass and centre of mass without learning: a momentum observer with a Kalman filter."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.linalg import cross

from rl_sim_env.conventions import GRAVITY
from rl_sim_env.evaluation.leg_model import LegModel, PlacedLegs, Sensed, outboard

BASE_GAIN = 10.0
"""Gain of the observer of the base [1/s]: how fast it follows a force. That of the joints follows
from step to step: through a leg that has moved on, a force that comes late is another."""

FORCE_NOISE, MOMENT_NOISE = 100.0, 25.0
"""Standard deviations that the filter takes the observed wrench to have in a step [N, N m]: what a
stride does that the model does not know, and the noise of the sensors."""

MASS_DRIFT, OFFSET_DRIFT = 0.4, 0.08
"""By how much it takes the load's mass and its first moment to wander in a second, standard
deviations [kg, kg m]."""

PRIOR_MASS, PRIOR_OFFSET = 6.0, 4.0
"""The load as an episode begins is none, within these of mass and first moment [kg, kg m]."""

FORETOLD = 1.0
"""What the base's velocity counts for that forces foretell, beside what feet say, each as much as
the square of its share of the robot's weight: joint rates are noisy."""


class MomentumLoad:
    """Follows mass and centre of mass of walking robots from step to step.

    A generalised-momentum observer (De Luca and Mattone, ICRA 2005; on legs Bledt et al., IROS
    2018) compares momenta with what known forces would have made of them; what is missing is an
    outer force, and follows by a gain. That of the joints says what feet are pressed with. With
    these known, that of the base is what the load does. A Kalman filter reads it as the weight of a
    mass m with the first moment s about the origin of the base, m (g - w x v) and s x (g - w x v)
    in a robot that turns w and moves v steadily, and lets m and s wander.

    Feet that carry stand still: with forces, they tell how fast the base moves. Left out are
    friction of the joints, all else that the load's inertia does, and its height, which is that of
    the origin: on ground whose slope is not known, tilts of the base do not tell it.

    Args:
        legs: The robot without load.
        num_robots: Number of robots N.
        step_dt: Time between two calls [s].
        device: Where the tensors live.
    """

    NAME = "momentum observer with a Kalman filter"

    METHOD = (
        f"{NAME}: what acts on legs and base beyond torques and weights, by their momenta, that of "
        f"the base followed at {BASE_GAIN:g} a second, the base as fast as feet that carry say, "
        f"taken for the weight of a load, with a noise of {FORCE_NOISE:g} N and {MOMENT_NOISE:g} "
        f"N m in a step, that wanders by {MASS_DRIFT:g} kg and {OFFSET_DRIFT:g} kg m in a second"
    )
    """What it does, in words."""

    def __init__(self, legs: LegModel, num_robots: int, step_dt: float, device: str) -> None:
        self._legs, self._step_dt = legs, step_dt
        self._begins = torch.ones(num_robots, dtype=torch.bool, device=device)
        self._velocity = torch.zeros(num_robots, 3, device=device)
        self._carried = torch.zeros(num_robots, len(legs.armature), device=device)
        self._of_joints = _Observer(1.0 / step_dt, step_dt)
        self._of_base = _Observer(BASE_GAIN, step_dt)
        self._load = _LoadFilter(num_robots, step_dt, device)

    def begin(self, episodes: torch.Tensor) -> None:
        """Forget what was before, where episodes begin; shape (N,), bool."""
        self._begins |= episodes

    def update(self, sensed: Sensed, placed: PlacedLegs) -> tuple[torch.Tensor, torch.Tensor]:
        """Take in a step, with the legs where they are sensed.

        Returns:
            Mass above that of the robot without load [kg], shape (N, 1), and centre of mass, base
            frame [m], shape (N, 3).
        """
        legs, gravity, begins = self._legs, GRAVITY * sensed.down, self._begins
        self._velocity.masked_fill_(begins[:, None], 0.0)
        self._carried.masked_fill_(begins[:, None], 0.0)
        joint_vel = legs.of_legs(sensed.joint_vel)
        twists = Twists.of(placed, joint_vel, sensed.ang_vel)
        velocity = self._follow_base(twists, placed)
        of = Momenta.of(legs, placed, twists.carried_by(velocity), joint_vel)
        held = self._of_joints(
            of.joints,
            of.joint_rates + legs.of_legs(sensed.torques) + legs.weights(placed, gravity),
            begins,
        )
        feet, pressed = legs.wrench(placed, held)
        first_moment = legs.first_moment(placed)
        weight = torch.cat((legs.mass * gravity, cross(first_moment, gravity)), dim=-1)
        wrench = self._of_base(of.base, of.base_rates + pressed + weight, begins)
        felt = gravity - cross(sensed.ang_vel, velocity)
        mass, offset = self._load(wrench, felt, begins).split((1, 2), dim=-1)
        self._begins.zero_()
        # Forces may be anything, masses not.
        whole = (legs.mass + mass).clamp(min=0.5 * legs.mass)
        self._carried = -(feet * sensed.down[:, None]).sum(dim=-1).clamp(max=0.0) / (
            GRAVITY * whole
        )
        self._velocity = velocity + self._step_dt * (pressed[:, :3] / whole + felt)
        first_moment[:, :2] += offset
        return mass, first_moment / whole

    def _follow_base(self, twists: Twists, placed: PlacedLegs) -> torch.Tensor:
        """Velocity of the origin of the base, in its frame [m/s]: feet that carry stand still."""
        moves = twists.sliding[:, :, 2] + cross(twists.turning[:, :, 2], placed.touching)
        carries = self._carried.square()
        said = FORETOLD * self._velocity - (carries[..., None] * moves).sum(dim=1)
        return said / (FORETOLD + carries.sum(dim=1, keepdim=True))


@dataclass(frozen=True, kw_only=True)
class Twists:
    """How base and links move: velocity at x is ``sliding + turning x x``, base coordinates."""

    turning: torch.Tensor
    """Angular velocities of links [rad/s], shape (N, legs, 3, 3)."""

    sliding: torch.Tensor
    """Velocities at the origin of the base [m/s], the same shape."""

    base_turning: torch.Tensor
    base_sliding: torch.Tensor
    """The same of the base, shape (N, 3)."""

    @staticmethod
    def of(placed: PlacedLegs, joint_vel: torch.Tensor, ang_vel: torch.Tensor) -> Twists:
        """For joint rates [rad/s], (N, legs, 3), of a base whose origin does not move."""
        spin = placed.axes * joint_vel[..., None]
        return Twists(
            turning=ang_vel[:, None, None] + spin.cumsum(dim=2),
            sliding=-cross(spin, placed.anchors).cumsum(dim=2),
            base_turning=ang_vel,
            base_sliding=torch.zeros_like(ang_vel),
        )

    def carried_by(self, velocity: torch.Tensor) -> Twists:
        """The same, of a base whose origin moves [m/s], shape (N, 3)."""
        return Twists(
            turning=self.turning,
            sliding=self.sliding + velocity[:, None, None],
            base_turning=self.base_turning,
            base_sliding=self.base_sliding + velocity,
        )


@dataclass(frozen=True, kw_only=True)
class Momenta:
    """Generalised momenta, and how they change by motion alone: what is to be added is forces."""

    joints: torch.Tensor
    """About the joints [N m s], shape (N, legs, 3)."""

    joint_rates: torch.Tensor
    """Their rates but for what forces do [N m]."""

    base: torch.Tensor
    """Linear [N s] and, about the origin of the base, angular [N m s], base frame, (N, 6)."""

    base_rates: torch.Tensor
    """Their rates in this frame but for what forces do [N, N m]."""

    @staticmethod
    def of(legs: LegModel, placed: PlacedLegs, twists: Twists, joint_vel: torch.Tensor) -> Momenta:
        """Of the robot without load; joint rates [rad/s] are leg by joint, (N, legs, 3)."""
        turning, sliding = twists.turning, twists.sliding
        linear, angular = _momentum(legs.link_mass, placed.points, sliding, turning)
        out_linear, out_angular = outboard(linear), outboard(angular)
        anchors, axes = placed.anchors, placed.axes
        about_anchor = out_angular - cross(anchors, out_linear)
        anchor_moves = sliding + cross(turning, anchors)
        joints = (axes * about_anchor).sum(dim=-1) + legs.armature * joint_vel
        # The axis turns, and the point that the momentum is about moves.
        rates = cross(turning, axes) * about_anchor - axes * cross(anchor_moves, out_linear)
        v, w = twists.base_sliding, twists.base_turning
        of_trunk = _momentum(legs.trunk_mass, legs.trunk.expand(len(v), -1, -1), v, w)
        whole, about = (
            own + of_links.sum(dim=(1, 2))
            for own, of_links in zip(of_trunk, (linear, angular), strict=True)
        )
        return Momenta(
            joints=joints,
            joint_rates=rates.sum(dim=-1),
            base=torch.cat((whole, about), dim=-1),
            base_rates=-torch.cat((cross(w, whole), cross(w, about) + cross(v, whole)), dim=-1),
        )


def _momentum(
    mass: torch.Tensor, points: torch.Tensor, sliding: torch.Tensor, turning: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Linear and angular momentum of points (..., points, 3) of bodies with twists (..., 3)."""
    each = mass * (sliding[..., None, :] + cross(turning[..., None, :].expand_as(points), points))
    return each.sum(dim=-2), cross(points, each).sum(dim=-2)


class _Observer:
    """What changes momenta beyond what is known, through a first-order filter.

    Args:
        gain: How fast it follows [1/s].
        step_dt: Time between two calls [s].
    """

    def __init__(self, gain: float, step_dt: float) -> None:
        self._gain, self._step_dt = gain, step_dt
        self._foretold: torch.Tensor | None = None

    def __call__(
        self, momenta: torch.Tensor, known: torch.Tensor, begins: torch.Tensor
    ) -> torch.Tensor:
        """Take in momenta and their known rates, shape (N, ...); nothing where episodes begin."""
        begins = begins.view(-1, *[1] * (momenta.ndim - 1))
        # What is known now is taken for the step that led here: late it would meet other levers.
        foretold = momenta if self._foretold is None else self._foretold + self._step_dt * known
        foretold = torch.where(begins, momenta, foretold)
        beyond = self._gain * (momenta - foretold)
        self._foretold = foretold + self._step_dt * beyond
        return beyond


class _LoadFilter:
    """Kalman filter of a load: its mass [kg], and first moments forward and to the left [kg m]."""

    def __init__(self, num_robots: int, step_dt: float, device: str) -> None:
        def variances(*deviations: float) -> torch.Tensor:
            return torch.tensor(deviations, device=device).square().diag()

        self._load = torch.zeros(num_robots, 3, device=device)
        self._prior = variances(PRIOR_MASS, PRIOR_OFFSET, PRIOR_OFFSET)
        self._covariance = self._prior.expand(num_robots, 3, 3)
        self._drift = step_dt * variances(MASS_DRIFT, OFFSET_DRIFT, OFFSET_DRIFT)
        self._noise = variances(*[FORCE_NOISE] * 3, *[MOMENT_NOISE] * 3)
        self._axes = torch.eye(3, device=device)[:2]

    def __call__(
        self, wrench: torch.Tensor, felt: torch.Tensor, begins: torch.Tensor
    ) -> torch.Tensor:
        """Take in a step.

        Args:
            wrench: What the load does [N, N m], shape (N, 6).
            felt: Gravity as a robot feels it that turns [m/s^2], shape (N, 3).
            begins: Whose episodes begin, shape (N,), bool.

        Returns:
            The load, shape (N, 3).
        """
        load = torch.where(begins[:, None], 0.0, self._load)
        covariance = torch.where(begins[:, None, None], self._prior, self._covariance + self._drift)
        reads = wrench.new_zeros(len(wrench), 6, 3)
        reads[:, :3, 0] = felt
        across = felt[:, None].expand(-1, 2, -1)
        reads[:, 3:, 1:] = cross(self._axes.expand_as(across), across).mT
        spread = reads @ covariance @ reads.mT + self._noise
        gain = torch.linalg.solve(spread, reads @ covariance).mT
        wrong = wrench[..., None] - reads @ load[..., None]
        self._load = load + (gain @ wrong).squeeze(-1)
        self._covariance = covariance - gain @ reads @ covariance
        return self._load
