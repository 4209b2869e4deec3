"""What of a configuration a policy, its networks and its running episodes depend on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatch
from typing import Any

from rl_sim_env.configuration import AGENT, ENV, to_plain, unequal
from rl_sim_env.errors import UserError
from rl_sim_env.learning.config import AmpVaeRunnerCfg
from rl_sim_env.learning.strategies import PENALTIES

OF_THE_RUN = (
    "scene.num_envs",
    "scene.terrain.num_envs",
    "scene.spec_fn",
    "terrain_columns",
    "seed",
    "fixed_shapes",
    "capture_step",
    "overlap",
    "viewer",
    "sim.nan_guard",
    "largest_reward",
    "recorders",
    "events.motion.params.motion_paths",
    "robot.mjcf_path",
    "robot.limits",
    "scene.entities.*.spec_fn",
    "*.debug_vis",
)
"""Fields of an environment that belong to a run, its device and its files, not to the policy."""

AGENT_OF_THE_RUN = (
    "seed",
    "max_iterations",
    "max_minutes",
    "save_interval",
    "save_environment",
    "heartbeat_seconds",
    "experiment_name",
    "run_name",
    "logger",
    "log_project_name",
    "rollout_threads",
    "capture_update",
)
"""Fields of a trainer that belong to a run, not to what is learned."""

_SWITCHED_OFF = {"constraints.strategy": PENALTIES, "footholds.guidance": "off"}
"""Values of a trainer's fields with which the other fields beside them do nothing."""

OF_THE_POLICY = (
    "actions",
    "actions.*",
    "decimation",
    "frame_stacks",
    "frame_stacks.*",
    "hardware_sensors.*",
    "observation_clip",
    "observations.actor_obs",
    "observations.actor_obs.*",
    "observations.exteroception",
    "observations.exteroception.*",
    "robot.*",
    "scene.entities.*.articulation",
    "scene.entities.*.articulation.*",
    "scene.entities.*.init_state.joint_pos*",
    "scene.sensors.exteroception",
    "scene.sensors.exteroception.keep",
    "scene.sensors.exteroception.map.*",
    "scene.sensors.proprioception",
    "scene.sensors.proprioception.*",
    "sensors",
    "sim.mujoco.timestep",
    "vae.com_scale",
    "vae.targets.*",
)
"""Fields that what a policy sees and does depends on; there, functions must not change."""

OF_THE_NETWORKS = (
    "actor.class_name",
    "critic.class_name",
    "vae.class_name",
    "*.obs_groups",
    "*.activation",
    "vae.memory_cell",
    "vae.logvar_bound",
    "vae.variance_log_range",
    "vae.reconstructed_terms",
    "vae.settings.*",
    "amp.observation_clip",
)
"""Fields of a trainer that say what the numbers mean which its networks read and write."""

_UNITS = ("*.term", "*.group", "*.factor")
"""What of an estimate says what its numbers mean."""

_MEANS_THE_SAME = ("*.noise*", "*.enable_corruption", "*.max_delay", "*.max_delay_s")
"""Fields among :data:`OF_THE_POLICY` that make a task harder and leave what numbers mean."""


def without_effect(agent: Mapping[str, Any]) -> list[str]:
    """Paths of a trainer's fields that did nothing in a training: nothing has learned with them.

    Args:
        agent: Configuration of that trainer, as plain values.
    """
    paths = []
    for switch, off in _SWITCHED_OFF.items():
        part, _, own = switch.partition(".")
        beside = agent.get(part, {})
        if beside.get(own) == off:
            paths += [f"{part}.{name}" for name in beside if name != own]
    return paths


def with_parts(paths: Sequence[str]) -> tuple[str, ...]:
    """Patterns for paths and whatever is below them."""
    return (*paths, *(f"{path}.*" for path in paths))


def is_of_the_policy(path: str) -> bool:
    """Whether what a policy sees and does depends on a field."""
    return ".noise" not in path and matches(path, OF_THE_POLICY)


def is_same_environment(trained: Mapping[str, Any], present: Mapping[str, Any]) -> bool:
    """Whether episodes of an environment can go on in another.

    Args:
        trained: Configuration of the one, as plain values with the names of classes.
        present: That of the other.
    """
    of_the_run = with_parts(OF_THE_RUN)
    return all(matches(path, of_the_run) for path, *_ in unequal(trained, present))


def require_same_meaning(
    source: str,
    *,
    env: tuple[Mapping[str, Any], Mapping[str, Any]],
    agent: tuple[AmpVaeRunnerCfg, AmpVaeRunnerCfg],
) -> None:
    """Refuse to train networks on with numbers that mean something else than they have learned.

    Args:
        source: Where they come from, for the message.
        env: Configurations of the environment in training and now, as plain values with the names
            of classes.
        agent: Configurations of the trainer then and now.

    Raises:
        UserError: Names each field with both values.
    """
    changed = list(_changed_meanings(env, agent))
    if changed:
        raise UserError(
            f"{source}: its networks have learned what other numbers mean: {'; '.join(changed)}; "
            "leave it as it was, or begin a new run with its policy: --finetune"
        )


def _changed_meanings(
    env: tuple[Mapping[str, Any], Mapping[str, Any]],
    agent: tuple[AmpVaeRunnerCfg, AmpVaeRunnerCfg],
) -> Iterator[str]:
    of_env = (*OF_THE_POLICY, "observations.*.scale", "observations.*.clip")
    left_out = (*with_parts(OF_THE_RUN), *_MEANS_THE_SAME)
    trained, present = agent
    estimates = (to_plain(cfg.vae.estimated()) for cfg in agent)
    for root, differences, fields in (
        (ENV, unequal(*env), of_env),
        (AGENT, unequal(to_plain(trained), to_plain(present)), OF_THE_NETWORKS),
        (f"{AGENT}.vae.targets", unequal(*estimates), _UNITS),
    ):
        for path, before, now in differences:
            if matches(path, fields) and not (root == ENV and matches(path, left_out)):
                yield f"{root}.{path} was {short(before)}, is {short(now)}"


def short(value: Any) -> str:
    """A value for a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def matches(path: str, patterns: Collection[str]) -> bool:
    """Whether one of some patterns is that of a path."""
    return any(fnmatch(path, pattern) for pattern in patterns)
