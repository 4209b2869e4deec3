"""Robots: what describes one, and a folder each with its description, model and assumed numbers."""

from rl_sim_env.robots.entity import entity_cfg
from rl_sim_env.robots.index import RobotIndex
from rl_sim_env.robots.model import load_model
from rl_sim_env.robots.robot import Boom, BoomMode, Drive, Leg, Payload, Robot, TrunkBox

__all__ = [
    "Boom",
    "BoomMode",
    "Drive",
    "Leg",
    "Payload",
    "Robot",
    "RobotIndex",
    "TrunkBox",
    "entity_cfg",
    "load_model",
]
