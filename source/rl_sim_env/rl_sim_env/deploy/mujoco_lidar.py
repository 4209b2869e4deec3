"""Lidars of the robot in plain MuJoCo, by its own rays: no code is shared with the trainer's."""

from __future__ import annotations

import math

import mujoco
import numpy as np

from rl_sim_env.deploy.ground import HeightGrid
from rl_sim_env.deploy.ground_memory import GroundMemory, ShownMap, turned
from rl_sim_env.deploy.metadata import LidarFacts, MapFacts
from rl_sim_env.deploy.mujoco_robot import MujocoRobot, Vector

_SKY = 5.0
"""Rays that look for the ground come down from so far above the base [m]."""
_REACHED = 0.02
"""A ray has reached a cell where it ends no farther from it [m]."""


class MujocoLidar:
    """Maps of the ground around a robot, at the rate of its training, kept for as long as there.

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
        self._latest: ShownMap | None = None
        self._before = GroundMemory(facts) if facts.keep else None

    def look(self) -> HeightGrid:
        """The latest map, from where the robot is; a new one once the time of a scan has passed."""
        now, latest = self._robot.data.time, self._latest
        base, yaw, rotation = self._pose()
        x, y = turned(yaw, self._x, self._y)
        x, y = base[0] + x, base[1] + y
        if latest is None or now - latest.time >= 1.0 / self._facts.rate - 1e-9:
            if self._before is not None and latest is not None:
                self._before.store(latest, base)
            ground = self._scan(x, y, base, rotation)
            latest = self._latest = ShownMap(self._facts, ground, base, yaw, now)
        heights = latest.at(x, y)
        if self._before is not None:
            heights = np.where(np.isnan(heights), self._before.at(x, y, now), heights)
        return HeightGrid(
            heights=heights - base[2],
            resolution=self._facts.resolution,
            offset=self._facts.offset,
            age=now - latest.time,
            keep=self._facts.keep,
        )

    def _pose(self) -> tuple[Vector, float, Vector]:
        """Where the base is, how it is turned, and its rotation matrix."""
        rotation = np.empty(9)
        mujoco.mju_quat2Mat(rotation, self._robot.quaternion)
        rotation = rotation.reshape(3, 3)
        yaw = math.atan2(rotation[1, 0], rotation[0, 0])
        return self._robot.base_pos.copy(), yaw, rotation

    def _scan(self, x: Vector, y: Vector, base: Vector, rotation: Vector) -> Vector:
        """Heights in the world at cells at x and y, NaN where no lidar sees them."""
        heights = np.full(x.shape, np.nan)
        for cell in np.ndindex(x.shape):
            at = float(x[cell]), float(y[cell])
            point = np.array((*at, self._robot.ground_height(*at, _SKY)))
            if not math.isfinite(point[2]):
                continue
            if any(self._sees(lidar, base, rotation, point) for lidar in self._facts.lidars):
                heights[cell] = point[2] + self._noise * self._rng.standard_normal()
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
    x, y = turned(-lidar.yaw, ray[0], ray[1])
    x, z = turned(lidar.pitch, x, ray[2])
    return np.array((x, y, z))
