"""Robots: what describes one, and a folder each with its description, model and assumed numbers."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rl_sim_env.robots.limits import Limits
from rl_sim_env.robots.robot import Boom, BoomMode, Drive, Leg, Payload, Robot, TrunkBox

if TYPE_CHECKING:
    from rl_sim_env.robots.entity import entity_cfg
    from rl_sim_env.robots.index import RobotIndex
    from rl_sim_env.robots.model import load_model

__all__ = [
    "Boom",
    "BoomMode",
    "Drive",
    "Leg",
    "Limits",
    "Payload",
    "Robot",
    "RobotIndex",
    "TrunkBox",
    "entity_cfg",
    "load_model",
]

_IN_THE_SIMULATOR = {"RobotIndex": "index", "entity_cfg": "entity", "load_model": "model"}
"""Modules, by what they hold, that import the simulator: seconds that a description must not
cost."""


def __getattr__(name: str) -> Any:
    if name not in _IN_THE_SIMULATOR:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_IN_THE_SIMULATOR[name]}"), name)
