"""Reading a robot's model, for trainer and robot alike: with MuJoCo and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import mujoco

from rl_sim_env.errors import UserError

Needed = Mapping[str, tuple[Callable[[str], object], Sequence[str]]]
"""What a model must have: by kind, what finds an element by name, and the names."""


def require_file(path: Path) -> None:
    """Refuse the path of a model where there is no file.

    Raises:
        UserError: There is none; the message says what there is.
    """
    if not path.is_file():
        raise UserError(f"robot model {path}: {'a folder' if path.is_dir() else 'no such file'}")


def read_spec(path: Path | str) -> mujoco.MjSpec:
    """Read an MJCF or URDF.

    Raises:
        UserError: It cannot be read.
    """
    try:
        return mujoco.MjSpec.from_file(str(path))
    except (ValueError, OSError) as error:
        raise UserError(f"cannot read robot model {path}: {error}") from error


def missing_parts(needed: Needed) -> list[str]:
    """Kind and name of all that a model lacks."""
    return [
        f"{kind} '{name}'"
        for kind, (find, names) in needed.items()
        for name in names
        if find(name) is None
    ]
