"""Numbers that training, evaluation and deployment share."""

import math

PHYSICS_DT = 0.02 / 3.0
"""Physics time step of the tasks, and of the replay of motion clips [s]."""

FALL_ANGLE = math.radians(75.0)
"""A base that is tilted further has fallen [rad]."""

REFERENCE_LEG_LENGTH = 0.57
"""Thigh and calf of the robot that gaits and sizes of the tasks were found for [m]."""

COMMAND_PERIOD = 5.0
"""Time between two draws of a command where a policy is measured [s]."""
