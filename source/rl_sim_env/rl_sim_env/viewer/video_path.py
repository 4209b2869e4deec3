"""Whether a video can be written somewhere, asked before anything heavy is imported."""

from __future__ import annotations

import os
from pathlib import Path

from rl_sim_env.errors import UserError

SUFFIX = ".mp4"


def check_video_path(path: Path) -> None:
    """Check that a video can be written there.

    Raises:
        UserError: It is no name of an MP4 file, or its folder cannot be made or written to.
    """
    if path.suffix.lower() != SUFFIX:
        raise UserError(f"--video {path}: give a file name that ends in {SUFFIX}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--video {path}: cannot make its folder ({error.strerror})") from error
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"--video {path}: its folder cannot be written to")
