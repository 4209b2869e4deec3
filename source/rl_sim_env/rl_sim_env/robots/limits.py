"""What a robot should not do, as numbers: one definition for rewards, costs and the report."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from rl_sim_env.errors import UserError

_ENFORCED = ("torque", "thermal")
"""Shares of what the drive itself does not go beyond: at 1 or above they could not be violated."""


@dataclass(kw_only=True, frozen=True)
class Limits:
    """Where the constraints of a robot begin to be violated.

    They are those of the hardware, by which the report judges; training keeps within a share of
    them, ``ConstraintsCfg.factor``. What nothing can exceed constrains nothing: drives cut torques,
    so that the limit lies inside, but nothing keeps a joint from being driven beyond the no-load
    speed, or onto its stop.

    Raises:
        UserError: A limit can never be violated, or always is.
    """

    torque: float = 0.95
    """Torque of a joint, as a share of its drive's ``effort_limit``."""

    speed: float = 1.0
    """Speed of a joint, as a share of its drive's no-load speed ``velocity_limit``."""

    position: float = 1.0
    """How far a joint may be from the middle of its range, as a share of half the range: at 1 it
    may touch its stop, and not press into it."""

    thermal: float = 0.3
    """Root of the mean squared torque, as a share of ``effort_limit``."""

    contact: float = 1.0
    """Force between ground and thigh, calf, trunk or load [N]."""

    slip: float = 0.5
    """Horizontal speed of the lowest point of a foot that carries, for a control step [m/s]."""

    impact: float = 2.5
    """Force between ground and one foot, as a multiple of the weight of robot without load."""

    tilt: float = 0.6
    """Angle between trunk and vertical [rad]."""

    target_rate: float = 2.0
    """Rate of a joint's target, as a multiple of the drive's no-load speed."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0.0 < value < math.inf:
                raise UserError(f"limits: {field.name} is {value}; it must be above 0")
            if field.name in _ENFORCED and value >= 1.0:
                raise UserError(
                    f"limits: {field.name} is {value:g} of what the drive itself gives, so that it "
                    "can never be violated; it must be below 1"
                )
        if self.position > 1.0:
            raise UserError(
                f"limits: position is {self.position:g} of a range that stops end; it must be at "
                "most 1"
            )
        if self.tilt >= math.pi:
            raise UserError(f"limits: tilt is {self.tilt:g} rad; nothing tilts beyond pi")
