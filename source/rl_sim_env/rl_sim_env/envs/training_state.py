"""What a checkpoint holds of an environment: curricula, counters and the running episodes.

Whatever has a state of its own says so: ``state_dict()`` returns the tensors that it lives in, by
name, as those of torch's modules do, and loading writes into them. Terms of one's own are asked,
too. What belongs to mjlab and says nothing of the kind is read here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from mjlab.sensor import ContactSensor
from mjlab.utils.noise import NoiseModelCfg

if TYPE_CHECKING:
    from mjlab.entity import Entity

    from rl_sim_env.envs.amp_vae_env import AmpVaeEnv

_TARGETS = (
    "joint_pos_target",
    "joint_vel_target",
    "joint_effort_target",
    "tendon_len_target",
    "tendon_vel_target",
    "tendon_effort_target",
    "site_effort_target",
    "encoder_bias",
)
"""What an entity's data hold beside the simulation's."""

_CONTACT_CLOCKS = (
    "current_air_time",
    "last_air_time",
    "current_contact_time",
    "last_contact_time",
    "force_history",
    "torque_history",
    "dist_history",
)
"""What a contact sensor adds up, as far as it was asked to."""


def training_state(env: AmpVaeEnv, *, episodes: bool = True) -> dict[str, Any]:
    """What a resumed run continues from.

    Args:
        env: The environment, between two steps.
        episodes: Whether the running episodes are part of it, beside curricula and counters.
    """
    state: dict[str, Any] = {
        "common_step_counter": env.common_step_counter,
        "sim_step_counter": env._sim_step_counter,
        "command": env.velocity_command.training_state(),
    }
    if env.terrain.terrain_origins is not None:
        state["terrain_levels"] = env.terrain.terrain_levels[: env.num_robots]
    if episodes:
        state["episodes"] = episode_state(env)
    return state


def load_training_state(env: AmpVaeEnv, state: Mapping[str, Any]) -> str | None:
    """Restore :func:`training_state`, also that of another number of robots.

    Returns:
        None where the episodes go on that were running; else why they do not: all robots begin
        anew.
    """
    env.common_step_counter = state["common_step_counter"]
    env._sim_step_counter = state["sim_step_counter"]
    env.velocity_command.load_training_state(state["command"])
    reason = "the running ones were not saved"
    if "episodes" in state:
        try:
            load_episode_state(env, state["episodes"])
        except ValueError as error:
            reason = str(error)
        else:
            return None
    _load_terrain_levels(env, state.get("terrain_levels"))
    env.reset()
    return reason


def _load_terrain_levels(env: AmpVaeEnv, levels: torch.Tensor | None) -> None:
    """Restore the robots' levels; of another number of robots, the distribution of levels."""
    terrain = env.terrain
    if levels is None or terrain.terrain_origins is None:
        return
    robots = torch.arange(env.num_robots, device=env.device)
    picked = levels.to(env.device)[robots * len(levels) // env.num_robots]
    terrain.terrain_levels[: env.num_robots] = picked
    terrain.env_origins[:] = terrain.terrain_origins[terrain.terrain_levels, terrain.terrain_types]


def episode_state(env: AmpVaeEnv) -> dict[str, Any]:
    """The state of the running episodes.

    Args:
        env: The environment, between two steps.

    Returns:
        ``physics``, as the simulation has it, and ``parts``: all other tensors by name, those that
        the environment lives in.
    """
    return {"physics": env.sim.state_dict(), "parts": dict(_flat(_parts(env)))}


def load_episode_state(env: AmpVaeEnv, state: Mapping[str, Any]) -> None:
    """Go on with the episodes of :func:`episode_state`.

    Args:
        env: The environment, which was reset.
        state: The state, on any device.

    Raises:
        ValueError: It is of other robots or parts, for which the message is a reason; nothing has
            changed.
    """
    if missing := parts_without_state(env):
        raise ValueError(f"{missing[0]} has a state that is not saved")
    parts, saved = dict(_flat(_parts(env))), state["parts"]
    there, here = len(saved["episode_length"]), len(parts["episode_length"])
    if there != here:
        raise ValueError(f"the running ones are of {there} robots, here are {here}")
    unlike = [
        name
        for name in sorted(parts.keys() | saved.keys())
        if name not in parts or name not in saved or parts[name].shape != saved[name].shape
    ]
    if unlike:
        raise ValueError(f"{unlike[0]} is not what it was")
    env.sim.load_state_dict(state["physics"])
    for name, tensor in parts.items():
        tensor.copy_(saved[name])
    env.sim.sense()
    for sensor in env.scene.sensors.values():
        sensor._invalidate_cache()


def parts_without_state(env: AmpVaeEnv) -> list[str]:
    """Names of what remembers something from step to step that no checkpoint can hold."""
    terms = {
        f"{path}.{name}": getattr(cfg, "func", cfg) for path, name, cfg in _configured_terms(env)
    } | {f"commands.{name}": term for name, term in _commands(env).items()}
    silent = [
        f"env.{path}"
        for path, term in terms.items()
        if hasattr(term, "reset") and not hasattr(term, "state_dict")
    ]
    buffered = [
        f"env.{path}.{name}"
        for path, name, cfg in _configured_terms(env)
        if path.startswith("observations.")
        and (cfg.history_length or cfg.delay_max_lag or isinstance(cfg.noise, NoiseModelCfg))
    ]
    return [*silent, *buffered]


def _parts(env: AmpVaeEnv) -> dict[str, Any]:
    """Tensors in nested dictionaries."""
    terrain, scene = env.terrain, env.scene
    return {
        "episode_length": env.episode_length_buf,
        "terrain": {
            "level": terrain.terrain_levels,
            "type": terrain.terrain_types,
            "origin": terrain.env_origins,
        }
        if terrain.terrain_origins is not None
        else {},
        "entities": {name: _of_entity(entity) for name, entity in scene.entities.items()},
        "sensors": {name: _of_sensor(sensor) for name, sensor in scene.sensors.items()},
        "commands": {name: _of_term(term) for name, term in _commands(env).items()},
        "actions": {
            name: getattr(env.action_manager, name)
            for name in ("action", "prev_action", "prev_prev_action")
        },
        "events": env.event_manager.state_dict(),
        "observations": env.observation_manager.state_dict(),
        "rewards": env.reward_manager.state_dict(),
        "curricula": env.curriculum_manager.state_dict(),
        "constraints": env.constraint_monitor.state_dict(),
        "terms": {
            f"{path}.{name}": _of_term(cfg.func) for path, name, cfg in _configured_terms(env)
        },
    }


def _of_entity(entity: Entity) -> dict[str, Any]:
    return {
        **{name: getattr(entity.data, name) for name in _TARGETS},
        "actuators": {
            str(number): _of_term(actuator) for number, actuator in enumerate(entity.actuators)
        },
    }


def _of_sensor(sensor: Any) -> dict[str, Any]:
    if not isinstance(sensor, ContactSensor):
        return _of_term(sensor)
    clocks = {name: getattr(sensor.data, name) for name in _CONTACT_CLOCKS}
    return {name: value for name, value in clocks.items() if value is not None}


def _of_term(term: Any) -> dict[str, Any]:
    return term.state_dict() if hasattr(term, "state_dict") else {}


def _commands(env: AmpVaeEnv) -> dict[str, Any]:
    manager = env.command_manager
    return {name: manager.get_term(name) for name in manager.active_terms}


def _configured_terms(env: AmpVaeEnv) -> Iterator[tuple[str, str, Any]]:
    """Path of the manager, name and configuration of all terms that are functions or classes."""
    for path in ("reward", "termination", "curriculum"):
        manager = getattr(env, f"{path}_manager")
        for name in manager.active_terms:
            yield f"{path}s", name, manager.get_term_cfg(name)
    for names in env.event_manager.active_terms.values():
        for name in names:
            yield "events", name, env.event_manager.get_term_cfg(name)
    for group in env.cfg.observations:
        for name in env.observation_manager.active_terms.get(group, ()):
            cfg = env.observation_manager.get_term_cfg(group, name)
            yield f"observations.{group}", name, cfg


def _flat(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    for name, part in tree.items():
        if isinstance(part, torch.Tensor):
            yield f"{path}{name}", part
        else:
            yield from _flat(part, f"{path}{name}.")
