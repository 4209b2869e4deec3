"""An exported policy walks in plain MuJoCo: does it depend on the simulation that trained it?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from rl_sim_env.conventions import COMMAND_PERIOD
from rl_sim_env.deploy.deployed_policy import DeployedPolicy, PolicyStep, SensorReading
from rl_sim_env.deploy.mujoco_robot import Model, MujocoRobot, Vector, World

Command = tuple[float, float, float]

COMMAND_RANGE = 1.0
"""Drawn commands lie within plus or minus this [m/s, m/s, rad/s]."""

FRICTION = (0.5, 1.0)
"""Range that the friction of the feet is drawn from."""

START_YAW = 0.2
"""Greatest heading at the start [rad]."""


@dataclass(frozen=True, kw_only=True)
class SensorNoise:
    """Standard deviations of Gaussian noise, drawn anew for each value and step.

    Typical of a small inertial unit and of encoders; training adds uniform noise instead.
    """

    base_ang_vel: float = 0.05
    """[rad/s]"""
    projected_gravity: float = 0.01
    """Share of gravity."""
    joint_pos: float = 0.002
    """[rad]"""
    joint_vel: float = 0.2
    """[rad/s]"""
    joint_torques: float = 1.0
    """[N m]"""


@dataclass(frozen=True, kw_only=True)
class SimToSimResult:
    """How one robot walked. Means and root mean squares are over the steps until its end."""

    fell: bool
    seconds: float
    """Time until it fell, or all of it [s]."""
    distance: float
    """Horizontal distance between start and end [m]."""
    velocity_error: float
    """Distance between commanded and actual horizontal velocity, mean [m/s]."""
    yaw_rate_error: float
    """Distance between commanded and actual yaw rate, mean [rad/s]."""
    velocity_rmse: float
    """Estimated against true base velocity, over the three axes [m/s]."""
    mass_rmse: float
    """Estimated against true mass above that of the robot without load [kg]."""
    com_rmse: float
    """Estimated against true centre of mass, over x and y [m]."""


def rollout(
    policy_path: Path,
    *,
    model: Model,
    ground: str = "flat",
    load: float = 0.0,
    boom_length: float = 0.6,
    command: Command | None = None,
    seconds: float = 20.0,
    seed: int | Sequence[int] = 0,
    command_delay: float = 0.0,
    noise: SensorNoise | None = None,
) -> SimToSimResult:
    """Run an exported policy from standing.

    The seed decides heading, friction, direction of the boom, sensor noise, and drawn commands.

    Args:
        policy_path: ``policy.onnx`` as exported.
        model: The robot's model: a file, or a function that makes it.
        ground: Name in :data:`rl_sim_env.deploy.mujoco_robot.GROUNDS`.
        load: Load that the robot carries [kg].
        boom_length: Distance of the load from the boom's axis [m], where there is a boom.
        command: Velocity ahead and to the left [m/s] and yaw rate [rad/s]; None draws a new one
            every :data:`COMMAND_PERIOD`.
        seconds: Time to simulate [s].
        seed: Seed of all that is random: one number or several.
        command_delay: Time until the drives learn of new joint targets [s]; less than the control
            period.
        noise: Noise of the sensors; by default :class:`SensorNoise`.

    Raises:
        UserError: The policy or the model cannot be read or do not fit, or there is no such ground.
    """
    policy = DeployedPolicy(policy_path)
    rng = np.random.default_rng(seed)
    world = World(
        ground=ground,
        load=load,
        boom_length=boom_length,
        boom_angle=rng.uniform(-math.pi, math.pi),
        friction=rng.uniform(*FRICTION),
        yaw=rng.uniform(-START_YAW, START_YAW),
    )
    robot = MujocoRobot(model, policy.metadata, world)
    noise = noise or SensorNoise()
    period = policy.metadata.control_period
    start = robot.base_pos.copy()
    log = _Log()
    for step in range(round(seconds / period)):
        if command is not None:
            told = np.array(command)
        elif step % round(COMMAND_PERIOD / period) == 0:
            told = rng.uniform(-COMMAND_RANGE, COMMAND_RANGE, size=3)
        output = policy.step(_read(robot, told, noise, rng))
        log.add_estimates(robot, output)
        robot.advance(output.joint_targets, seconds=period, delay=command_delay)
        log.add_tracking(robot, told)
        if robot.has_fallen:
            break
    return SimToSimResult(
        fell=robot.has_fallen,
        seconds=robot.data.time,
        distance=float(np.linalg.norm((robot.base_pos - start)[:2])),
        velocity_error=float(np.mean(log.velocity_error)),
        yaw_rate_error=float(np.mean(log.yaw_rate_error)),
        velocity_rmse=_root_mean_square(log.velocity_estimate),
        mass_rmse=_root_mean_square(log.mass_estimate),
        com_rmse=_root_mean_square(log.com_estimate),
    )


def _read(
    robot: MujocoRobot, command: Vector, noise: SensorNoise, rng: np.random.Generator
) -> SensorReading:
    """What noisy sensors say."""
    measured = {}
    for field in fields(noise):
        true = getattr(robot, field.name)
        measured[field.name] = true + getattr(noise, field.name) * rng.standard_normal(true.shape)
    return SensorReading(**measured, velocity_commands=command)


class _Log:
    """Errors by step; those of estimates have a sign."""

    def __init__(self) -> None:
        self.velocity_error: list[float] = []
        self.yaw_rate_error: list[float] = []
        self.velocity_estimate: list[Vector] = []
        self.mass_estimate: list[float] = []
        self.com_estimate: list[Vector] = []

    def add_estimates(self, robot: MujocoRobot, output: PolicyStep) -> None:
        """Compare what the policy believes with the state it has seen."""
        self.velocity_estimate.append(output.velocity - robot.base_lin_vel)
        self.mass_estimate.append(output.mass - robot.mass)
        self.com_estimate.append((output.com - robot.com)[:2])

    def add_tracking(self, robot: MujocoRobot, command: Vector) -> None:
        """Compare the state that the policy has led to with the command."""
        velocity = robot.base_lin_vel[:2]
        self.velocity_error.append(float(np.linalg.norm(command[:2] - velocity)))
        self.yaw_rate_error.append(abs(float(command[2] - robot.base_ang_vel[2])))


def _root_mean_square(errors: Sequence[ArrayLike]) -> float:
    return float(np.sqrt(np.mean(np.asarray(errors) ** 2)))
