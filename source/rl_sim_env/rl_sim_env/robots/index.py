"""Indices of a robot's parts in the simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from rl_sim_env.robots.robot import Boom, Robot

if TYPE_CHECKING:
    from mjlab.entity import Entity


class RobotIndex:
    """Indices of the named parts as device tensors, so that no term searches a string in a step.

    Indices are local to the robot entity (they index ``robot.data``) unless said otherwise.

    Attributes:
        leg_joints: Driven joints in the robot's order. Shape (num_leg_joints,).
        boom_joints: Angle and length joint of the boom; empty where there is none.
        foot_sites: Centres of the feet, one for each leg. Shape (num_legs,).
        foot_geoms_global: Spheres of the feet in the simulation's model. Shape (num_legs,).
        foot_radius: Radius of these spheres [m].
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
        self.foot_sites = tensor(entity.find_sites(robot.feet, preserve_order=True)[0])
        self.foot_geoms_global = entity.indexing.geom_ids[
            tensor(entity.find_geoms(robot.foot_geoms, preserve_order=True)[0])
        ]
        self.foot_radius = float(entity.data.model.geom_size[0, int(self.foot_geoms_global[0]), 0])
        self.bodies_global = entity.indexing.body_ids
        self.base_body_global = body_global(robot.base_body)
        self.payload_body_global = None if payload is None else body_global(payload.body)
