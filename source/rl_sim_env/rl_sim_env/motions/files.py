"""Which files a user means; asked for before anything heavy is imported."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path

from rl_sim_env.errors import UserError

_ZIP = b"PK"


def matching_files(paths: Iterable[Path | str]) -> list[Path]:
    """Clips that files, folders (all ``.npz`` in them) or glob patterns name, in order.

    Raises:
        UserError: One matches nothing.
    """
    return [file for path in paths for file in _matching(Path(path).expanduser())]


def require_archives(paths: Iterable[Path | str]) -> None:
    """Refuse files that do not begin like an ``.npz``.

    Args:
        paths: See :func:`matching_files`.

    Raises:
        UserError: One does not, or cannot be read.
    """
    for path in matching_files(paths):
        try:
            with path.open("rb") as file:
                begins_well = file.read(len(_ZIP)) == _ZIP
        except OSError as error:
            raise UserError(f"motion file {path}: cannot be read ({error.strerror})") from error
        if not begins_well:
            raise UserError(
                f"motion file {path}: not an .npz; rl-sim-env motions import makes one of other "
                "formats"
            )


def _matching(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(path.glob("*.npz"))
        if not files:
            raise UserError(f"no .npz motion files in folder {path}; import or generate some first")
        return files
    if path.is_file():
        # Whatever its name: brackets are a pattern, too.
        return [path]
    files = sorted(Path(match) for match in glob.glob(str(path), recursive=True))
    if not files:
        raise UserError(f"no motion file matches {path}; give a file, a folder or a glob pattern")
    return files
