"""Reference motion for the adversarial prior: clips, where they come from, how they are sampled."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rl_sim_env.motions.clip import MotionClip
    from rl_sim_env.motions.library import load_clips
    from rl_sim_env.motions.sampler import MotionSampler

__all__ = ["MotionClip", "MotionSampler", "load_clips"]

_MODULES = {"MotionClip": "clip", "MotionSampler": "sampler", "load_clips": "library"}
"""Modules by what they hold. They import torch and MuJoCo: seconds that naming a format must not
cost."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
