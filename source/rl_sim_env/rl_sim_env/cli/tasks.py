"""List the tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from rl_sim_env.cli.program import run_program
from rl_sim_env.tasks import TASKS


@dataclass
class TasksOptions:
    """List the tasks, with what each is for."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    run_program(TasksOptions, print_tasks, argv, prog="rl-sim-env tasks")


def print_tasks(options: TasksOptions) -> None:
    """Print a table of the tasks."""
    del options
    table = Table(box=None, pad_edge=False)
    table.add_column("task", no_wrap=True)
    table.add_column("for")
    for task_id, task in TASKS.items():
        table.add_row(task_id, task.purpose)
    Console(markup=False).print(table)
