"""Whether the file of a checkpoint is whole: torch loads damaged numbers without a word.

A digest in it says so, and is read without torch.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from pathlib import Path
from typing import BinaryIO

from rl_sim_env.errors import UserError

_MARK = b"rl_sim_env sha256 "
_DIGEST_LENGTH = 2 * hashlib.sha256().digest_size
_SEAL_LENGTH = len(_MARK) + _DIGEST_LENGTH
_BLOCK = 1 << 20
_ARCHIVE = b"PK\x03\x04"
"""How the zip archive that torch writes begins."""


def seal(archive: io.BytesIO) -> None:
    """Add a comment, the SHA-256 of the rest, to a zip archive without one, as torch writes it.

    An archive ends with the length of its comment in two bytes, and the comment.
    """
    archive.seek(-2, os.SEEK_END)
    archive.write(_SEAL_LENGTH.to_bytes(2, "little"))
    digest = hashlib.sha256(archive.getbuffer()).hexdigest()
    archive.write(_MARK + digest.encode())


def why_damaged(path: Path) -> str | None:
    """What is wrong with the bytes of a checkpoint, with its path; None where nothing is known.

    Raises:
        UserError: It cannot be read.
    """
    no_archive = f"{path}: not a checkpoint of rl_sim_env, or a damaged one"
    try:
        with path.open("rb") as file:
            if not _ARCHIVE.startswith(file.read(len(_ARCHIVE))):
                return no_archive
            if not zipfile.is_zipfile(file):
                return f"{path}: truncated, {path.stat().st_size} bytes are left of it"
            if _is_damaged(file):
                return (
                    f"{path}: damaged, it does not hold what was saved; copy it anew from where it "
                    "comes from"
                )
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except zipfile.BadZipFile:
        return no_archive
    return None


def _is_damaged(file: BinaryIO) -> bool:
    """Whether an archive does not hold what was written.

    One of before, which has no seal, is tried by the check sums that it keeps of its parts.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - _SEAL_LENGTH, 0))
    found = file.read()
    file.seek(0)
    if found.startswith(_MARK):
        return _digest(file, size - _SEAL_LENGTH) != found[len(_MARK) :]
    try:
        with zipfile.ZipFile(file) as archive:
            # Of what looks like a folder torch reads zeros, and check sums do not cover that.
            is_odd = any(part.external_attr for part in archive.infolist())
            return is_odd or archive.testzip() is not None
    except Exception:  # what zipfile raises depends on what the bytes happen to say
        return True


def _digest(file: BinaryIO, size: int) -> bytes:
    """SHA-256 of the first ``size`` bytes, as hexadecimal digits."""
    digest = hashlib.sha256()
    while size > 0 and (block := file.read(min(_BLOCK, size))):
        digest.update(block)
        size -= len(block)
    return digest.hexdigest().encode()
