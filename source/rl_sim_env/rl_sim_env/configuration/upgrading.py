"""Saved configurations of before: names that moved, and environments whose form has changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rl_sim_env.configuration.plain import plain_at, to_plain

MOVED_NAMES = {
    "mjlab.sim.sim:SimulationCfg": "rl_sim_env.simulation.warp:SimulationCfg",
    "mjlab.tasks.velocity.mdp.terminations:out_of_terrain_bounds": (
        "rl_sim_env.mdp.terminations:left_terrain"
    ),
    "mjlab.tasks.velocity.mdp.terminations:terrain_edge_reached": (
        "rl_sim_env.mdp.terminations:left_tile"
    ),
    "rl_sim_env.envs.amp_vae_env:AmpVaeEnvCfg": "rl_sim_env.envs.config:AmpVaeEnvCfg",
    "rl_sim_env.envs.amp_vae_env:StyleCfg": "rl_sim_env.envs.config:StyleCfg",
    "rl_sim_env.mdp.events:reset_arm": "rl_sim_env.mdp.events:reset_boom",
}
"""Names of classes and functions in files of before, ``module:name``, and what stands in their
place today. Whoever moves or renames what a configuration names adds a line here, and keeps the
right-hand sides of the others up to date."""

_DRIVE_FIELDS = {
    "stiffness": "stiffness",
    "damping": "damping",
    "effort_limit": "effort_limit",
    "saturation_effort": "stall_torque",
    "velocity_limit": "velocity_limit",
}
"""Fields of an actuator that held for all its joints, and what they are called by joint."""

_TRUE_TORQUES = "rl_sim_env.mdp.observations:joint_torques"
_REPORTED_TORQUES = "rl_sim_env.mdp.observations:reported_joint_torques"
"""What policies saw of torques, and see."""


def with_todays_names(saved: Any) -> Any:
    """Saved values with the names that classes and functions have now.

    Names that did not move stay as they are, also those that nobody knows any more: whoever
    compares or resolves them says so.

    Args:
        saved: Plain values, as a run saved them: of an environment, of a trainer, or parts of them.
    """
    if isinstance(saved, Mapping):
        return {key: with_todays_names(item) for key, item in saved.items()}
    if isinstance(saved, list):
        return [with_todays_names(item) for item in saved]
    return MOVED_NAMES.get(saved, saved) if isinstance(saved, str) else saved


def in_todays_form(env_cfg: Mapping[str, Any], robot: Any) -> dict[str, Any]:
    """Saved values of an environment's configuration, in the form that they have now.

    Until checkpoints held them, delays of drives were counted in physics steps, and the sensor of
    proprioception was told the time step. Until robots were described as data, the environment knew
    names of parts only, and all joints of an actuator had the same gains. Until sensors could be as
    on hardware, they were ideal. Until targets could be bounded, they were free. Until maps could
    be kept, the next one took their place.

    Args:
        env_cfg: Plain values, as a run saved them, with the names of today.
        robot: Description of the task's robot, which the values lack where it stood in the code.
    """
    saved = to_plain(env_cfg)
    time_step = plain_at(saved, "sim.mujoco.timestep")
    if saved.pop("robot_names", None) is not None:
        saved["robot"] = to_plain(robot)
    speeds = []
    for entity in _tables_in(plain_at(saved, "scene.entities")):
        for actuator in _tables_in(plain_at(entity, "articulation.actuators")):
            if "saturation_effort" in actuator:
                if actuator.get("delay_max_lag"):
                    actuator["max_delay"] = actuator.pop("delay_max_lag") * time_step
                    actuator["delay_max_lag"] = 0
                drive = {now: actuator.pop(then) for then, now in _DRIVE_FIELDS.items()}
                drive["armature"] = None
                speeds.append(drive["velocity_limit"])
                joints = actuator["target_names_expr"]
                actuator["drives"] = {joint: dict(drive) for joint in joints}
    sensor = plain_at(saved, "scene.sensors.proprioception")
    if isinstance(sensor, dict):
        sensor.pop("physics_dt", None)
        sensor.setdefault("hardware", None)
    scanner = plain_at(saved, "scene.sensors.exteroception")
    if isinstance(scanner, dict):
        scanner.setdefault("keep", 0.0)
    saved.setdefault("sensors", "ideal")
    torques = plain_at(saved, "observations.actor_obs.terms.joint_torques")
    if isinstance(torques, dict) and torques.get("func") == _TRUE_TORQUES:
        torques["func"] = _REPORTED_TORQUES
    action = plain_at(saved, "actions.joint_pos")
    if isinstance(action, dict):
        action.setdefault("bounded", False)
        action.setdefault("max_target_rate", None)
    for event in _tables_in(saved.get("events")):
        for params in _tables_in([event.get("params")]):
            params.pop("mjcf_path", None)
    speed_reward = plain_at(saved, "rewards.joint_vel_limits.params")
    if isinstance(speed_reward, dict) and "limit" in speed_reward and speeds:
        speed_reward["share"] = speed_reward.pop("limit") / max(speeds)
    return saved


def _tables_in(parts: Any) -> list[dict[str, Any]]:
    """Those of some parts, by name or in order, that have parts themselves."""
    items = parts.values() if isinstance(parts, dict) else parts if isinstance(parts, list) else ()
    return [item for item in items if isinstance(item, dict)]
