"""Robots: one folder each with its MJCF, its constants and the table of assumed numbers."""

from rl_sim_env.robots.names import RobotIndex, RobotNames, check_robot_model

__all__ = ["RobotIndex", "RobotNames", "check_robot_model"]
