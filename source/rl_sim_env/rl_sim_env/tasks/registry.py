"""The tasks by id, for the command line and for gymnasium.

A task says what it is; its configurations are made when somebody asks for them, for they need the
simulator, whose import takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import gymnasium

from rl_sim_env.configuration.hints import parameter_type, parameters
from rl_sim_env.configuration.limits import require_known
from rl_sim_env.errors import UserError, known_names
from rl_sim_env.robots import BoomMode, Robot
from rl_sim_env.tasks.payload_walking_cfg import PayloadWalkingCfg, TerrainName
from rl_sim_env.typed import typed

if TYPE_CHECKING:
    from rl_sim_env.envs import AmpVaeEnvCfg
    from rl_sim_env.learning.config import AmpVaeRunnerCfg


@dataclass(kw_only=True, frozen=True)
class Task:
    """A task: how to make its environment and its trainer."""

    family: str
    """Tasks of one family share robot and observation layout, so that their checkpoints fit."""

    robot: Robot
    """The robot."""

    env_cfg: Callable[[Robot], AmpVaeEnvCfg]
    """Makes a fresh environment configuration for ``robot`` or a variant of it."""

    runner_cfg: Callable[[], AmpVaeRunnerCfg]
    """Makes a fresh trainer configuration."""

    purpose: str
    """What the task is for, in a few words."""

    shows_motions: bool = False
    """Whether playing it shows the motion clips instead of a policy."""

    grows_from: str | None = None
    """Family whose policies its own may begin with: they observe less, and lack networks for what
    they do not observe."""


REFUSED = {
    "seed": "the seed also draws the networks and differs between processes; give --seed",
    "robot": "a robot is described in code, which its model and motions follow; give --mjcf or "
    "--arm, set drives at env.scene.entities.robot.articulation.actuators, or describe a robot of "
    "your own (docs/robots.md)",
}
"""What to do instead of setting some fields of the environment."""

_TASKS: dict[str, Task] = {}
TASKS: Mapping[str, Task] = MappingProxyType(_TASKS)
"""All tasks that are registered, by id."""


def register_task(task_id: str, task: Task) -> None:
    """Make a task known to the programs and to gymnasium.

    Packages do so in a module that they announce as an entry point of the group
    ``rl_sim_env.tasks``.

    Args:
        task_id: Its id, such as ``My-Robot-Walks-v0``; gymnasium wants the version at the end.
        task: The task.

    Raises:
        UserError: There is a task of this id, or another robot of this robot's name.
    """
    if task_id in _TASKS:
        raise UserError(f"task '{task_id}' is registered already; give yours another id")
    for known_id, known in _TASKS.items():
        if known.robot.name == task.robot.name and known.robot != task.robot:
            raise UserError(
                f"task '{task_id}': its robot is called '{task.robot.name}' as that of "
                f"'{known_id}', but is described otherwise; give yours another name"
            )
    _TASKS[task_id] = task
    gymnasium.register(
        id=task_id,
        entry_point="rl_sim_env.gymnasium_envs:make_env",
        vector_entry_point="rl_sim_env.gymnasium_envs:make_vec_env",
        kwargs={"task_id": task_id},
    )


def register_walking_tasks(family: str, walking: PayloadWalkingCfg) -> None:
    """Register the five tasks of a robot that walks blind under an unknown load.

    Args:
        family: What their ids begin with.
        walking: The robot, and how large things are for it.

    Raises:
        UserError: There are such tasks.
    """

    def register(
        variant: str, purpose: str, *, terrain: TerrainName, play: bool, shows_motions: bool = False
    ) -> None:
        def env_cfg(robot: Robot) -> AmpVaeEnvCfg:
            from rl_sim_env.tasks.payload_walking import walking_env_cfg

            return walking_env_cfg(replace(walking, robot=robot), terrain=terrain, play=play)

        def runner_cfg() -> AmpVaeRunnerCfg:
            from rl_sim_env.tasks.payload_walking_runner import walking_runner_cfg

            return walking_runner_cfg(walking, terrain=terrain)

        task = Task(
            family=family,
            robot=walking.robot,
            env_cfg=env_cfg,
            runner_cfg=runner_cfg,
            purpose=purpose,
            shows_motions=shows_motions,
        )
        register_task(f"{family}{variant}-v0", task)

    payload = walking.robot.payload
    training = f" with 0 to {payload.max_load:g} kg" if payload else ""
    watching = " with heavy loads" if payload else ""
    register("", f"training on seven kinds of terrain{training}", terrain="rough", play=False)
    register("-Flat", "training on a plane, sized for a CPU", terrain="flat", play=False)
    register("-Play", f"watching on all terrains{watching}", terrain="rough", play=True)
    register("-Flat-Play", f"watching on a plane{watching}", terrain="flat", play=True)
    register(
        "-ReplayAmpData",
        "watching the motion clips that AMP learns from",
        terrain="flat",
        play=True,
        shows_motions=True,
    )


def register_perceptive_tasks(
    family: str, walking: PayloadWalkingCfg, *, grows_from: str, lidar_mount: tuple[float, float]
) -> None:
    """Register the tasks of a robot that sees the ground, for training and for watching.

    Args:
        family: What their ids begin with.
        walking: The robot, and how large things are for it.
        grows_from: Family of its tasks without sight, whose policies may learn to see.
        lidar_mount: How far before and behind the base, and above it, the lidars are [m].

    Raises:
        UserError: There are such tasks.
    """

    def register(variant: str, purpose: str, *, play: bool) -> None:
        def env_cfg(robot: Robot) -> AmpVaeEnvCfg:
            from rl_sim_env.tasks.perceptive_walking import perceptive_env_cfg

            return perceptive_env_cfg(replace(walking, robot=robot), lidar_mount, play=play)

        def runner_cfg() -> AmpVaeRunnerCfg:
            from rl_sim_env.tasks.perceptive_walking import perceptive_runner_cfg

            return perceptive_runner_cfg(walking)

        task = Task(
            family=family,
            robot=walking.robot,
            env_cfg=env_cfg,
            runner_cfg=runner_cfg,
            purpose=purpose,
            grows_from=grows_from,
        )
        register_task(f"{family}{variant}-v0", task)

    register("", "training with sight, on nine kinds of terrain", play=False)
    register("-Play", "watching with sight, on all terrains", play=True)


def find_task(task_id: str) -> Task:
    """Look a task up.

    Raises:
        UserError: There is no such task; the message names the nearest.
    """
    if task_id in _TASKS:
        return _TASKS[task_id]
    nearest = known_names(task_id, _TASKS, cutoff=0.5, listed_by="rl-sim-env tasks")
    raise UserError(f"unknown task '{task_id}'; {nearest}")


def robots() -> tuple[Robot, ...]:
    """The robots that there are tasks for."""
    return tuple({task.robot.name: task.robot for task in _TASKS.values()}.values())


def watching_task(task_id: str) -> str:
    """Id of the task that policies of a task are watched on: that with ``-Play``, else its own."""
    watching = f"{task_id.removesuffix('-v0')}-Play-v0"
    return watching if watching in _TASKS else task_id


def find_robot(name: str) -> Robot:
    """Look a robot up among those that there are tasks for.

    Raises:
        UserError: There is no such robot; the message names the nearest.
    """
    by_name = {robot.name: robot for robot in robots()}
    if name in by_name:
        return by_name[name]
    raise UserError(f"unknown robot '{name}'; {known_names(name, by_name)}")


def family_ids(family: str) -> tuple[str, ...]:
    """Ids of the tasks of one family, whose checkpoints fit each other."""
    return tuple(task_id for task_id, task in _TASKS.items() if task.family == family)


def beginnings(task: Task) -> tuple[str, ...]:
    """Ids of the tasks whose policies a task's training may begin with."""
    others = () if task.grows_from is None else family_ids(task.grows_from)
    return (*family_ids(task.family), *others)


def make_env_cfg(
    task_id: str, *, mjcf_path: Path | str | None = None, arm: BoomMode | None = None
) -> AmpVaeEnvCfg:
    """Environment configuration of a task.

    Args:
        task_id: Id of the task.
        mjcf_path: Another model of its robot, with the same parts.
        arm: How its boom is held; None as the robot says.

    Raises:
        UserError: There is no such task, or its robot has no boom.
    """
    task = find_task(task_id)
    robot = task.robot
    if mjcf_path is not None:
        robot = robot.with_model(mjcf_path)
    if arm is not None:
        robot = robot.with_boom_mode(arm)
    return task.env_cfg(robot)


def require_arguments(arguments: Mapping[str, Any]) -> None:
    """Refuse arguments that :func:`make_env_cfg` does not take, and a model that is not there.

    Args:
        arguments: Arguments by name, as a file or a user gives them.

    Raises:
        UserError: One is unknown or of another type, or there is no such file.
    """
    _, known = parameters(make_env_cfg)
    for name, value in arguments.items():
        require_known("an argument of the task", name, known - {"task_id"})
        typed(value, parameter_type(make_env_cfg, name), f"the task's argument {name}")
    path = arguments.get("mjcf_path")
    if path is not None and not Path(path).is_file():
        raise UserError(f"robot model {path}: no such file; say where it is with --mjcf FILE")
