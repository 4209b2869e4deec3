"""List the tasks."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from rl_sim_env.tasks import TASKS


def main(argv: Sequence[str] | None = None) -> None:
    """Print a table of the tasks."""
    del argv
    table = Table(box=None, pad_edge=False)
    table.add_column("task", no_wrap=True)
    table.add_column("for")
    for task_id, task in TASKS.items():
        table.add_row(task_id, task.purpose)
    Console().print(table)
