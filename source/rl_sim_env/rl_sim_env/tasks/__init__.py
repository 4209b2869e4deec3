"""Tasks: one file for each robot, what they share, and the registry.

Importing this package makes all tasks known, to gymnasium too: those of every module here and those
that other installed packages announce.
"""

from importlib import import_module
from pkgutil import iter_modules

from rl_sim_env.plugins import load_plugins
from rl_sim_env.tasks.registry import (
    TASKS,
    Task,
    family_ids,
    find_robot,
    find_task,
    make_env_cfg,
    register_task,
    register_walking_tasks,
    require_arguments,
    robots,
)

__all__ = [
    "TASKS",
    "Task",
    "family_ids",
    "find_robot",
    "find_task",
    "make_env_cfg",
    "register_task",
    "register_walking_tasks",
    "require_arguments",
    "robots",
]

for _module in sorted(module.name for module in iter_modules(__path__)):
    import_module(f"{__name__}.{_module}")
load_plugins()
