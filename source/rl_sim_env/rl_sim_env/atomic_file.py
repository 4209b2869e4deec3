"""Files that are there as a whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from rl_sim_env.errors import UserError

PARTIAL_SUFFIX = ".tmp"
"""What the name of a file ends with while it is being written."""


class NotWrittenError(UserError):
    """A file could not be written; what stood at its path before is untouched."""


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Write a file so that ``path`` never holds a part of it.

    Raises:
        NotWrittenError: The file could not be written; what ``path`` held before is untouched.
    """
    with whole_file(path) as partial, _told(path):
        partial.write_bytes(content)


@contextlib.contextmanager
def whole_file(path: Path, suffix: str = "") -> Iterator[Path]:
    """Have a file appear as a whole, or not at all where an exception breaks off its writing.

    Args:
        path: The file.
        suffix: What the name of the unfinished one ends with, for writers that go by it.

    Yields:
        Where to write it.

    Raises:
        NotWrittenError: It cannot be put in its place; what ``path`` held before is untouched.
    """
    # A name of its own: where others are lost, several processes may write one file.
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}{PARTIAL_SUFFIX}{suffix}")
    try:
        with _told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        with _told(path):
            with partial.open("r+b") as file:
                os.fsync(file.fileno())
            os.replace(partial, path)
            _sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
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
