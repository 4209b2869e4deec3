"""Files that are there as a whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from rl_sim_env.errors import UserError
from rl_sim_env.learning.run_folder import PARTIAL_SUFFIX


class NotWrittenError(UserError):
    """A file could not be written; what stood at its path before is untouched."""


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Write a file so that ``path`` never holds a part of it.

    Raises:
        NotWrittenError: The file could not be written; what ``path`` held before is untouched.
    """
    partial = path.with_name(f"{path.name}{PARTIAL_SUFFIX}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        remedy = "free some space" if error.errno == errno.ENOSPC else "check the folder"
        raise NotWrittenError(
            f"{path}: could not be written ({error.strerror}); {remedy}"
        ) from error


def _sync_folder(folder: Path) -> None:
    """Make the new name survive a power cut, not only the new content.

    Some file systems refuse that for folders (SMB, FUSE, VirtualBox, Windows): the file is there.
    """
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
