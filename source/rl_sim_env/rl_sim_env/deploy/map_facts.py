"""What a training's configuration says of the maps that its robots saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from rl_sim_env.configuration import NOTHING, plain_at
from rl_sim_env.deploy.metadata import LidarFacts, MapFacts
from rl_sim_env.typed import typed

_SENSOR = "scene.sensors.exteroception"
_HEIGHTS = "observations.exteroception.terms.heights"


def map_facts(env: Mapping[str, Any]) -> MapFacts | None:
    """The maps of an environment; None where robots walk blind.

    Args:
        env: The environment's configuration, as plain values.

    Raises:
        LookupError: It lacks a fact.
        UserError: A fact of a lidar is of another type.
    """
    sensor = plain_at(env, _SENSOR)
    if sensor is NOTHING:
        return None
    of_map, heights = sensor["map"], plain_at(env, _HEIGHTS)
    low, high = heights["clip"]
    period, keep = 1.0 / sensor["rate"], sensor["keep"]
    return MapFacts(
        grid=tuple(of_map["grid"]),
        resolution=of_map["resolution"],
        offset=of_map["offset"],
        reference=of_map["reference"],
        height_range=(low, high),
        rate=sensor["rate"],
        # One that was held until the next came, and that one was late; and one that was lost. Or
        # all that was kept.
        age_limit=round(max(2.0 * period + sensor["errors"]["max_delay"], keep), 6),
        keep=keep,
        lidars=tuple(
            typed({each.name: lidar[each.name] for each in fields(LidarFacts)}, LidarFacts, "lidar")
            for lidar in sensor["lidars"]
        ),
    )
