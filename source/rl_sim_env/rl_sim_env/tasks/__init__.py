"""Tasks: one file each, and the registry. Importing it makes them known to gymnasium."""

from rl_sim_env.tasks.registry import (
    TASKS,
    Task,
    family_ids,
    find_task,
    register_gymnasium_tasks,
)

__all__ = [
    "TASKS",
    "Task",
    "family_ids",
    "find_task",
    "register_gymnasium_tasks",
]

register_gymnasium_tasks()
