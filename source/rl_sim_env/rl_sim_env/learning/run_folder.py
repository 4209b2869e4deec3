"""Folders of runs: each made for one run alone, found again by its name and its age."""

from __future__ import annotations

import re
from datetime import datetime
from itertools import chain, count
from pathlib import Path

from rl_sim_env.errors import UserError

_TIME = "%Y-%m-%d_%H-%M-%S"
_STAMP = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d(-\d+)?_")


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


def names_of_run(folder: Path) -> tuple[str, str]:
    """What a run may be called: the name of its folder, and its own, without the time."""
    return folder.name, _STAMP.sub("", folder.name, count=1)
