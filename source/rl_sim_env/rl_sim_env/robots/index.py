"""Indices of a robot's parts in the simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from rl_sim_env.robots.robot import Boom, Robot

if TYPE_CHECKING:
    from mjlab.entity import Entity


def base_orientation(entity: Entity) -> tuple[slice, slice]:
    """Where the quaternion of a free base is in ``qpos``, and its angular velocity in ``qvel``.

    As slices, which take no kernel to read: the places of a free joint are in a row.
    """
    qpos = int(entity.indexing.free_joint_q_adr[0])
    qvel = int(entity.indexing.free_joint_v_adr[0])
    return slice(qpos + 3, qpos + 7), slice(qvel + 3, qvel + 6)


class RobotIndex:
    """Indices of the named parts as device tensors, so that no term searches a string in a step.

    Indices are local to the robot entity (they index ``robot.data``) unless said otherwise.

    Attributes:
        leg_joints: Driven joints in the robot's order. Shape (num_leg_joints,).
        boom_joints: Angle and length joint of the boom; empty where there is none.
        leg_qpos_global: Where positions of the leg joints are in ``qpos``. Shape (num_leg_joints,).
        leg_dofs_global: Where their velocities, accelerations and forces are in ``qvel`` and fields
            like it. Shape (num_leg_joints,).
        foot_sites_global: Centres of the feet in the simulation's model. Shape (num_legs,).
        foot_bodies_global: Bodies that carry them there. Shape (num_legs,).
        foot_geoms_global: Spheres of the feet in the simulation's model. Shape (num_legs,).
        foot_radius: Radius of these spheres [m].
        base_quat_global: Quaternion of the base in ``qpos``.
        base_lin_vel_global: Velocity of its origin in ``qvel``, world frame.
        base_ang_vel_global: Its angular velocity in ``qvel``, base frame.
        bodies_global: All bodies of the robot in the simulation's model.
        base_body_global: Trunk in the simulation's model.
        payload_body_global: What carries the load there; None where the robot carries nothing.
    """

    def __init__(self, entity: Entity, robot: Robot, device: str) -> None:
        def tensor(ids: list[int]) -> torch.Tensor:
            return torch.tensor(ids, dtype=torch.long, device=device)

        def joints(names: tuple[str, ...]) -> torch.Tensor:
            return tensor(entity.find_joints(names, preserve_order=True)[0] if names else [])

        def body_global(name: str) -> int:
            return int(entity.indexing.body_ids[entity.find_bodies((name,))[0][0]])

        payload = robot.payload
        self.leg_joints = joints(robot.leg_joints)
        self.boom_joints = joints(payload.joints if isinstance(payload, Boom) else ())
        indexing, model = entity.indexing, entity.data.model
        sites = entity.find_sites(robot.feet, preserve_order=True)[0]
        geoms = entity.find_geoms(robot.foot_geoms, preserve_order=True)[0]
        # mjlab's indices have 32 bits; torch would convert them whenever something is read by them.
        self.leg_qpos_global = indexing.joint_q_adr[self.leg_joints].long()
        self.leg_dofs_global = indexing.joint_v_adr[self.leg_joints].long()
        self.foot_sites_global = indexing.site_ids[sites].long()
        self.foot_bodies_global = model.site_bodyid[self.foot_sites_global].long()
        self.foot_geoms_global = indexing.geom_ids[geoms].long()
        self.foot_radius = float(model.geom_size[0, int(self.foot_geoms_global[0]), 0])
        self.base_quat_global, self.base_ang_vel_global = base_orientation(entity)
        begin = self.base_ang_vel_global.start
        self.base_lin_vel_global = slice(begin - 3, begin)
        self.bodies_global = indexing.body_ids.long()
        self.base_body_global = body_global(robot.base_body)
        self.payload_body_global = None if payload is None else body_global(payload.body)
