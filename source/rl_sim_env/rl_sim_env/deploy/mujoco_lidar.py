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
        self._x, self._y = np.meshgrid(facts.offset + forward, left)
        self._heights = np.full(facts.shape, np.nan)
        self._scanned = -math.inf

    def look(self) -> HeightGrid:
        """The latest map; a new one once the time of a scan has passed."""
        now = self._robot.data.time
        if now - self._scanned >= 1.0 / self._facts.rate - 1e-9:
            self._heights, self._scanned = self._scan(), now
        return HeightGrid(
            heights=self._heights,
            resolution=self._facts.resolution,
            offset=self._facts.offset,
            age=now - self._scanned,
        )

    def _scan(self) -> Vector:
        base = self._robot.base_pos.copy()
        rotation = np.empty(9)
        mujoco.mju_quat2Mat(rotation, self._robot.quaternion)
        rotation = rotation.reshape(3, 3)
        yaw = math.atan2(rotation[1, 0], rotation[0, 0])
        x = base[0] + math.cos(yaw) * self._x - math.sin(yaw) * self._y
        y = base[1] + math.sin(yaw) * self._x + math.cos(yaw) * self._y
        heights = np.full(x.shape, np.nan)
        for cell in np.ndindex(x.shape):
            point = np.array((x[cell], y[cell], self._robot.ground_height(x[cell], y[cell], _SKY)))
            if not math.isfinite(point[2]):
                continue
            if any(self._sees(lidar, base, rotation, point) for lidar in self._facts.lidars):
                heights[cell] = point[2] - base[2] + self._noise * self._rng.standard_normal()
        return heights

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
    cos, sin = math.cos(lidar.yaw), math.sin(lidar.yaw)
    x, y, z = cos * ray[0] + sin * ray[1], -sin * ray[0] + cos * ray[1], ray[2]
    cos, sin = math.cos(lidar.pitch), math.sin(lidar.pitch)
    return np.array((cos * x - sin * z, y, sin * x + cos * z))
