"""The clips that are generated when the user brings none: one table.

The clips go from -0.5 to 1.4 m/s forward, up to 0.5 m/s sideways and 1 rad/s of turning: all that
the flat preset commands but for walking backward faster, and three eighths of the full task's
square of plus and minus 1 m/s. Steady clips pin down the gait at chosen velocities; tours drift
through that range, so that any command in it has reference motion near it. Trotting carries most of
the weight: it is what these speeds call for.
"""

from __future__ import annotations

from rl_sim_env.motions.gait import PACE, TROT, WALK, Gait
from rl_sim_env.motions.velocity_profile import STANDSTILL, ClipCfg, Velocity


def _steady(
    name: str, gait: Gait, *, x: float = 0.0, y: float = 0.0, yaw: float = 0.0, weight: float = 1.0
) -> ClipCfg:
    return ClipCfg(name=name, gait=gait, velocities=(Velocity(x=x, y=y, yaw=yaw),), weight=weight)


def _start_and_stop(
    name: str,
    gait: Gait,
    *,
    x: float = 0.0,
    y: float = 0.0,
    yaw: float = 0.0,
    hold: float = 0.5,
    blend: float = 0.8,
    weight: float = 0.5,
) -> ClipCfg:
    velocities = (STANDSTILL, Velocity(x=x, y=y, yaw=yaw), STANDSTILL)
    return ClipCfg(
        name=name, gait=gait, velocities=velocities, hold=hold, blend=blend, weight=weight
    )


def _tour(name: str, gait: Gait, *between: tuple[float, float, float], weight: float) -> ClipCfg:
    moving = (Velocity(x=x, y=y, yaw=yaw) for x, y, yaw in between)
    velocities = (STANDSTILL, *moving, STANDSTILL)
    return ClipCfg(name=name, gait=gait, velocities=velocities, hold=0.8, blend=1.2, weight=weight)


CLIP_SET: tuple[ClipCfg, ...] = (
    _steady("stand", TROT, weight=0.5),
    _steady("trot_0.3", TROT, x=0.3),
    _steady("trot_0.6", TROT, x=0.6),
    _steady("trot_1.0", TROT, x=1.0),
    _steady("trot_1.4", TROT, x=1.4, weight=0.5),
    _steady("trot_back_0.3", TROT, x=-0.3, weight=0.5),
    _steady("trot_back_0.5", TROT, x=-0.5),
    _steady("walk_0.2", WALK, x=0.2, weight=0.25),
    _steady("walk_0.4", WALK, x=0.4, weight=0.25),
    _steady("pace_0.5", PACE, x=0.5, weight=0.1),
    _steady("pace_0.8", PACE, x=0.8, weight=0.1),
    _steady("turn_left_0.5", TROT, yaw=0.5, weight=0.5),
    _steady("turn_right_0.5", TROT, yaw=-0.5, weight=0.5),
    _steady("turn_left_1.0", TROT, yaw=1.0, weight=0.5),
    _steady("turn_right_1.0", TROT, yaw=-1.0, weight=0.5),
    _steady("curve_left_0.6", TROT, x=0.6, yaw=0.6, weight=0.5),
    _steady("curve_right_0.6", TROT, x=0.6, yaw=-0.6, weight=0.5),
    _steady("curve_left_1.0", TROT, x=1.0, yaw=0.5, weight=0.5),
    _steady("curve_right_1.0", TROT, x=1.0, yaw=-0.5, weight=0.5),
    _steady("side_left_0.25", TROT, y=0.25, weight=0.5),
    _steady("side_right_0.25", TROT, y=-0.25, weight=0.5),
    _steady("side_left_0.5", TROT, y=0.5, weight=0.5),
    _steady("side_right_0.5", TROT, y=-0.5, weight=0.5),
    _steady("diagonal_left", TROT, x=0.5, y=0.3, weight=0.5),
    _steady("diagonal_right", TROT, x=0.5, y=-0.3, weight=0.5),
    _start_and_stop("start_stop_0.5", TROT, x=0.5),
    _start_and_stop("start_stop_1.0", TROT, x=1.0, blend=1.2),
    _start_and_stop("start_stop_back", TROT, x=-0.4),
    _start_and_stop("start_stop_left", TROT, y=0.35),
    _start_and_stop("start_stop_right", TROT, y=-0.35),
    _start_and_stop("start_stop_turn_left", TROT, yaw=0.8),
    _start_and_stop("start_stop_turn_right", TROT, yaw=-0.8),
    _start_and_stop("start_stop_walk", WALK, x=0.35, hold=1.0, blend=1.6, weight=0.25),
    _tour(
        "tour_straight",
        TROT,
        *((x, 0.0, 0.0) for x in (0.2, 0.45, 0.75, 1.0, 1.2, 0.9, 0.5, 0.1, -0.2, -0.5, -0.3, 0.3)),
        weight=4.0,
    ),
    _tour(
        "tour_forward",
        TROT,
        (0.5, 0.0, 0.4),
        (0.7, 0.2, 0.0),
        (0.9, 0.0, -0.4),
        (1.1, -0.2, 0.3),
        (0.8, 0.3, 0.6),
        (0.4, -0.3, -0.8),
        (0.3, 0.4, 0.5),
        (0.6, -0.4, 0.8),
        (0.2, 0.2, -1.0),
        (1.2, 0.1, -0.2),
        (0.7, -0.2, -0.6),
        (0.9, -0.3, 0.1),
        (0.4, 0.1, 1.0),
        weight=4.0,
    ),
    _tour(
        "tour_around",
        TROT,
        (0.0, 0.3, 0.5),
        (-0.3, 0.2, 0.0),
        (-0.4, -0.2, 0.4),
        (0.0, -0.4, -0.5),
        (0.2, -0.5, 0.2),
        (0.1, 0.0, -1.0),
        (-0.2, 0.3, -0.6),
        (-0.5, 0.0, -0.3),
        (-0.3, -0.4, 0.7),
        (0.0, 0.5, -0.2),
        (0.2, 0.4, 0.9),
        (-0.1, -0.2, 1.0),
        weight=3.0,
    ),
)
