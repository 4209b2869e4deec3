"""Numbers and rules that training, evaluation and deployment share."""

import math
from typing import Any

PHYSICS_DT = 0.02 / 3.0
"""Physics time step of the tasks, and of the replay of motion clips [s]."""

GRAVITY = 9.81
"""Gravitational acceleration [m/s^2]."""

FALL_ANGLE = math.radians(75.0)
"""A base that is tilted further has fallen [rad]."""

REFERENCE_LEG_LENGTH = 0.57
"""Thigh and calf of the robot that gaits and sizes of the tasks were found for [m]."""

COMMAND_PERIOD = 5.0
"""Time between two draws of a command where a policy is measured [s]."""

DEVIATIONS_95 = 1.96
"""Standard deviations to both sides of a Gaussian's mean that 95 % of its draws lie within."""


def leaves_range(mean: Any, std: Any, least: Any, greatest: Any) -> Any:
    """Whether the 95 % interval of an estimate reaches beyond a range.

    An estimator does not extrapolate: what is heavier than anything in training reads like the
    heaviest of it, or less. So the estimate alone never says so, but its interval does.

    Args:
        mean: Estimates; arrays, tensors or numbers, as the others.
        std: Standard deviations of their errors.
        least: Lower end of the range.
        greatest: Upper end.
    """
    reach = DEVIATIONS_95 * std
    return (mean - reach < least) | (mean + reach > greatest)
