"""What happens to a robot that walks under a load: resets, other loads, randomisation, pushes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mjlab.managers.event_manager import EventTermCfg as EventTerm

from rl_sim_env.mdp import events
from rl_sim_env.robots import Boom, Payload, TrunkBox

if TYPE_CHECKING:
    from rl_sim_env.tasks.payload_walking_cfg import PayloadWalkingCfg

PLAY_LOAD_SHARE = 2.0 / 3.0
"""Least load for watching, as a share of the heaviest."""

REFERENCE_START = 0.5
"""Share of training episodes that begin in the middle of a motion clip."""


def _reset(func: Callable[..., Any], **params: Any) -> EventTerm:
    return EventTerm(func=func, mode="reset", params=params)


def _load_events(payload: Payload | None, play: bool) -> dict[str, EventTerm]:
    """How heavy the load is."""
    if payload is None:
        return {}
    lightest = PLAY_LOAD_SHARE * payload.max_load if play else 0.0
    return {"load": _reset(events.randomize_load, mass=(lightest, payload.max_load))}


def _place_events(payload: Payload | None, play: bool) -> dict[str, EventTerm]:
    """Where the load is."""
    if isinstance(payload, Boom):
        shortest, longest = payload.length_range
        length = (payload.default_length if play else shortest, longest)
        return {"arm": _reset(events.reset_boom, angle=(-math.pi, math.pi), length=length)}
    if isinstance(payload, TrunkBox):
        reach = payload.place_range
        return {
            "place": _reset(events.place_load, x=(-reach[0], reach[0]), y=(-reach[1], reach[1]))
        }
    return {}


def walking_events(walking: PayloadWalkingCfg, *, rough: bool, play: bool) -> dict[str, EventTerm]:
    """Events of the task by name, in the order in which they happen.

    Args:
        walking: The robot, and how large things are for it.
        rough: Whether the ground is: pushes are harder there, and more frequent.
        play: For watching: no pushes, no randomised robot, heavy loads.
    """
    payload = walking.robot.payload
    terms = {
        **_load_events(payload, play),
        "base": _reset(
            events.reset_base, position_xy=0.5, yaw=math.pi, lin_vel=0.0 if play else 0.5
        ),
        "legs": _reset(events.reset_leg_joints, offset=0.0 if play else 0.6),
        **_place_events(payload, play),
        "command_delay": _reset(events.randomize_command_delay),
    }
    if play:
        return terms
    terms = {
        "trunk": _reset(
            events.randomize_base_mass_and_com,
            mass=walking.trunk_mass,
            com_x=walking.trunk_com[0],
            com_y=walking.trunk_com[1],
            com_z=walking.trunk_com[2],
        ),
        "friction": _reset(events.randomize_foot_friction, friction=(0.25, 1.2)),
        "gains": _reset(events.randomize_leg_gains, gain=(0.8, 1.2), torque_constant=(0.8, 1.2)),
        "drive_mechanics": _reset(events.randomize_drive_mechanics),
        **terms,
        "motion": _reset(events.ResetToMotion, probability=REFERENCE_START, motion_paths=None),
        "push": EventTerm(
            func=events.push,
            mode="interval",
            interval_range_s=(5.0, 10.0) if rough else (10.0, 15.0),
            params={"velocity": 1.0 if rough else 0.5},
        ),
    }
    if payload is not None:
        # Loads are taken up and put down in mid-walk; where they never are, an estimator learns to
        # trust what it found at the start.
        terms["load_change"] = EventTerm(
            func=events.randomize_load,
            mode="interval",
            interval_range_s=(5.0, 15.0),
            params={"mass": (0.0, payload.max_load)},
        )
    return terms
