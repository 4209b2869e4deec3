"""What task a checkpoint is of, read without torch, whose import takes seconds."""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Collection
from pathlib import Path
from typing import Any

from rl_sim_env.errors import UserError
from rl_sim_env.learning.run_folder import checkpoints_in, run_folders


def trained_task(path: Path) -> str | None:
    """Id of the task that a checkpoint was trained on.

    Args:
        path: The file, or a folder, which stands for its newest checkpoint.

    Returns:
        None where it cannot be told this way: whoever loads the checkpoint knows, or says why not.
    """
    if path.is_dir():
        newest = (file for run in run_folders(path, None) for file in checkpoints_in(run)[:1])
        return None if (file := next(newest, None)) is None else trained_task(file)
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            with archive.open(next(name for name in names if name.endswith("/data.pkl"))) as file:
                task = _Reader(file).load()["task"]
    except Exception:  # what is raised depends on what the bytes happen to say
        return None
    return task if isinstance(task, str) else None


def require_task(path: Path, task: str, tasks: Collection[str]) -> None:
    """Refuse a policy that was trained on another task.

    Args:
        path: Where it was read from, for the message.
        task: Id of the task that it was trained on.
        tasks: Ids of the tasks whose policies fit.

    Raises:
        UserError: It was.
    """
    if task not in tasks:
        raise UserError(
            f"{path}: trained on task {task}, wanted {' or '.join(sorted(tasks))}; "
            f"give --task {task} or another policy"
        )


class _Nothing:
    """Stands for what only torch can build."""

    def __init__(self, *arguments: Any) -> None:
        del arguments

    def __setstate__(self, state: Any) -> None:
        del state


class _Reader(pickle.Unpickler):
    """Reads containers, numbers and texts; runs nothing that a file names."""

    def find_class(self, module: str, name: str, /) -> Any:
        return OrderedDict if (module, name) == ("collections", "OrderedDict") else _Nothing

    def persistent_load(self, pid: Any, /) -> Any:
        return _Nothing()
