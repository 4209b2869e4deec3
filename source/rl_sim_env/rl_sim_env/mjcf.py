"""Reading a robot's model, for trainer and robot alike: with MuJoCo and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
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


_SUFFIXES = (".xml", ".urdf")


def read_spec(path: Path | str) -> mujoco.MjSpec:
    """Read an MJCF or URDF that MuJoCo can make a model of.

    Raises:
        UserError: It cannot be read, does not compile, or has a name that is no text.
    """
    path = Path(path)
    if path.is_file() and path.suffix.lower() not in _SUFFIXES:
        # MuJoCo would add a warning of its own.
        raise UserError(f"robot model {path}: give an MJCF (.xml) or a URDF (.urdf)")
    try:
        spec = mujoco.MjSpec.from_file(str(path))
        if path.suffix.lower() == ".urdf":
            # Otherwise the trunk becomes a part of the world.
            spec.compiler.fusestatic = False
        _require_model(path, path.stat().st_mtime_ns)
    except Exception as error:  # MuJoCo raises what its parser, its compiler or C++ happen to
        reason = " ".join(str(error).split())
        raise UserError(
            f"cannot read robot model {path}: {reason}; give an MJCF (.xml) or a URDF (.urdf), "
            "with its mesh files where it says they are"
        ) from error
    return spec


@cache
def _require_model(path: Path, changed: int) -> None:
    """Compile a file, once: what is wrong with it is told while somebody still knows which it is.

    Args:
        path: The file.
        changed: When it was changed, which makes another file of it.
    """
    del changed
    spec = mujoco.MjSpec.from_file(str(path))
    for element in (*spec.bodies, *spec.joints, *spec.geoms, *spec.sites):
        # Raises where a name is no text.
        _ = element.name
    spec.compile()


def missing_parts(needed: Needed) -> list[str]:
    """Kind and name of all that a model lacks."""
    return [
        f"{kind} '{name}'"
        for kind, (find, names) in needed.items()
        for name in names
        if find(name) is None
    ]
