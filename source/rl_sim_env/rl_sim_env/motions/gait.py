"""Gaits as data: when each foot steps, and how the trunk moves with the steps.

Phase counts strides. A foot with offset ``o`` touches down at the phases ``o``, ``o + 1``, ...,
stands for the share ``duty`` of the stride and swings for the rest. Phase relations and duty
factors follow Hildebrand, "Symmetrical gaits of horses", Science 150 (1965), and Alexander, "The
gaits of bipedal and quadrupedal animals", International Journal of Robotics Research 3 (1984).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

ScalarOrArray = TypeVar("ScalarOrArray", float, np.ndarray)


@dataclass(frozen=True, kw_only=True)
class Range:
    """A value that goes linearly with speed, from standing still to the gait's top speed."""

    slow: float
    """Value at standstill."""

    fast: float
    """Value at the top speed."""

    def at(self, fraction: ScalarOrArray) -> ScalarOrArray:
        """Value at a fraction, in [0, 1], of the top speed."""
        return self.slow + (self.fast - self.slow) * fraction


@dataclass(frozen=True, kw_only=True)
class Gait:
    """One way of stepping. Amplitudes are half the peak-to-peak excursion."""

    name: str
    """Name of the gait."""

    offsets: tuple[float, float, float, float]
    """Phase of touchdown of FL, FR, RL, RR [strides], in [0, 1). One foot has 0."""

    top_speed: float
    """Speed at which the ranges reach their ``fast`` end [m/s]."""

    frequency: Range
    """Strides per second [Hz]."""

    duty: Range
    """Share of the stride that a foot stands, in (0, 1)."""

    swing_height: float
    """Lift of the foot at mid-swing [m]."""

    crouch: float
    """Mean height of the trunk below its standing height [m]."""

    spread: float = 0.0
    """Sideways shift of the footholds, outwards from where they are in the standing pose [m]."""

    beat_phase: float = 0.25
    """Phase of mid-stance of the feet with offset 0 [strides]; half a stride on, the others'."""

    bob: float = 0.0
    """Amplitude of the trunk's height, twice a stride, lowest at ``beat_phase`` [m]."""

    pitch: float = 0.0
    """Amplitude of the trunk's pitch, twice a stride, per forward speed [rad s/m]: nose down while
    the trunk is behind the feet that carry it, nose up once it has passed them."""

    sway_phase: float = 0.0
    """Phase at which the trunk is furthest to the left [strides]."""

    sway: float = 0.0
    """Amplitude of the trunk's sideways motion, once a stride [m]."""

    roll: float = 0.0
    """Amplitude of the trunk's roll, once a stride, most to the right at ``sway_phase`` [rad]."""


TROT = Gait(
    name="trot",
    offsets=(0.0, 0.5, 0.5, 0.0),
    top_speed=1.5,
    frequency=Range(slow=1.8, fast=2.5),
    duty=Range(slow=0.6, fast=0.5),
    swing_height=0.07,
    crouch=0.015,
    bob=0.004,
    pitch=0.02,
)
"""Diagonal pairs; the pairs overlap in stance at low speed and take turns at the top speed."""

WALK = Gait(
    name="walk",
    offsets=(0.25, 0.75, 0.0, 0.5),
    top_speed=0.6,
    frequency=Range(slow=0.8, fast=1.2),
    duty=Range(slow=0.8, fast=0.7),
    swing_height=0.06,
    crouch=0.015,
    spread=-0.03,
    beat_phase=0.0,
    bob=0.003,
    sway_phase=0.5,
    sway=0.035,
    roll=0.01,
)
"""Four beats in lateral sequence, RL, FL, RR, FR; the trunk sways away from the swinging side."""

PACE = Gait(
    name="pace",
    offsets=(0.0, 0.5, 0.0, 0.5),
    top_speed=1.2,
    frequency=Range(slow=2.2, fast=2.5),
    duty=Range(slow=0.65, fast=0.6),
    swing_height=0.06,
    crouch=0.015,
    spread=-0.1,
    beat_phase=0.31,
    bob=0.004,
    sway_phase=0.31,
    sway=0.01,
)
"""Lateral pairs, feet set narrow; the trunk sways over the pair that stands."""
