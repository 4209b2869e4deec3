"""Lidars of the robot in plain MuJoCo, by its own rays: no code is shared with the trainer's."""

from __future__ import annotations

import math

import mujoco
import numpy as np

from rl_sim_env.deploy.ground import HeightGrid
from rl_sim_env.deploy.metadata import LidarFacts, MapFacts
from rl_sim_env.deploy.mujoco_robot import MujocoRobot, Vector

_SKY = 5.0
"""Rays that look for the ground come down from so far above the base [m]."""
_REACHED = 0.02
"""A ray has reached a cell where it ends no farther from it [m]."""


class MujocoLidar:
    """Maps of the ground around a robot, at the rate of its training.

    Between scans the latest is moved along with the robot, as a robot does that has odometry.

    Args:
        robot: The robot.
        facts: Its maps and lidars.
        noise: Standard deviation of each height [m].
        rng: Source of the noise.
    """

    def __init__(
        self, robot: MujocoRobot, facts: MapFacts, noise: float, rng: np.random.Generator
    ) -> None:
        self._robot, self._facts, self._noise, self._rng = robot, facts, noise, rng
        forward, left = (
            (np.arange(number) - 0.5 * (number - 1)) * facts.resolution for number in facts.grid
        )
        x, y = np.meshgrid(facts.offset + forward, left)
        self._x, self._y = x.astype(np.float64), y.astype(np.float64)
        # Heights in the world, where the robot was and how it was turned, and when.
        self._ground = np.full(facts.shape, np.nan)
        self._base, self._yaw, self._scanned = robot.base_pos.copy(), 0.0, -math.inf

    def look(self) -> HeightGrid:
        """The latest map, from where the robot is; a new one once the time of a scan has passed."""
        now = self._robot.data.time
        if now - self._scanned >= 1.0 / self._facts.rate - 1e-9:
            self._scan()
            self._scanned = now
        return HeightGrid(
            heights=self._moved_along(),
            resolution=self._facts.resolution,
            offset=self._facts.offset,
            age=now - self._scanned,
        )

    def _moved_along(self) -> Vector:
        """The latest map where it is known from here, by nearest cells."""
        base, yaw, _ = self._pose()
        x, y = _turned_by(yaw, self._x, self._y)
        shift = base - self._base
        x, y = _turned_by(-self._yaw, x + shift[0], y + shift[1])
        column = np.rint((x - self._x[0, 0]) / self._facts.resolution).astype(int)
        row = np.rint((y - self._y[0, 0]) / self._facts.resolution).astype(int)
        rows, columns = self._facts.shape
        inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        nearest = self._ground[row.clip(0, rows - 1), column.clip(0, columns - 1)]
        return np.where(inside, nearest - base[2], np.nan)

    def _pose(self) -> tuple[Vector, float, Vector]:
        """Where the base is, how it is turned, and its rotation matrix."""
        rotation = np.empty(9)
        mujoco.mju_quat2Mat(rotation, self._robot.quaternion)
        rotation = rotation.reshape(3, 3)
        yaw = math.atan2(rotation[1, 0], rotation[0, 0])
        return self._robot.base_pos.copy(), yaw, rotation

    def _scan(self) -> None:
        base, self._yaw, rotation = self._pose()
        self._base = base
        x, y = _turned_by(self._yaw, self._x, self._y)
        x, y = base[0] + x, base[1] + y
        heights = np.full(x.shape, np.nan)
        for cell in np.ndindex(x.shape):
            point = np.array((x[cell], y[cell], self._robot.ground_height(x[cell], y[cell], _SKY)))
            if not math.isfinite(point[2]):
                continue
            if any(self._sees(lidar, base, rotation, point) for lidar in self._facts.lidars):
                heights[cell] = point[2] + self._noise * self._rng.standard_normal()
        self._ground = heights

    def _sees(self, lidar: LidarFacts, base: Vector, rotation: Vector, point: Vector) -> bool:
        start = base + rotation @ np.array(lidar.position)
        ray = point - start
        x, y, z = _turned(rotation.T @ ray, lidar)
        azimuth, elevation = math.atan2(y, x), math.atan2(z, math.hypot(x, y))
        if abs(azimuth) > lidar.half_angles[0] or abs(elevation) > lidar.half_angles[1]:
            return False
        length = float(np.linalg.norm(ray))
        hit = self._robot.cast(start, ray / length)
        return hit < 0.0 or hit >= length - _REACHED


def _turned(ray: Vector, lidar: LidarFacts) -> Vector:
    """A direction in the base frame as the lidar has it, which looks along its x."""
    x, y = _turned_by(-lidar.yaw, ray[0], ray[1])
    x, z = _turned_by(lidar.pitch, x, ray[2])
    return np.array((x, y, z))


def _turned_by(angle: float, x: Vector, y: Vector) -> tuple[Vector, Vector]:
    """Points of a plane, turned about its origin from the first axis to the second."""
    cos, sin = math.cos(angle), math.sin(angle)
    return cos * x - sin * y, sin * x + cos * y
