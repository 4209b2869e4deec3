"""Which cells of a map the lidars of a robot see past ground, trunk and legs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from mjlab.utils.lab_api.math import matrix_from_quat, quat_from_euler_xyz

from rl_sim_env.errors import UserError
from rl_sim_env.mdp.exteroception_cfg import LidarCfg, MapCfg

if TYPE_CHECKING:
    from rl_sim_env.envs import AmpVaeEnv

NUM_SAMPLES = 10
"""Places on the way to a cell at which the ground may be in between."""

CLEARANCE = 0.02
"""Ground that rises above a ray by no more than this does not hide [m]: its height is that of the
nearest cell."""

LEG_RADIUS = 0.04
"""Of the spheres that stand for the legs [m]."""

_ALONG_THIGH, _ALONG_CALF = (0.35, 0.8), (0.15, 0.4, 0.65, 0.9)
"""Where on thigh and calf they are, from the joint on."""


def nearest_cell(cfg: MapCfg, places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The cell at each place, and whether there is one: else it is some cell at the map's rim.

    Args:
        cfg: The map.
        places: Forward and to the left of the base [m], shape (..., 2).

    Returns:
        Indices, long, and bool, shape (...) each.
    """
    forward, left = cfg.grid
    # Numbers, not tensors of them, and integers that are clamped: a GPU may capture it, and NaN
    # stays within the map.
    column, row = (
        ((along - side[0]) / cfg.resolution).round().long()
        for along, side in zip(places.unbind(dim=-1), cfg.centers(), strict=True)
    )
    inside = (column >= 0) & (column < forward) & (row >= 0) & (row < left)
    return row.clamp(0, left - 1) * forward + column.clamp(0, forward - 1), inside


def read_maps(
    cfg: MapCfg, shown: torch.Tensor, places: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """What maps show at places.

    Args:
        cfg: The maps.
        shown: Heights [m] and whether they are seen, shape (N, 2, cells).
        places: Forward and to the left of the base at the scan [m], shape (N, points, 2).

    Returns:
        Heights of the nearest cells [m], and 1 where there is one and it is seen, else 0. Shape
        (N, points) each.
    """
    index, inside = nearest_cell(cfg, places)
    heights, seen = shown.gather(2, index[:, None].expand(-1, 2, -1)).unbind(dim=1)
    return heights, seen * inside


class LineOfSight:
    """Casts a ray from every lidar to every cell.

    The ground on the way is read off the map's own cells, at places that are the same for all
    robots: a ray's course is that of a level trunk, while its ends have their true heights. What is
    in between needs a look into a small table then, and no look into the height map.

    Args:
        cfg: The map.
        lidars: What sees.
        env: The environment; its robot's legs and trunk are in the way.

    Attributes:
        cells: Places of the cells forward and to the left of the base [m]. Shape (cells, 2).

    Raises:
        UserError: A lidar is within the trunk.
    """

    def __init__(self, cfg: MapCfg, lidars: Sequence[LidarCfg], env: AmpVaeEnv) -> None:
        device = env.device
        forward, left = (torch.tensor(side, device=device) for side in cfg.centers())
        y, x = torch.meshgrid(left, forward, indexing="ij")
        self.cells = torch.stack((x.flatten(), y.flatten()), dim=-1)
        self._env = env
        self._position = torch.tensor([each.position for each in lidars], device=device)
        angles = torch.tensor([(0.0, each.pitch, each.yaw) for each in lidars], device=device)
        self._axes = matrix_from_quat(quat_from_euler_xyz(*angles.unbind(dim=-1)))
        limits = torch.tensor([each.half_angles for each in lidars], device=device)
        self._azimuth, self._elevation = limits[:, None].unbind(dim=-1)
        self._set_course(cfg)
        robot = env.robot
        self._trunk = _box_of(env)
        self._require_free(lidars)
        names = env.cfg.robot.legs
        bodies = [
            robot.find_bodies(tuple(getattr(leg, part) for leg in names), preserve_order=True)[0]
            for part in ("thigh_body", "calf_body")
        ]
        self._thighs, self._calves = (robot.indexing.body_ids[ids].long() for ids in bodies)
        self._along_thigh = torch.tensor(_ALONG_THIGH, device=device)[:, None]
        self._along_calf = torch.tensor(_ALONG_CALF, device=device)[:, None]

    def _set_course(self, cfg: MapCfg) -> None:
        """Cells that rays pass over, and how far along, shape (lidars, cells, samples) each."""
        device = self.cells.device
        share = torch.arange(1, NUM_SAMPLES + 1, device=device) / (NUM_SAMPLES + 1)
        start = self._position[:, None, None, :2]
        on_the_way = start + share[:, None] * (self.cells[:, None] - start)
        index, inside = nearest_cell(cfg, on_the_way)
        own = torch.arange(len(self.cells), device=device)[:, None]
        # No cell hides itself, and nothing is known of what is beside the map.
        is_end = (index == own) | ~inside
        self._course = torch.where(is_end, own, index).flatten()
        self._share = torch.where(is_end, 1.0, share)

    def _require_free(self, lidars: Sequence[LidarCfg]) -> None:
        center, half_size = self._trunk
        inside = ((self._position - center).abs() < half_size).all(dim=-1).tolist()
        for lidar, is_inside in zip(lidars, inside, strict=True):
            if is_inside:
                raise UserError(
                    f"lidar '{lidar.name}' is at {lidar.position}, within the trunk, which reaches "
                    f"from {(center - half_size).tolist()} to {(center + half_size).tolist()} m; "
                    "it would see nothing"
                )

    def seen(
        self,
        robots: torch.Tensor,
        position: torch.Tensor,
        rotation: torch.Tensor,
        places: torch.Tensor,
        ground: torch.Tensor,
    ) -> torch.Tensor:
        """Which cells some robots see.

        Args:
            robots: Their indices, shape (B,).
            position: Of their bases in the world [m], shape (B, 3).
            rotation: From base to world, shape (B, 3, 3).
            places: Cells in the world [m], shape (B, cells, 2).
            ground: Heights there [m], shape (B, cells).

        Returns:
            Shape (B, cells), bool.
        """
        relative = torch.cat((places, ground[..., None]), dim=-1) - position[:, None]
        # Rows times the matrix: from the world into the base frame.
        target = relative @ rotation
        ray = target[:, None] - self._position[:, None]
        open_to_sky = self._is_over_ground(position, rotation, ground)
        free = ~self._is_behind_trunk(ray) & ~self._is_behind_legs(robots, position, rotation, ray)
        return (self._is_in_view(ray) & open_to_sky & free).any(dim=1)

    def _is_in_view(self, ray: torch.Tensor) -> torch.Tensor:
        """Whether the directions of rays, shape (B, lidars, cells, 3), are in a lidar's view."""
        x, y, z = (ray @ self._axes).unbind(dim=-1)
        azimuth, elevation = torch.atan2(y, x), torch.atan2(z, torch.hypot(x, y))
        return (azimuth.abs() <= self._azimuth) & (elevation.abs() <= self._elevation)

    def _is_over_ground(
        self, position: torch.Tensor, rotation: torch.Tensor, ground: torch.Tensor
    ) -> torch.Tensor:
        """Whether no ground is between lidar and cell, shape (B, lidars, cells)."""
        start = position[:, 2:] + (self._position @ rotation[:, 2, :, None]).squeeze(-1)
        shape = self._share.shape
        between = ground.index_select(1, self._course).unflatten(1, shape)
        ray = torch.lerp(start[:, :, None, None], ground[:, None, :, None], self._share)
        return between.sub_(ray).amax(dim=-1) <= CLEARANCE

    def _is_behind_trunk(self, ray: torch.Tensor) -> torch.Tensor:
        """Whether rays go through the trunk, by the slab method, shape (B, lidars, cells)."""
        center, half_size = self._trunk
        start = (self._position - center)[:, None]
        slow = torch.where(ray.abs() < 1e-6, 1e-6, ray)
        first, second = (-half_size - start) / slow, (half_size - start) / slow
        enters = torch.minimum(first, second).amax(dim=-1)
        leaves = torch.maximum(first, second).amin(dim=-1)
        return (enters < leaves) & (leaves > 0.0) & (enters < 1.0)

    def _is_behind_legs(
        self,
        robots: torch.Tensor,
        position: torch.Tensor,
        rotation: torch.Tensor,
        ray: torch.Tensor,
    ) -> torch.Tensor:
        """Whether rays meet one of the spheres along the legs, shape (B, lidars, cells)."""
        data, index = self._env.sim.data, self._env.index
        rows = robots[:, None]
        hips, knees = data.xpos[rows, self._thighs], data.xpos[rows, self._calves]
        feet = data.site_xpos[rows, index.foot_sites_global]
        # (B, legs, 1, 3) to (B, spheres, 3).
        spheres = torch.cat(
            (
                torch.lerp(hips[:, :, None], knees[:, :, None], self._along_thigh),
                torch.lerp(knees[:, :, None], feet[:, :, None], self._along_calf),
            ),
            dim=2,
        ).flatten(1, 2)
        toward = ((spheres - position[:, None]) @ rotation)[:, None] - self._position[:, None]
        distance = toward.norm(dim=-1, keepdim=True).clamp(min=1.01 * LEG_RADIUS)
        # Half the angle that a sphere fills.
        cosine = (1.0 - (LEG_RADIUS / distance).square()).sqrt().transpose(-1, -2)
        direction = ray / ray.norm(dim=-1, keepdim=True).clamp(min=1e-6)
        # One product with the cosines taken off in it: what it gives is by far the largest here.
        beyond = torch.baddbmm(
            -cosine.flatten(0, 1),
            direction.flatten(0, 1),
            (toward / distance).transpose(-1, -2).flatten(0, 1),
        )
        return (beyond.amax(dim=-1) > 0.0).unflatten(0, ray.shape[:2])


def _box_of(env: AmpVaeEnv) -> tuple[torch.Tensor, torch.Tensor]:
    """Centre and half size of the box around what of the trunk collides, base frame [m]."""
    model = env.sim.mj_model
    collides = (model.geom_contype | model.geom_conaffinity) != 0
    geoms = np.flatnonzero(collides & (model.geom_bodyid == env.index.base_body_global))
    rotation = matrix_from_quat(torch.from_numpy(model.geom_quat[geoms])).numpy()
    local_center, half_size = np.split(model.geom_aabb[geoms], 2, axis=-1)
    center = model.geom_pos[geoms] + (rotation @ local_center[..., None])[..., 0]
    reach = (np.abs(rotation) @ half_size[..., None])[..., 0]
    ends = np.array(((center - reach).min(axis=0), (center + reach).max(axis=0)))
    low, high = torch.tensor(ends, dtype=torch.float, device=env.device)
    return (low + high) / 2.0, (high - low) / 2.0
