"""Folders of runs: each made for one run alone, found again by name and age; their checkpoints."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable
from datetime import datetime
from itertools import chain, count
from pathlib import Path

from rl_sim_env.atomic_file import PARTIAL_SUFFIX
from rl_sim_env.errors import UserError

_TIME = "%Y-%m-%d_%H-%M-%S"
_PARTIAL_FILES = tuple(
    f"{name}*{PARTIAL_SUFFIX}"
    for name in ("model_*.pt", "exported/*/*.onnx", "exported/*/*.pt", "dump_*/rank_*/")
)
"""All of them that a run writes."""

_ABANDONED_AFTER_S = 3600.0
"""Age at which nobody is writing such a file any more; writing takes seconds [s]."""

_CLOCK_TOLERANCE_S = 60.0
"""How far the clocks of a machine and its file server may be apart [s]."""
_STAMP = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d(-\d+)?_")
_FILE_NAME = re.compile(r"model_(\d+)\.pt")
_LISTED_ENTRIES = 8


def make_run_folder(experiment: Path, run_name: str) -> Path:
    """Make the folder of a new run: the time, a number where another run has that, and its name.

    Making a folder fails where there is one already, also for two machines on one file system, so
    that no two runs ever share theirs.

    Args:
        experiment: Folder of all runs of the experiment.
        run_name: The name; empty for none.

    Raises:
        UserError: It cannot be made.
    """
    now = datetime.now().strftime(_TIME)
    stamps = chain((now,), (f"{now}-{number}" for number in count(2)))
    names = ("_".join(filter(None, (stamp, run_name))) for stamp in stamps)
    return next(filter(_is_made, (experiment.absolute() / name for name in names)))


def _is_made(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return False
    except OSError as error:
        raise UserError(
            f"{folder}: the run's folder cannot be made ({error.strerror}); free some space, or "
            "train where you can write"
        ) from error
    return True


def named_place(checkpoint: str | Path | None) -> Path | None:
    """The file or folder that a user names; None where it is but a name to look for, or nothing.

    Raises:
        UserError: It is a path, and leads nowhere.
    """
    if checkpoint is None:
        return None
    path = Path(checkpoint)
    if path.exists():
        return path
    if path.name != str(checkpoint):
        raise UserError(f"--checkpoint {checkpoint}: no such file or folder")
    return None


def require_folder(root: Path, name: str | Path | None = None) -> None:
    """Refuse to look for runs in a folder that is not there.

    Args:
        root: The folder.
        name: The checkpoint that is looked for; None: any.

    Raises:
        UserError: It is not there.
    """
    if not root.is_dir():
        wanted = f"--checkpoint {name}: no such file or folder, and no runs that may have it; "
        raise UserError(
            f"{wanted if name else ''}{root}: no such folder; train first or give --checkpoint FILE"
        )


def names_of_run(folder: Path) -> tuple[str, str]:
    """What a run may be called: the name of its folder, and its own, without the time."""
    return folder.name, _STAMP.sub("", folder.name, count=1)


def newest_first(runs: Iterable[Path]) -> list[Path]:
    """Put run folders in order by when their newest checkpoint was written; names part ties.

    That is the time which the file system gave the file ``model_<iteration>.pt``, or the folder
    where there is none. The name would tell when a run began, by a clock that may have been wrong,
    and would put such a run before all others for good. The file's time is of every format, costs
    no reading, and on a file server comes from one clock for all machines. A time that is yet to
    come is wrong for certain: it counts less than any other.
    """
    latest = time.time() + _CLOCK_TOLERANCE_S

    def key(run: Path) -> tuple[bool, float, str]:
        files = [file for file in run.glob("model_*.pt") if file.is_file()]
        times = [file.stat().st_mtime for file in files or (run,)]
        possible = [each for each in times if each <= latest]
        return bool(possible), max(possible or times), run.name

    return sorted(runs, key=key, reverse=True)


def remove_leftovers(run: Path) -> None:
    """Delete what saves that were killed an hour ago or more left in the folder of a run."""
    latest = time.time() - _ABANDONED_AFTER_S
    for pattern in _PARTIAL_FILES:
        for file in run.glob(pattern):
            with contextlib.suppress(OSError):
                if not file.is_symlink() and file.is_file() and file.stat().st_mtime < latest:
                    file.unlink()


def run_folders(root: Path, load_run: str | None) -> list[Path]:
    """The run folders in question, newest first; ``root`` may be one itself.

    Raises:
        UserError: None is called so, or the regular expression is none.
    """
    runs = newest_first(entry for entry in root.iterdir() if entry.is_dir())
    if load_run is None:
        return [root, *runs]
    if (root / load_run).is_dir():
        return [root / load_run]
    if named := [run for run in runs if load_run in names_of_run(run)]:
        return named
    try:
        pattern = re.compile(load_run)
    except re.error as error:
        raise UserError(f"--load_run {load_run}: not a regular expression ({error})") from error
    matching = [run for run in runs if any(map(pattern.fullmatch, names_of_run(run)))]
    if not matching:
        raise UserError(
            f"--load_run {load_run}: no such run in {root}, which holds "
            f"{listing(run.name for run in runs)}"
        )
    return matching


def checkpoints_in(run: Path) -> list[Path]:
    """The checkpoints in the folder of a run, newest first."""
    files = [file for file in run.iterdir() if _FILE_NAME.fullmatch(file.name)]
    return sorted(files, key=iteration_of, reverse=True)


def older_checkpoints(path: Path) -> list[Path]:
    """The checkpoints of the same run that are older than a file, newest first."""
    return [file for file in checkpoints_in(path.parent) if iteration_of(file) < iteration_of(path)]


def meant_checkpoints(
    checkpoint: str | Path | None, *, root: Path, load_run: str | None
) -> tuple[list[Path], list[Path]]:
    """Checkpoints that a user may mean, best first.

    Args:
        checkpoint: A file; a run folder or an experiment folder to use in place of ``root``; the
            name of a file in the newest run that has it; or None for those of the newest run.
        root: The experiment folder.
        load_run: See :func:`run_folders`.

    Returns:
        The file, or all of the newest run that has any; and the newer runs, which have none.

    Raises:
        UserError: Nothing fits; the message lists what there is.
    """
    name = None if checkpoint is None else str(checkpoint)
    place = named_place(checkpoint)
    if place is not None and not place.is_dir():
        return [place], []
    if place is not None:
        root, name = place, None
    require_folder(root, name)
    runs = run_folders(root, load_run)
    if name is not None:
        if named := next((run / name for run in runs if (run / name).is_file()), None):
            return [named], []
        raise UserError(
            f"--checkpoint {name}: no such file or folder, and none in {runs[0]}, which holds "
            f"{listing(entry.name for entry in runs[0].iterdir())}"
        )
    for number, run in enumerate(runs):
        if files := checkpoints_in(run):
            return files, [each for each in runs[:number] if each != root]
    raise UserError(
        f"{runs[0]}: no checkpoint (model_<iteration>.pt) here or one folder down; it holds "
        f"{listing(entry.name for entry in runs[0].iterdir())}"
    )


def iteration_of(path: Path) -> int:
    """Iteration that the name of a checkpoint tells; -1 for any other file."""
    match = _FILE_NAME.fullmatch(path.name)
    return int(match[1]) if match else -1


def listing(names: Iterable[str]) -> str:
    """The names in order, cut short where there are many."""
    ordered = sorted(names)
    shown = ", ".join(ordered[:_LISTED_ENTRIES]) or "nothing"
    return (
        f"{shown} and {len(ordered) - _LISTED_ENTRIES} more" if ordered[_LISTED_ENTRIES:] else shown
    )
