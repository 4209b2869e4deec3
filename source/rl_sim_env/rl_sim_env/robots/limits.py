"""What a robot should not do, as numbers: one definition for rewards, costs and the report."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from rl_sim_env.errors import UserError

_ENFORCED = ("torque", "speed", "position", "thermal")
"""Shares of what the drive or the joint itself does not go beyond: at 1 or above they could not be
violated, or by numerical softness alone."""


@dataclass(kw_only=True, frozen=True)
class Limits:
    """Where the constraints of a robot begin to be violated.

    Every limit lies inside of what drives and joints allow: what nothing can exceed constrains
    nothing.

    Raises:
        UserError: A limit can never be violated, or always is.
    """

    torque: float = 0.85
    """Torque of a joint, as a share of its drive's ``effort_limit``."""

    speed: float = 0.9
    """Speed of a joint, as a share of its drive's no-load speed ``velocity_limit``."""

    position: float = 0.95
    """How far a joint may be from the middle of its range, as a share of half the range."""

    thermal: float = 0.3
    """Root of the mean squared torque, as a share of ``effort_limit``."""

    contact: float = 1.0
    """Force between ground and thigh, calf, trunk or load [N]."""

    slip: float = 0.5
    """Horizontal speed of the centre of a foot that carries, rolling included [m/s]."""

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
                    f"limits: {field.name} is {value:g} of what the drive or joint itself allows, "
                    "so that it can never be violated; it must be below 1"
                )
        if self.tilt >= math.pi:
            raise UserError(f"limits: tilt is {self.tilt:g} rad; nothing tilts beyond pi")
