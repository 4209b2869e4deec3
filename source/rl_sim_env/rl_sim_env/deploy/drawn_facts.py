"""What a training's configuration says of what it drew between policy and legs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rl_sim_env.configuration import name_of, plain_at
from rl_sim_env.configuration.plain import CLASS
from rl_sim_env.deploy.metadata import Drawn
from rl_sim_env.mdp import events
from rl_sim_env.mdp.hardware_sensors_cfg import HardwareSensorsCfg
from rl_sim_env.typed import typed


def drawn_facts(env: Mapping[str, Any]) -> Drawn:
    """What an environment drew for each robot.

    Args:
        env: The environment's configuration, as plain values in today's form.

    Raises:
        UserError: It lacks a fact, or errors of sensors are none that hardware has.
    """
    called = {event["func"] for event in env["events"].values() if event is not None}
    drives = plain_at(env, "scene.entities.robot.articulation.actuators")
    late = name_of(events.randomize_command_delay) in called
    drawn = Drawn(
        command_delay=late * max(drive.get("max_delay", 0.0) for drive in drives),
        signal_delay=plain_at(env, "scene.sensors.proprioception.max_delay_s"),
        torque_delay=0.0,
        hardware=None,
    )
    if env["sensors"] == "ideal":
        return drawn
    said = {name: value for name, value in env["hardware_sensors"].items() if name != CLASS}
    hardware = typed(said, HardwareSensorsCfg, "hardware_sensors")
    if name_of(events.randomize_drive_mechanics) not in called:
        hardware = replace(hardware, joint_friction=0.0, armature=0.0)
    return drawn.on_hardware(hardware)
