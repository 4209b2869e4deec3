"""Policies that come with the checkout, and their robots."""

from __future__ import annotations

from pathlib import Path

from pages import ROOT
from rl_sim_env.deploy import open_session
from rl_sim_env.robots import Robot
from rl_sim_env.tasks import find_task


def shipped(robot: str) -> tuple[Path, Robot]:
    """The policy that comes with a robot, and its robot."""
    path = ROOT / "policies" / robot / "policy.onnx"
    return path, find_task(open_session(path)[1].task).robot
