"""Gaits as data: when each foot steps, and how the trunk moves with the steps.

Phase counts strides. A foot touches down at its own phase of every stride, stands for the share
``duty`` of the stride and swings for the rest. Phase relations and duty factors follow Hildebrand,
"Symmetrical gaits of horses", Science 150 (1965), and Alexander, "The gaits of bipedal and
quadrupedal animals", International Journal of Robotics Research 3 (1984).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from rl_sim_env.conventions import REFERENCE_LEG_LENGTH
from rl_sim_env.robots.robot import End, Side

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

    def scaled(self, factor: float) -> Range:
        """Both ends times a factor."""
        return Range(slow=factor * self.slow, fast=factor * self.fast)


@dataclass(frozen=True, kw_only=True)
class Touchdowns:
    """Phase of the touchdown of each foot [strides], in [0, 1). One foot has 0."""

    front_left: float
    front_right: float
    rear_left: float
    rear_right: float

    def of(self, side: Side, end: End) -> float:
        """Phase of one foot."""
        return getattr(self, f"{end}_{side}")


@dataclass(frozen=True, kw_only=True)
class Gait:
    """One way of stepping. Amplitudes are half the peak-to-peak excursion."""

    name: str
    """Name of the gait."""

    touchdowns: Touchdowns
    """When each foot begins to stand."""

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

    def scaled(self, leg_length: float) -> Gait:
        """The same gait for legs of another length [m].

        Lengths grow with the leg and times with its square root, so that the Froude number of every
        phase is kept (Alexander, 1984).
        """
        length = leg_length / REFERENCE_LEG_LENGTH
        time = math.sqrt(length)
        return replace(
            self,
            top_speed=self.top_speed * length / time,
            frequency=self.frequency.scaled(1.0 / time),
            swing_height=self.swing_height * length,
            crouch=self.crouch * length,
            spread=self.spread * length,
            bob=self.bob * length,
            pitch=self.pitch * time / length,
            sway=self.sway * length,
        )


TROT = Gait(
    name="trot",
    touchdowns=Touchdowns(front_left=0.0, front_right=0.5, rear_left=0.5, rear_right=0.0),
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
    touchdowns=Touchdowns(front_left=0.25, front_right=0.75, rear_left=0.0, rear_right=0.5),
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
    touchdowns=Touchdowns(front_left=0.0, front_right=0.5, rear_left=0.0, rear_right=0.5),
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
