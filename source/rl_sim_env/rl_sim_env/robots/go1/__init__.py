"""Unitree Go1: twelve driven leg joints and a box on the trunk that holds 0 to 4 kg."""

from rl_sim_env.robots.go1.robot import GO1

__all__ = ["GO1"]
