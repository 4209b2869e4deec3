"""Where the walks of an evaluation begin: on what a tile is there for, not on its platform."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import mujoco
import numpy as np
import torch

from rl_sim_env.evaluation.ground_under import is_feature
from rl_sim_env.geometry import turned, upright_quat
from rl_sim_env.mdp.terminations import generated_tiles
from rl_sim_env.terrains.presets import PIT_FAMILIES

if TYPE_CHECKING:
    from mjlab.managers.event_manager import EventTermCfg

    from rl_sim_env.envs import AmpVaeEnv

WHERE = (
    "robots begin on the feature of their tile, at a random place and heading, on level and on "
    "rough ground in the middle of the tile, and do so again where they leave it"
)
"""What reports say of it."""

TRIES = 32
"""Places that are drawn for a robot, of which it gets the first that will do. Seven of eight do and
more, between pits one of six."""

ROOM = 1.0
"""Least distance from the edge of the tile, where a walk ends [m]."""

CLEARANCE = 0.01
"""Of the feet above the highest ground below the robot [m]: the map's cells are not all exact."""

FOOTING = 0.05
"""Where there are pits, the ground under all feet is as high to this [m]: no foot is above one."""


class BeginOnFeature:
    """Puts robots that begin anew on the feature of their tile, at a random place and heading.

    They stand level, in the pose that the task begins with, just above the highest ground below
    them. Who begins on the feature anyway, as on rough ground, or finds none, as on level ground,
    stays where the task has put it: in the middle of the tile. Comes after the task's own events.
    """

    def __init__(self, cfg: EventTermCfg, env: AmpVaeEnv) -> None:
        (feet, joints), radius = _standing_legs(env), env.index.foot_radius
        self._feet = feet[:, :2]
        self._height = radius - float(feet[:, 2].min())
        # The rectangle around feet and knees, which may stand out, without a cell left out.
        legs, cell = torch.cat((feet, joints))[:, :2], env.height_map.resolution
        lows, highs = legs.amin(dim=0) - radius - cell, legs.amax(dim=0) + radius + cell
        sides = [
            torch.arange(low, high + cell, cell, device=env.device)
            for low, high in zip(lows.tolist(), highs.tolist(), strict=True)
        ]
        self._below = torch.cartesian_prod(*sides)
        has_pits = [name in PIT_FAMILIES for name in env.terrain_types.names]
        self._has_pits = torch.tensor(has_pits, device=env.device)
        self._reach: torch.Tensor | None = None
        if (tiles := generated_tiles(env)) is not None:
            size = torch.tensor(tiles[1].size, device=env.device)
            self._reach = (0.5 * size - ROOM).clamp(min=0.0)

    def __call__(
        self,
        env: AmpVaeEnv,
        env_ids: torch.Tensor,
        *,
        heading: torch.Tensor | None,
        from_middle: torch.Tensor | None,
    ) -> None:
        """Put them there.

        Args:
            env: The environment.
            env_ids: Environments that begin anew.
            heading: Direction that robots look in [rad], shape (num_envs,); NaN: drawn. None before
                there is an arena, as is the next.
            from_middle: Who begins in the middle of the tile. Shape (num_envs,), bool.
        """
        if heading is None or from_middle is None:
            return
        heading, from_middle = heading[env_ids, None], from_middle[env_ids]
        address = env.robot.indexing.free_joint_q_adr
        pose = env.robot.data.data.qpos[env_ids[:, None], address]
        pose[:, 3:7] = torch.where(
            heading.isnan(), pose[:, 3:7], upright_quat(heading.squeeze(dim=-1))
        )
        if self._reach is not None:
            found, is_found = self._find(env, env_ids, heading, self._reach)
            stays = from_middle | is_feature(env.height_map, pose[:, :2]) | ~is_found
            pose = torch.where(stays[:, None], pose, found)
        env.robot.write_root_link_pose_to_sim(pose, env_ids=env_ids)

    def _find(
        self, env: AmpVaeEnv, env_ids: torch.Tensor, heading: torch.Tensor, reach: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Poses on the feature, shape (len(env_ids), 7), and whether there is one.

        Args:
            env: The environment.
            env_ids: Environments that begin anew.
            heading: Their headings [rad], shape (len(env_ids), 1); NaN: drawn.
            reach: Greatest distance from the middle of the tile in x and y [m]. Shape (2,).
        """
        num, heights = len(env_ids), env.height_map.heights
        offset = reach * (2.0 * torch.rand(num, TRIES, 2, device=env.device) - 1.0)
        xy = env.scene.env_origins[env_ids, None, :2] + offset
        yaw = math.pi * (2.0 * torch.rand(num, TRIES, device=env.device) - 1.0)
        yaw = torch.where(heading.isnan(), yaw, heading)
        under_feet = heights(xy[..., None, :] + turned(self._feet, yaw[..., None]))
        drop = under_feet.amax(dim=-1) - under_feet.amin(dim=-1)
        has_footing = (drop < FOOTING) | ~self._has_pits[env.terrain_types.ids[env_ids], None]
        will_do = is_feature(env.height_map, xy) & has_footing
        first = will_do.int().argmax(dim=1)
        row = torch.arange(num, device=env.device)
        xy, yaw = xy[row, first], yaw[row, first]
        below = heights(xy[:, None] + turned(self._below, yaw[:, None]))
        z = below.amax(dim=1, keepdim=True) + self._height + CLEARANCE
        return torch.cat((xy, z, upright_quat(yaw)), dim=-1), will_do.any(dim=1)


def _standing_legs(env: AmpVaeEnv) -> tuple[torch.Tensor, torch.Tensor]:
    """Centres of the feet and joints of the legs in the default pose, base frame [m].

    Shapes (num_legs, 3) and (num_leg_joints, 3).
    """
    index, model = env.index, env.sim.mj_model
    data = mujoco.MjData(model)
    address = index.leg_qpos_global.tolist()
    data.qpos[address] = env.default_leg_joint_pos[0].tolist()
    mujoco.mj_kinematics(model, data)
    base = index.base_body_global

    def seen_from_base(position: np.ndarray) -> torch.Tensor:
        local = (position - data.xpos[base]) @ data.xmat[base].reshape(3, 3)
        return torch.tensor(local, dtype=torch.float32, device=env.device)

    feet = data.site_xpos[index.foot_sites_global.tolist()]
    joints = data.xanchor[np.isin(model.jnt_qposadr, address)]
    return seen_from_base(feet), seen_from_base(joints)
