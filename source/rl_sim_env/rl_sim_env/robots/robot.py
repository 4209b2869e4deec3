"""A quadruped as data: its parts by name, how its joints are driven, and what it carries.

Everything else asks this description: no other module knows a robot's names, the order of its legs
or the size of its motors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from rl_sim_env.errors import UserError
from rl_sim_env.robots.limits import Limits

Side = Literal["left", "right"]
End = Literal["front", "rear"]
BoomMode = Literal["locked", "viscous"]
"""How a boom is held: where it was drawn, or only damped."""

JOINT_KINDS = ("hip", "thigh", "calf")
"""Joints of a leg, from the trunk to the foot: abduction, flexion, knee."""

NUM_LEGS = 4
"""One on each side of each end."""

DRIVE_FIELDS = ("stiffness", "damping", "effort_limit", "velocity_limit", "stall_torque")
"""Gains and limits that every :class:`Drive` has."""

MAY_BE_ZERO = ("damping", "armature")
"""Fields of a :class:`Drive` that may be 0; the others must be above it."""


@dataclass(kw_only=True, frozen=True)
class Leg:
    """Names of the parts of one leg."""

    name: str
    """What tables and messages call the leg, such as ``FL``."""

    side: Side
    """On which side of the trunk it is."""

    end: End
    """At which end of the trunk it is."""

    hip_joint: str
    """Joint at the trunk, which swings the leg sideways."""

    thigh_joint: str
    """Joint that swings the leg forwards and backwards."""

    calf_joint: str
    """Knee."""

    thigh_body: str
    """Body between thigh and calf joint."""

    calf_body: str
    """Body below the calf joint."""

    foot_body: str
    """Body of the foot. Where the model has no body of this name, the foot's geom is given one, so
    that what the foot touches is told apart from what the calf touches."""

    foot_site: str
    """Site at the centre of the contact sphere; made where the model has none."""

    foot_geom: str
    """Sphere that touches the ground."""

    @classmethod
    def at_corner(cls, corner: str, *, foot_site: str, foot_geom: str) -> Leg:
        """A leg whose other parts are named after its corner, as in the models of Unitree.

        Args:
            corner: FL, FR, RL or RR, which is the leg's name, too.
            foot_site: See above.
            foot_geom: See above.
        """
        return cls(
            name=corner,
            side="left" if corner[1] == "L" else "right",
            end="front" if corner[0] == "F" else "rear",
            hip_joint=f"{corner}_hip_joint",
            thigh_joint=f"{corner}_thigh_joint",
            calf_joint=f"{corner}_calf_joint",
            thigh_body=f"{corner}_thigh",
            calf_body=f"{corner}_calf",
            foot_body=f"{corner}_foot",
            foot_site=foot_site,
            foot_geom=foot_geom,
        )

    @property
    def corner(self) -> str:
        """Where it is, as motion files have it: FL, FR, RL or RR."""
        return self.end[0].upper() + self.side[0].upper()

    @property
    def joints(self) -> tuple[str, str, str]:
        """Hip, thigh and calf joint."""
        return self.hip_joint, self.thigh_joint, self.calf_joint


def joint_columns(legs: Sequence[Leg], joint_names: Sequence[str]) -> np.ndarray:
    """Where in ``joint_names`` hip, thigh and calf of each leg stand. Shape (num_legs, 3)."""
    return np.array([[joint_names.index(joint) for joint in leg.joints] for leg in legs])


@dataclass(kw_only=True)
class Drive:
    """PD-controlled motor of one joint, with a linear torque-speed curve."""

    stiffness: float
    """Position gain [N m/rad]; > 0."""

    damping: float
    """Velocity gain [N m s/rad]; >= 0."""

    effort_limit: float
    """Largest torque [N m]; > 0."""

    velocity_limit: float
    """No-load speed, where the torque-speed line meets zero torque [rad/s]; > 0."""

    stall_torque: float
    """Where the torque-speed line meets zero speed [N m]; at least ``effort_limit``, which cuts
    it."""

    armature: float | None = None
    """Inertia of the rotor behind its gear [kg m^2]; >= 0. None: as in the model."""

    def __post_init__(self) -> None:
        for name in (*DRIVE_FIELDS, "armature"):
            value = getattr(self, name)
            if value is not None and not is_drive_value(name, value):
                demand = "not be negative" if name in MAY_BE_ZERO else "be above 0"
                raise UserError(f"drive: {name} is {value}; it must {demand}")
        if self.stall_torque < self.effort_limit:
            raise UserError(
                f"drive: stall_torque {self.stall_torque:g} is below effort_limit "
                f"{self.effort_limit:g} [N m]; a motor gives no more than at standstill"
            )


def is_drive_value(name: str, value: float) -> bool:
    """Whether a number is one that the field of a :class:`Drive` may have."""
    return value >= 0.0 if name in MAY_BE_ZERO else value > 0.0


def torque_limits(
    drives: Mapping[str, np.ndarray], speed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest torque that drives give at a speed.

    Args:
        drives: ``effort_limit``, ``stall_torque`` [N m] and ``velocity_limit`` [rad/s], each of
            shape (J,); see :meth:`Robot.drive_arrays`.
        speed: Joint speeds [rad/s]. Shape (..., J).

    Returns:
        Torques [N m], shape (..., J) each.
    """
    effort, stall = drives["effort_limit"], drives["stall_torque"]
    share = speed / drives["velocity_limit"]
    lowest = np.clip(-stall * (1.0 + share), -effort, effort)
    highest = np.clip(stall * (1.0 - share), -effort, effort)
    return lowest, highest


@dataclass(kw_only=True, frozen=True)
class Boom:
    """A swivelling boom, from whose end a load hangs."""

    body: str
    """Body at the end of the boom, whose mass grows by the load."""

    max_load: float
    """Heaviest load in training [kg]; > 0."""

    angle_joint: str
    """Hinge that swivels the boom about the vertical."""

    length_joint: str
    """Slide that sets the radius at which the load hangs."""

    default_length: float
    """Length in the default pose [m]."""

    length_range: tuple[float, float]
    """Lengths that training draws from [m]."""

    stiffness: tuple[float, float]
    """Servo gains of a locked boom: angle [N m/rad], length [N/m]."""

    damping: tuple[float, float]
    """Servo damping of a locked boom: angle [N m s/rad], length [N s/m]."""

    viscous_damping: float
    """Damping of a viscous boom, which nothing holds in place [N m s/rad, N s/m]."""

    mode: BoomMode = "locked"
    """``locked`` holds the boom where it was drawn; ``viscous`` only damps it, so that it drifts
    under gravity."""

    @property
    def joints(self) -> tuple[str, str]:
        """Angle and length joint."""
        return self.angle_joint, self.length_joint


@dataclass(kw_only=True, frozen=True)
class TrunkBox:
    """A box on the trunk: a tray of known mass, and in it a load whose mass and place are drawn."""

    body: str
    """Name of the tray's body, which is added to the model; its mass grows by the load."""

    max_load: float
    """Heaviest load in training [kg]; > 0."""

    position: tuple[float, float, float]
    """Centre of the box in the base frame [m]."""

    half_size: tuple[float, float, float]
    """Half the box's length, width and height [m]; > 0. It is solid: it may touch the ground."""

    tray_mass: float
    """Mass of the empty box [kg]; > 0."""

    place_range: tuple[float, float]
    """How far the centre of mass of tray and load may be drawn from the box's centre, forward or
    backward and to the left or right [m]; >= 0."""


Payload = Boom | TrunkBox


@dataclass(kw_only=True, frozen=True)
class Robot:
    """A quadruped.

    Raises:
        UserError: On construction, if the description contradicts itself; the message names where.
    """

    name: str
    """What folders and messages call the robot."""

    mjcf_path: Path
    """Its model: an MJCF or URDF, of which bodies with their geoms, sites and joints count; see
    :func:`rl_sim_env.robots.model.load_model`."""

    base_body: str
    """Trunk body, which carries the free joint."""

    legs: tuple[Leg, ...]
    """Legs, in the order of all values that there is one of for each foot."""

    leg_joints: tuple[str, ...]
    """Driven joints: those of the legs, in the order of actions, observations and joint vectors."""

    default_pose: Mapping[str, float]
    """Standing pose by leg joint [rad]: what actions are offsets from."""

    drives: Mapping[str, Drive]
    """What drives each leg joint."""

    spawn_height: float
    """Height of the base at spawn, above the ground [m]: feet hang a little above it."""

    payload: Payload | None = None
    """How it carries; None: it carries nothing."""

    max_command_delay: float = 0.015
    """Longest delay from the policy's target to the joint controller [s]; >= 0."""

    soft_joint_limit_factor: float = 0.9
    """Share of each joint's range that counts as comfortable, in (0, 1]."""

    foot_friction: float = 1.0
    """Sliding friction of the feet where nothing randomises it; > 0."""

    limits: Limits = field(default_factory=Limits)
    """What it should not do: rewards, costs and the report judge by it."""

    def __post_init__(self) -> None:
        where = f"robot {self.name}"
        joints = [joint for leg in self.legs for joint in leg.joints]
        if sorted(joints) != sorted(self.leg_joints):
            odd = sorted({*joints} ^ {*self.leg_joints}) or sorted(joints)
            raise UserError(
                f"{where}: leg_joints must list each joint of its legs once; look at "
                f"{', '.join(odd)}"
            )
        for what, values in (("default_pose", self.default_pose), ("drives", self.drives)):
            if odd := {*values} ^ {*joints}:
                raise UserError(
                    f"{where}: {what} must have each leg joint and nothing else; look at "
                    f"{', '.join(sorted(odd))}"
                )
        parts: dict[str, Sequence[str]] = {
            "joint": joints,
            "body": [
                body for leg in self.legs for body in (leg.thigh_body, leg.calf_body, leg.foot_body)
            ],
            "site": self.feet,
            "geom": self.foot_geoms,
        }
        for kind, names in parts.items():
            if shared := sorted({name for name in names if names.count(name) > 1}):
                raise UserError(
                    f"{where}: {kind} {', '.join(shared)} is more than one part of its legs"
                )
        corners = [(leg.side, leg.end) for leg in self.legs]
        for leg in self.legs:
            opposite = ("right" if leg.side == "left" else "left", leg.end)
            if corners.count((leg.side, leg.end)) != 1 or corners.count(opposite) != 1:
                raise UserError(
                    f"{where}: leg {leg.name} is {leg.side} {leg.end}; there must be one leg on "
                    "each side of each end"
                )
        if len(self.legs) != NUM_LEGS:
            raise UserError(
                f"{where}: its legs are {', '.join(leg.name for leg in self.legs)}; there must be "
                "one leg on each side of each end"
            )

    # Parts by name, one for each leg.

    @property
    def feet(self) -> tuple[str, ...]:
        """Sites at the centres of the feet."""
        return tuple(leg.foot_site for leg in self.legs)

    @property
    def foot_geoms(self) -> tuple[str, ...]:
        """Contact spheres of the feet."""
        return tuple(leg.foot_geom for leg in self.legs)

    @property
    def links(self) -> tuple[str, ...]:
        """Thighs and calves, which should not touch the ground."""
        return (*(leg.thigh_body for leg in self.legs), *(leg.calf_body for leg in self.legs))

    @property
    def untouchable(self) -> tuple[str, ...]:
        """Bodies whose contact with the ground is a fall: the trunk and what carries the load."""
        return (self.base_body,) if self.payload is None else (self.base_body, self.payload.body)

    @property
    def max_load(self) -> float:
        """Heaviest load in training [kg]; 0 where it carries nothing."""
        return 0.0 if self.payload is None else self.payload.max_load

    # Symmetry.

    @property
    def mirror_legs(self) -> tuple[int, ...]:
        """Of each leg the one on the other side of the same end, by index."""
        return self._across(same_end=True)

    @property
    def diagonal_legs(self) -> tuple[int, ...]:
        """Of each leg the one on the other side of the other end, by index."""
        return self._across(same_end=False)

    @property
    def mirror_joints(self) -> tuple[int, ...]:
        """Of each leg joint its counterpart on the other side, by index in ``leg_joints``."""
        counterpart = {
            joint: other
            for leg, mirror in zip(self.legs, self.mirror_legs, strict=True)
            for joint, other in zip(leg.joints, self.legs[mirror].joints, strict=True)
        }
        return tuple(self.leg_joints.index(counterpart[joint]) for joint in self.leg_joints)

    def _across(self, *, same_end: bool) -> tuple[int, ...]:
        return tuple(
            next(
                index
                for index, other in enumerate(self.legs)
                if other.side != leg.side and (other.end == leg.end) is same_end
            )
            for leg in self.legs
        )

    # Values by joint, in the order of ``leg_joints``.

    @property
    def default_joint_pos(self) -> np.ndarray:
        """Standing pose [rad]. Shape (num_joints,)."""
        return np.array([self.default_pose[joint] for joint in self.leg_joints])

    def drive_arrays(self) -> dict[str, np.ndarray]:
        """Gains and limits by name, as in :class:`Drive`, of shape (num_joints,) each."""
        return {
            name: np.array([getattr(self.drives[joint], name) for joint in self.leg_joints])
            for name in DRIVE_FIELDS
        }

    # Variants.

    def with_model(self, mjcf_path: Path | str) -> Robot:
        """The same robot from another model file, which has the same parts."""
        return replace(self, mjcf_path=Path(mjcf_path))

    def with_boom_mode(self, mode: BoomMode) -> Robot:
        """The same robot with its boom held in another way.

        Raises:
            UserError: It has no boom, or there is no such way.
        """
        if mode not in ("locked", "viscous"):
            raise UserError(f"arm '{mode}'; there are locked, viscous")
        if not isinstance(self.payload, Boom):
            raise UserError(f"arm '{mode}': robot {self.name} has no boom")
        return replace(self, payload=replace(self.payload, mode=mode))
