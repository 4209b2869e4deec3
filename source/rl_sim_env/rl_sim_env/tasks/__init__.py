"""Tasks: one file for each robot, what they share, and the registry.

Importing this package makes all tasks known, to gymnasium too: those of every robot that has a
folder in ``robots/`` and a file of the same name here, and those that other installed packages
announce. It imports no simulator.
"""

from importlib import import_module
from pkgutil import iter_modules

import rl_sim_env.robots
from rl_sim_env.plugins import load_plugins
from rl_sim_env.tasks.payload_walking_cfg import PayloadWalkingCfg
from rl_sim_env.tasks.registry import (
    REFUSED,
    TASKS,
    Task,
    beginnings,
    family_ids,
    find_robot,
    find_task,
    make_env_cfg,
    register_perceptive_tasks,
    register_task,
    register_walking_tasks,
    require_arguments,
    robots,
    watching_task,
)

__all__ = [
    "REFUSED",
    "TASKS",
    "PayloadWalkingCfg",
    "Task",
    "beginnings",
    "family_ids",
    "find_robot",
    "find_task",
    "make_env_cfg",
    "register_perceptive_tasks",
    "register_task",
    "register_walking_tasks",
    "require_arguments",
    "robots",
    "watching_task",
]

for _robot in sorted(
    found.name for found in iter_modules(rl_sim_env.robots.__path__) if found.ispkg
):
    import_module(f"{__name__}.{_robot}")
load_plugins()
