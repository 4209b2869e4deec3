"""Warp's start, without the one warning that says nothing on a machine without a GPU."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import warp as wp

NO_DRIVER = b"Could not find or load the NVIDIA CUDA driver"


def start_warp() -> None:
    """Start Warp, unless it runs.

    It warns that there is no CUDA driver, which reads as a fault where physics is native MuJoCo.
    Whoever asks for a GPU that cannot be used is told so by torch.
    """
    with errors_without(NO_DRIVER):
        wp.init()


@contextmanager
def errors_without(words: bytes) -> Iterator[None]:
    """Hold back the lines of standard error that have some words in them, and pass on all others.

    Compiled code writes past ``sys.stderr``, so the file itself is exchanged for a while.
    """
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            for line in held:
                if words not in line:
                    os.write(2, line)
