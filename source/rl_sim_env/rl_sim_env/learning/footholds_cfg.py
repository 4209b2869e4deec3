"""What is learned of footholds, and what they are paid by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from rl_sim_env.configuration.limits import (
    ASCENDING,
    COUNT,
    LEARNING_RATE,
    NOT_EMPTY,
    NOT_NEGATIVE,
    POSITIVE,
)


@dataclass(kw_only=True)
class FootholdsCfg:
    """Where feet will touch down, and how even the ground is there; docs/footholds.md has it."""

    guidance: Literal["off", "predict", "contact", "imagined"] = "off"
    """``off``; ``predict`` learns where feet touch down, and pays nothing; ``contact`` pays, too:
    for support where feet stand; ``imagined`` also where those in the air are about to."""

    weight: Annotated[float, NOT_NEGATIVE] = 10.0
    """Penalty per second [1/s] of feet none of which is supported, mean over the feet. One foot
    that lacks half its support for 0.3 s costs 0.4; a second of good walking earns 2 to 3."""

    greatest_error: Annotated[float, POSITIVE] = 0.07
    """Predictions count in the reward where their running error, the RMS distance, is below this
    [m]: 5 cm along x and y each."""

    least_level: Annotated[int, NOT_NEGATIVE] = 0
    """Level of the terrain from which on footholds are paid for."""

    own_critic: bool = False
    """Whether a critic of its own judges the penalty, and its advantages, standardised, are added
    to those of the reward; else it is a part of the reward."""

    critic_weight: Annotated[float, NOT_NEGATIVE] = 0.25
    """Weight of the advantages of the own critic; ``weight`` is without effect there."""

    obs_groups: Annotated[tuple[str, ...], NOT_EMPTY] = ("critic_obs",)
    """Observation groups that the predictor reads, beside the action and the feet. It serves in
    training alone, so that it may see what the robot does not."""

    hidden_dims: Annotated[tuple[int, ...], COUNT, NOT_EMPTY] = (256, 128)
    """Width of each hidden layer of the predictor."""

    sigma_range: Annotated[tuple[float, float], POSITIVE, ASCENDING] = (0.01, 0.25)
    """Least and greatest standard deviation that it may state, along x and y each [m]."""

    learning_rate: Annotated[float, LEARNING_RATE] = 5e-4
    """Learning rate of the predictor, and of the own critic."""

    max_grad_norm: Annotated[float, POSITIVE] = 1.0
    """Clip of the gradient norm, of both networks each."""
