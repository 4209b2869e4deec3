"""Which parts of a robot the task needs, found by name and checked once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import mujoco
import torch

from rl_sim_env.errors import UserError

if TYPE_CHECKING:
    from mjlab.entity import Entity


OTHER_SIDE = (1, 0, 3, 2)
"""Of each leg the one on the other side. Canonical order: front left, front right, rear left, rear
right."""


@dataclass(kw_only=True, frozen=True)
class RobotNames:
    """Names in the robot's MJCF that the task refers to."""

    base_body: str
    """Trunk body, which carries the free joint."""

    leg_joints: tuple[str, ...]
    """Driven joints in canonical order, by type and then by leg: the order of actions, observations
    and motion clips."""

    feet: tuple[str, ...]
    """Feet in canonical order. Each name is a body and a site at the contact sphere's centre."""

    foot_geoms: tuple[str, ...]
    """Collision geoms of the feet, same order."""

    thighs_and_calves: tuple[str, ...]
    """Bodies that should not touch anything."""

    arm_angle_joint: str
    """Hinge that swivels the boom about the vertical."""

    arm_length_joint: str
    """Slide that sets the radius at which the load hangs."""

    load_body: str
    """Body at the boom's end whose mass is the carrier plus the load."""


def check_robot_model(spec: mujoco.MjSpec, names: RobotNames, source: str) -> None:
    """Check that a robot model has every part the task needs.

    Args:
        spec: The robot's model, before it is attached to a scene.
        names: What the task needs.
        source: Where the model came from, for the message.

    Raises:
        UserError: Parts are missing; the message lists all of them.
    """
    present = {
        "body": {body.name for body in spec.bodies},
        "joint": {joint.name for joint in spec.joints},
        "site": {site.name for site in spec.sites},
        "geom": {geom.name for geom in spec.geoms},
    }
    needed = {
        "body": (names.base_body, *names.feet, *names.thighs_and_calves, names.load_body),
        "joint": (*names.leg_joints, names.arm_angle_joint, names.arm_length_joint),
        "site": names.feet,
        "geom": names.foot_geoms,
    }
    missing = [
        f"{kind} '{name}'"
        for kind, kind_names in needed.items()
        for name in kind_names
        if name not in present[kind]
    ]
    if not any(
        joint.type == mujoco.mjtJoint.mjJNT_FREE and joint.parent.name == names.base_body
        for joint in spec.joints
    ):
        missing.append(f"free joint on body '{names.base_body}'")
    if missing:
        raise UserError(
            f"robot model {source} lacks {', '.join(missing)}. "
            "Rename the parts in the model or pass your own RobotNames."
        )


class RobotIndex:
    """Indices of the named parts as device tensors, so that no term searches a string in a step.

    Indices are local to the robot entity (they index ``robot.data``) unless said otherwise.
    """

    def __init__(self, robot: Entity, names: RobotNames, device: str) -> None:
        def tensor(ids: list[int]) -> torch.Tensor:
            return torch.tensor(ids, dtype=torch.long, device=device)

        self.names = names
        self.leg_joints = tensor(robot.find_joints(names.leg_joints, preserve_order=True)[0])
        self.arm_joints = tensor(
            robot.find_joints((names.arm_angle_joint, names.arm_length_joint), preserve_order=True)[
                0
            ]
        )
        self.foot_sites = tensor(robot.find_sites(names.feet, preserve_order=True)[0])
        self.foot_geoms_global = robot.indexing.geom_ids[
            tensor(robot.find_geoms(names.foot_geoms, preserve_order=True)[0])
        ]
        self.foot_radius = float(robot.data.model.geom_size[0, int(self.foot_geoms_global[0]), 0])
        self.bodies_global = robot.indexing.body_ids
        base_id = robot.find_bodies((names.base_body,))[0][0]
        load_id = robot.find_bodies((names.load_body,))[0][0]
        self.base_body_global = int(robot.indexing.body_ids[base_id])
        self.load_body_global = int(robot.indexing.body_ids[load_id])
