"""A digest in the file of a checkpoint: torch loads damaged numbers without a word."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from typing import BinaryIO

_MARK = b"rl_sim_env sha256 "
_DIGEST_LENGTH = 2 * hashlib.sha256().digest_size
_SEAL_LENGTH = len(_MARK) + _DIGEST_LENGTH
_BLOCK = 1 << 20


def seal(archive: io.BytesIO) -> None:
    """Add a comment, the SHA-256 of the rest, to a zip archive without one, as torch writes it.

    An archive ends with the length of its comment in two bytes, and the comment.
    """
    archive.seek(-2, os.SEEK_END)
    archive.write(_SEAL_LENGTH.to_bytes(2, "little"))
    digest = hashlib.sha256(archive.getbuffer()).hexdigest()
    archive.write(_MARK + digest.encode())


def is_damaged(file: BinaryIO) -> bool:
    """Whether the file of a checkpoint does not hold what was written.

    A file of before, which has no seal, is tried by the check sums that a zip archive keeps of its
    parts. Of a file that is no archive, or the beginning of one, nothing is known: False.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - _SEAL_LENGTH, 0))
    found = file.read()
    file.seek(0)
    if found.startswith(_MARK):
        return _digest(file, size - _SEAL_LENGTH) != found[len(_MARK) :]
    try:
        if not zipfile.is_zipfile(file):
            return False
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
