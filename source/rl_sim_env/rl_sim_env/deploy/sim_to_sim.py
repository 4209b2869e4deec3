"""An exported policy walks in plain MuJoCo: does it depend on the simulation that trained it?"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl_sim_env.conventions import COMMAND_PERIOD
from rl_sim_env.deploy.deployed_policy import SENSORS, DeployedPolicy, PolicyStep, SensorReading
from rl_sim_env.deploy.ground import HeightGrid
from rl_sim_env.deploy.metadata import NOTHING_DRAWN, Drawn
from rl_sim_env.deploy.mujoco_lidar import MujocoLidar
from rl_sim_env.deploy.mujoco_robot import TIME_STEP, Model, MujocoRobot, Vector, World
from rl_sim_env.errors import UserError
from rl_sim_env.mdp.hardware_sensors_cfg import HardwareSensorsCfg, SensorModel

Command = tuple[float, float, float]

COMMAND_RANGE = 1.0
"""Drawn commands lie within plus or minus this [m/s, m/s, rad/s]."""

FRICTION = (0.5, 1.0)
"""Range that the friction of the feet is drawn from."""

START_YAW = 0.2
"""Greatest heading at the start [rad]."""


@dataclass(frozen=True, kw_only=True)
class SensorNoise:
    """How sensors are off: Gaussian noise by its standard deviations, and what is drawn or lost.

    Noise is drawn anew for each value and step, as is typical of a small inertial unit and of
    encoders; training adds uniform noise instead.
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
    height: float = 0.01
    """Of each cell of a map of the ground [m]."""
    maps_until: float = math.inf
    """When maps of the ground end for good [s]."""
    drawn: Drawn | None = None
    """What is drawn of sensors and drives besides, for a whole walk; None: what the policy's
    training drew, as its file says."""


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
    sensors: SensorModel = "ideal",
    noise: SensorNoise | None = None,
) -> SimToSimResult:
    """Run an exported policy from standing.

    The seed decides heading, friction, direction of the boom, errors and noise of sensors, and
    drawn commands.

    The robot is one that training has shown. With ideal sensors it is the middle one: whatever is
    about zero is zero, but drives rub, and signals and joint targets are late, by half of what was
    drawn at the most.

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
        sensors: ``ideal``, or as on ``hardware``: all that training drew is drawn as it did.
        noise: Noise of the sensors; by default :class:`SensorNoise`.

    Raises:
        UserError: The policy or the model cannot be read or do not fit, there is no such ground, or
            what sensors on hardware are like is nowhere said.
    """
    policy = DeployedPolicy(policy_path)
    noise = noise or SensorNoise()
    metadata = replace(policy.metadata, drawn=noise.drawn or policy.metadata.drawn)
    if sensors == "hardware" and (metadata.drawn is None or metadata.drawn.hardware is None):
        raise UserError(
            f"{policy_path}: sensors as on hardware, but the file does not say what these are, "
            "since it was trained with ideal ones or is of before; give SensorNoise(drawn=...)"
        )
    rng = np.random.default_rng(seed)
    world = World(
        ground=ground,
        load=load,
        boom_length=boom_length,
        boom_angle=rng.uniform(-math.pi, math.pi),
        friction=rng.uniform(*FRICTION),
        yaw=rng.uniform(-START_YAW, START_YAW),
    )
    robot = MujocoRobot(model, metadata, world)
    link = Link(robot, metadata.drawn or NOTHING_DRAWN, rng, sensors=sensors, noise=noise)
    facts = metadata.map
    lidar = None if facts is None else MujocoLidar(robot, facts, noise.height, rng)
    period = metadata.control_period
    start = robot.base_pos.copy()
    log = _Log()
    for step in range(round(seconds / period)):
        if command is not None:
            told = np.array(command)
        elif step % round(COMMAND_PERIOD / period) == 0:
            told = rng.uniform(-COMMAND_RANGE, COMMAND_RANGE, size=3)
        seen = lidar.look() if lidar is not None and robot.data.time < noise.maps_until else None
        output = policy.step(link.read(told, seen))
        log.add_estimates(robot, output)
        link.drive(output.joint_targets, seconds=period)
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


_TORQUES = "joint_torques"
_SIGNALS = tuple(name for name in SENSORS if name != "velocity_commands")


class Link:
    """What lies between a policy and the sensors and drives of one robot, for a whole walk.

    After :class:`rl_sim_env.mdp.hardware_sensors.HardwareSensors`, written anew.

    Args:
        robot: The robot.
        drawn: What training drew.
        rng: What draws it here.
        sensors: ``ideal``, the middle of it, or as on ``hardware``.
        noise: Noise of the sensors.
    """

    def __init__(
        self,
        robot: MujocoRobot,
        drawn: Drawn,
        rng: np.random.Generator,
        *,
        sensors: SensorModel,
        noise: SensorNoise,
    ) -> None:
        self._robot, self._noise, self._rng = robot, noise, rng
        self._longest = np.array(
            [drawn.torque_delay if name == _TORQUES else drawn.signal_delay for name in _SIGNALS]
        )
        self._delays, self._command_delay = self._longest / 2.0, drawn.command_delay / 2.0
        self._hardware = drawn.hardware if sensors == "hardware" else None
        self._encoder_offset = np.zeros(len(robot.joint_pos))
        if self._hardware is not None:
            self._draw(self._hardware, drawn.command_delay)
        # Newest first.
        depth = math.ceil(self._longest.max() / TIME_STEP) + 1
        self._past: deque[list[Vector]] = deque(maxlen=depth)
        self._sample()

    def _draw(self, hardware: HardwareSensorsCfg, command_delay: float) -> None:
        """Draw one robot's errors in place of the middle."""
        rng, num_joints = self._rng, len(self._robot.joint_pos)

        def off(limit: float, size: int = num_joints) -> Vector:
            return rng.uniform(-limit, limit, size)

        self._delays = rng.uniform(0.0, self._longest)
        self._command_delay = rng.uniform(0.0, command_delay)
        self._gain = 1.0 + off(hardware.torque_constant, 1)
        self._gain = self._gain * (1.0 + off(hardware.joint_torque_constant))
        self._torque_offset = hardware.torque_offset * rng.standard_normal(num_joints)
        self._gyro_bias = off(hardware.gyro_bias, 3)
        self._encoder_offset = off(hardware.encoder_offset)
        self._mounting, turn = np.empty(9), np.empty(4)
        mujoco.mju_euler2Quat(turn, off(hardware.imu_mounting, 3), "xyz")
        mujoco.mju_quat2Mat(self._mounting, turn)
        self._robot.set_drives(
            friction=rng.uniform(0.0, hardware.joint_friction, num_joints),
            armature=rng.uniform(0.0, hardware.armature),
        )

    def _sample(self) -> None:
        """Take in the state after a physics step."""
        self._past.appendleft([getattr(self._robot, name).copy() for name in _SIGNALS])

    def read(self, command: Vector, ground: HeightGrid | None) -> SensorReading:
        """What the policy is told."""
        delays = self._delays
        if self._hardware is not None:
            limit = self._hardware.delay_jitter
            jitter = self._rng.uniform(-limit, limit, len(_SIGNALS))
            delays = np.clip(delays + jitter, 0.0, self._longest)
        ages = np.minimum(np.round(delays / TIME_STEP).astype(int), len(self._past) - 1)
        measured = {
            name: self._past[age][column]
            for column, (name, age) in enumerate(zip(_SIGNALS, ages, strict=True))
        }
        if self._hardware is not None:
            self._put_off(measured, self._hardware)
        for name, value in measured.items():
            spread = getattr(self._noise, name)
            measured[name] = value + spread * self._rng.standard_normal(value.shape)
        return SensorReading(**measured, velocity_commands=command, ground=ground)

    def _put_off(self, measured: dict[str, Vector], hardware: HardwareSensorsCfg) -> None:
        """Add all that is off but the noise that :class:`SensorNoise` has."""
        from_imu = self._mounting.reshape(3, 3)
        measured["base_ang_vel"] = measured["base_ang_vel"] @ from_imu + self._gyro_bias
        measured["projected_gravity"] = measured["projected_gravity"] @ from_imu
        measured["joint_pos"] = measured["joint_pos"] + self._encoder_offset
        torques = self._gain * measured[_TORQUES] + self._torque_offset
        step = hardware.torque_resolution
        measured[_TORQUES] = step * np.round(torques / step) if step else torques

    def drive(self, targets: NDArray[np.floating], *, seconds: float) -> None:
        """Let time pass [s] under joint targets [rad] of the policy."""
        self._robot.advance(
            targets - self._encoder_offset,
            seconds=seconds,
            delay=self._command_delay,
            on_step=self._sample,
        )


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
