"""Where checkpoints go while the folder of their run takes none."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rl_sim_env.atomic_file import NotWrittenError
from rl_sim_env.errors import UserError
from rl_sim_env.learning.checkpoint import Checkpoint

_PAUSE_S = 0.5
"""Time between the two attempts at the run's own folder, in which a file server may come back."""


class Rescue:
    """Saves checkpoints into the folder of a run or, where that fails twice, somewhere else.

    Of those that went elsewhere only the newest is kept: a temporary folder is often memory.

    Args:
        run_name: Name of the run, which the folder elsewhere begins with.
        folder: Where to make that folder; None for the system's temporary folder, which is also
            tried if this one fails.
        say: Takes a line on anything but success in the run's own folder.
    """

    def __init__(self, run_name: str, folder: Path | None, say: Callable[[str], None]) -> None:
        self._say = say
        self._prefix = f"rl_sim_env_{run_name}_"
        self._parents = (None,) if folder is None else (folder, None)
        self._folders: dict[Path | None, Path] = {}
        self._newest: Path | None = None

    def save(self, checkpoint: Checkpoint, path: Path) -> Path | None:
        """Save a checkpoint.

        Args:
            checkpoint: The checkpoint.
            path: Where it belongs.

        Returns:
            Where it is; None if it could not be written anywhere.
        """
        try:
            return self._save_where_it_belongs(checkpoint, path)
        except NotWrittenError as error:
            failures = [str(error)]
        for parent in self._parents:
            try:
                rescued = self._folder_in(parent) / path.name
                checkpoint.save(rescued)
            except (NotWrittenError, OSError) as error:
                failures.append(str(error))
                continue
            self._say(
                f"warning: {failures[0]}; saved in {rescued} instead: move it, or continue with "
                f"--checkpoint {rescued}"
            )
            self._replace_newest(rescued)
            return rescued
        self._say(f"warning: not saved: {', nor elsewhere: '.join(failures)}")
        return None

    def save_first(self, checkpoint: Checkpoint, path: Path) -> Path | None:
        """Save a checkpoint as :meth:`save` does, unless another process has saved this one.

        Several may at once where others are lost. What they learned is the same; who came first may
        have been rank 0, whose file holds the robots of all processes, and not only its own.
        """
        try:
            Checkpoint.load(path)
        except UserError:
            return self.save(checkpoint, path)
        return path

    def _save_where_it_belongs(self, checkpoint: Checkpoint, path: Path) -> Path:
        try:
            checkpoint.save(path)
        except NotWrittenError:
            time.sleep(_PAUSE_S)
            checkpoint.save(path)
        return path

    def _replace_newest(self, rescued: Path) -> None:
        if self._newest is not None and self._newest != rescued:
            with contextlib.suppress(OSError):
                self._newest.unlink()
        self._newest = rescued

    def _folder_in(self, parent: Path | None) -> Path:
        """The folder of this run in ``parent``, which no other run has."""
        if parent not in self._folders:
            self._folders[parent] = Path(tempfile.mkdtemp(prefix=self._prefix, dir=parent))
        return self._folders[parent]
