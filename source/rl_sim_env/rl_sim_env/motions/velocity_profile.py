"""From the velocities a clip goes through to its time line: path, stride phase, activity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rl_sim_env.errors import UserError
from rl_sim_env.motions.gait import Gait

FPS = 100
"""Frame rate of generated clips [1/s]; a multiple of the control rate, so that one-step pairs fall
on frames."""

SUBSTEPS = 10
"""Moments of the time line per frame, for the integration of the path."""

PADDING_STRIDES = 2
"""Strides before and after a cyclic clip, so that all footholds of the clip itself exist."""

SETTLE_STRIDES = 0.6
"""Strides still taken after the trunk has come to a halt, so that every foot ends in its place."""

FADE_STRIDES = 0.5
"""Strides in which the trunk's oscillation fades in and out when stepping starts and stops."""


@dataclass(frozen=True, kw_only=True)
class Velocity:
    """Planar velocity of the trunk, in its own heading."""

    x: float = 0.0
    """Forward [m/s]."""

    y: float = 0.0
    """To the left [m/s]."""

    yaw: float = 0.0
    """Turning rate, counter-clockwise [rad/s]."""


STANDSTILL = Velocity()


@dataclass(frozen=True, kw_only=True)
class ClipCfg:
    """One clip to generate."""

    name: str
    """Name of the clip."""

    gait: Gait
    """How it steps."""

    velocities: tuple[Velocity, ...]
    """Velocity profile: what to go through. A single one is held for ever and gives a cyclic clip.
    Otherwise they start and end at standstill, without steps, and move all the time in between."""

    hold: float = 0.5
    """How long each velocity is held [s]; at the end, time enough to settle."""

    blend: float = 0.8
    """How long a change of velocity takes, along a minimum-jerk curve [s]."""

    strides: int = 4
    """Length of a cyclic clip [strides]."""

    weight: float = 1.0
    """How often the clip is sampled, relative to the others."""

    def __post_init__(self) -> None:
        ends = {self.velocities[0], self.velocities[-1]}
        if len(self.velocities) > 1 and (ends != {STANDSTILL} or set(self.velocities) == ends):
            raise UserError(
                f"motion clip {self.name}: its velocities must be a single one, or start and end "
                "at standstill and move in between"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Timeline:
    """A clip before it has legs, at T evenly spaced moments around and within it."""

    time: np.ndarray
    """Seconds since the clip's first frame. Shape (T,)."""

    velocity: np.ndarray
    """Forward, leftward [m/s] and turning [rad/s] velocity. Shape (T, 3)."""

    path: np.ndarray
    """Trunk position x, y [m] and heading [rad] in the world. Shape (T, 3)."""

    acceleration: np.ndarray
    """Acceleration of the trunk in the world [m/s^2]. Shape (T, 2)."""

    speed_fraction: np.ndarray
    """How fast the ground passes under the feet, as a share of the gait's top speed. (T,)."""

    phase: np.ndarray
    """Strides taken. Shape (T,)."""

    activity: np.ndarray
    """0 while standing, 1 while stepping, smooth in between. Shape (T,)."""

    stepping: slice
    """Moments between the first lift-off and the last touchdown; empty for a standing clip."""

    frames: slice
    """Moments of the clip's frames, together with one frame before and one after them."""

    cyclic: bool
    """Whether the clip is a loop."""


def minimum_jerk(progress: np.ndarray) -> np.ndarray:
    """Smooth step from 0 to 1, at rest and free of acceleration at both ends.

    Flash and Hogan, "The coordination of arm movements", Journal of Neuroscience 5 (1985).
    """
    s = np.clip(progress, 0.0, 1.0)
    return s**3 * (10.0 - 15.0 * s + 6.0 * s**2)


def plan_timeline(cfg: ClipCfg, turning_radius: float) -> Timeline:
    """Lay out the time line of a clip.

    Args:
        cfg: The clip.
        turning_radius: Distance of the feet from the trunk's centre [m]; with the turning rate it
            says how fast the ground passes under the feet of a robot that turns.
    """
    return (
        _loop(cfg, turning_radius) if len(cfg.velocities) == 1 else _transient(cfg, turning_radius)
    )


def _loop(cfg: ClipCfg, turning_radius: float) -> Timeline:
    fraction = _speed_fraction(cfg, _velocity_at(cfg, np.zeros(1)), turning_radius)
    # A whole number of frames to the stride closes the loop exactly.
    stride_frames = round(FPS / cfg.gait.frequency.at(fraction)[0])
    padding = PADDING_STRIDES * stride_frames
    time, frames = _grid(cfg.strides * stride_frames, padding)
    velocity = _velocity_at(cfg, time)
    path, acceleration = _integrate_path(time, velocity)
    moves = fraction[0] > 0.0
    return Timeline(
        time=time,
        velocity=velocity,
        path=path,
        acceleration=acceleration,
        speed_fraction=np.full(len(time), fraction[0]),
        phase=time * FPS / stride_frames,
        activity=np.full(len(time), float(moves)),
        stepping=slice(None) if moves else slice(0),
        frames=frames,
        cyclic=True,
    )


def _transient(cfg: ClipCfg, turning_radius: float) -> Timeline:
    changes = len(cfg.velocities) - 1
    duration = (changes + 1) * cfg.hold + changes * cfg.blend
    settling = SETTLE_STRIDES / cfg.gait.frequency.slow
    if cfg.hold < settling:
        raise UserError(
            f"motion clip {cfg.name}: holds the last standstill for {cfg.hold:.2f} s, but takes "
            f"{settling:.2f} s to settle; set hold to no less"
        )
    time, frames = _grid(round(duration * FPS) + 1, 1)
    velocity = _velocity_at(cfg, time)
    path, acceleration = _integrate_path(time, velocity)
    fraction = _speed_fraction(cfg, velocity, turning_radius)
    frequency = cfg.gait.frequency.at(fraction)

    moving = np.flatnonzero(fraction)
    settled = time[moving[-1]] + settling
    # From the last moment of rest, where the first stance ends.
    stepping = slice(moving[0] - 1, int(np.searchsorted(time, settled)) + 1)
    rate = np.zeros(len(time))
    rate[stepping] = frequency[stepping]
    phase = _integral(time, rate)
    # The feet with offset 0 lift as soon as stepping starts.
    phase += cfg.gait.duty.slow - phase[stepping.start]

    fade = FADE_STRIDES / cfg.gait.frequency.slow
    since_start = time - time[stepping.start]
    until_stop = settled - time
    return Timeline(
        time=time,
        velocity=velocity,
        path=path,
        acceleration=acceleration,
        speed_fraction=fraction,
        phase=phase,
        activity=minimum_jerk(since_start / fade) * minimum_jerk(until_stop / fade),
        stepping=stepping,
        frames=frames,
        cyclic=False,
    )


def _grid(num_frames: int, padding: int) -> tuple[np.ndarray, slice]:
    """Times from ``padding`` frames before frame 0 to as many after the last, and the frames."""
    time = np.arange(-padding * SUBSTEPS, (num_frames + padding) * SUBSTEPS + 1) / (FPS * SUBSTEPS)
    first = (padding - 1) * SUBSTEPS
    return time, slice(first, first + (num_frames + 1) * SUBSTEPS + 1, SUBSTEPS)


def _velocity_at(cfg: ClipCfg, time: np.ndarray) -> np.ndarray:
    """Commanded velocity (T, 3) at the times (T,)."""
    velocities = np.array([(v.x, v.y, v.yaw) for v in cfg.velocities])
    period = cfg.hold + cfg.blend
    segment = np.clip(time // period, 0, len(velocities) - 1).astype(int)
    following = np.minimum(segment + 1, len(velocities) - 1)
    progress = minimum_jerk((time - segment * period - cfg.hold) / cfg.blend)[:, None]
    # This form is exact at both ends, so that standstill is exactly zero.
    return (1.0 - progress) * velocities[segment] + progress * velocities[following]


def _speed_fraction(cfg: ClipCfg, velocity: np.ndarray, turning_radius: float) -> np.ndarray:
    speed = np.hypot(velocity[:, 0], velocity[:, 1]) + turning_radius * np.abs(velocity[:, 2])
    return np.minimum(speed / cfg.gait.top_speed, 1.0)


def _integrate_path(time: np.ndarray, velocity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pose x, y, yaw (T, 3) and acceleration (T, 2) in the world."""
    forward, leftward, turning = velocity.T
    yaw = _integral(time, turning)
    cos, sin = np.cos(yaw), np.sin(yaw)
    world_velocity = np.stack([forward * cos - leftward * sin, forward * sin + leftward * cos])
    x, y = (_integral(time, component) for component in world_velocity)
    acceleration = np.gradient(world_velocity, time, axis=-1)
    return np.stack([x, y, yaw], axis=-1), acceleration.T


def _integral(time: np.ndarray, rate: np.ndarray) -> np.ndarray:
    """Trapezoidal integral of ``rate`` (T,) over ``time`` (T,), zero at time zero."""
    steps = 0.5 * (rate[1:] + rate[:-1]) * np.diff(time)
    total = np.concatenate([[0.0], np.cumsum(steps)])
    return total - np.interp(0.0, time, total)
