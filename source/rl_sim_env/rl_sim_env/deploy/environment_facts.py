"""What a training's configuration says of the robot that an exported policy drives."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

from mjlab.utils.string import resolve_field

from rl_sim_env.deploy.map_facts import map_facts
from rl_sim_env.deploy.metadata import PolicyMetadata, RobotParts
from rl_sim_env.errors import UserError
from rl_sim_env.robots.robot import DRIVE_FIELDS
from rl_sim_env.typed import typed

_ACTION = "joint_pos"


def environment_facts(env: Mapping[str, Any]) -> dict[str, Any]:
    """What :class:`PolicyMetadata` says of an environment, by field.

    Args:
        env: The environment's configuration, as plain values.

    Raises:
        UserError: It lacks a fact.
    """
    try:
        description = env["robot"]
        joints = tuple(description["leg_joints"])
        action = env["actions"][_ACTION]
        robot = env["scene"]["entities"][action["entity_name"]]
        drive = next(
            actuator
            for actuator in robot["articulation"]["actuators"]
            if set(actuator["target_names_expr"]) == set(joints)
        )
        limits = action["clip"] and resolve_field(action["clip"], joints)
        rates = action["max_target_rate"] if action["bounded"] else None
        facts = {
            "joint_names": joints,
            "default_joint_pos": resolve_field(robot["init_state"]["joint_pos"], joints, 0.0),
            **{
                name: tuple(drive["drives"][joint][name] for joint in joints)
                for name in DRIVE_FIELDS
            },
            "action_scale": resolve_field(action["scale"], joints, 1.0),
            "target_limits": None if limits is None else tuple(map(tuple, limits)),
            "target_rates": None if rates is None else tuple(rates[joint] for joint in joints),
            "control_period": env["decimation"] * env["sim"]["mujoco"]["timestep"],
            "observation_clip": env["observation_clip"],
            "robot": _robot_parts(description),
            "map": map_facts(env),
        }
    except (LookupError, TypeError, ValueError, AttributeError, StopIteration, re.error) as error:
        raise UserError(
            f"the environment's configuration does not say what a robot needs to know ({error!r}); "
            "export with the version of rl_sim_env that trained the policy"
        ) from error
    hints = get_type_hints(PolicyMetadata)
    return {name: typed(value, hints[name], name) for name, value in facts.items()}


def require_same_environment(
    metadata: PolicyMetadata, env: Mapping[str, Any], source: Path
) -> None:
    """Check that an environment is what an exported policy was trained in, as far as it says.

    Args:
        metadata: Facts of the policy.
        env: The environment's configuration, as plain values.
        source: Where the facts were read from, for the message.

    Raises:
        UserError: They differ; the message names each fact with both values.
    """
    differences = [
        f"{name} was {getattr(metadata, name)}, is {value}"
        for name, value in environment_facts(env).items()
        if getattr(metadata, name) != value
    ]
    if differences:
        raise UserError(
            f"{source}: the environment is not that of the policy's training: "
            f"{'; '.join(differences)}. Evaluate the checkpoint, which brings its environment, or "
            "give the settings of the training"
        )


def _robot_parts(description: Mapping[str, Any]) -> RobotParts:
    legs, payload = description["legs"], description["payload"] or {}
    return RobotParts(
        base_body=description["base_body"],
        feet=tuple(leg["foot_site"] for leg in legs),
        foot_geoms=tuple(leg["foot_geom"] for leg in legs),
        load_body=payload.get("body"),
        arm_angle_joint=payload.get("angle_joint"),
        arm_length_joint=payload.get("length_joint"),
    )
