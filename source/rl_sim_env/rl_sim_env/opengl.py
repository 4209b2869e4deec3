"""The OpenGL that MuJoCo renders with. MuJoCo looks when it is imported, and only then."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import sys

VARIABLE = "MUJOCO_GL"
"""Environment variable in which MuJoCo looks."""

_LIBRARIES = {"egl": (("EGL",), ("OpenGL", "GL")), "osmesa": (("OSMesa",),)}
"""What each kind of OpenGL needs, one library of each group, by MuJoCo's name for the kind. None
needs a screen; the first can use a GPU."""


def choose_opengl() -> None:
    """Choose EGL, else OSMesa, else nothing, where the user has not chosen.

    mjlab would choose EGL unseen, and where that library is missing MuJoCo cannot even be imported.
    """
    if sys.platform.startswith("linux") and VARIABLE not in os.environ:
        usable = (
            kind
            for kind, groups in _LIBRARIES.items()
            if all(any(map(_can_load, group)) for group in groups)
        )
        os.environ[VARIABLE] = next(usable, "disabled")


def _can_load(library: str) -> bool:
    file = ctypes.util.find_library(library)
    try:
        return file is not None and ctypes.CDLL(file) is not None
    except OSError:
        return False
