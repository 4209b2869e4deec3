"""A robot's trunk and legs as mass points, and what its feet press on the ground with."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
import torch

from rl_sim_env.motions.kinematics import LegKinematics
from rl_sim_env.robots import Robot, load_model
from rl_sim_env.robots.robot import joint_columns

LEAST_ARM = 0.003
"""Lever arms [m] below which a joint tells nothing of a force, as of a leg that is stretched."""


@dataclass(frozen=True, kw_only=True)
class Sensed:
    """What robots sense in a step, in SI units and base coordinates, (N, J) and (N, 3)."""

    joint_pos: torch.Tensor
    joint_vel: torch.Tensor
    torques: torch.Tensor
    """Of the drives; columns of joints are in the robot's order."""

    ang_vel: torch.Tensor
    down: torch.Tensor
    """Direction of gravity, of length 1."""


@dataclass(frozen=True, kw_only=True)
class PlacedLegs:
    """Legs at some joint angles, in base coordinates; (N, legs, 3) is leg by joint."""

    axes: torch.Tensor
    """Unit axes, shape (N, legs, 3, 3)."""

    anchors: torch.Tensor
    """Points on them [m], shape (N, legs, 3, 3)."""

    points: torch.Tensor
    """Mass points of what hangs between a joint and the next [m], (N, legs, 3, points, 3)."""

    touching: torch.Tensor
    """Where feet would touch the ground [m], shape (N, legs, 3)."""


class LegModel:
    """Masses and geometry of a robot without load whose legs have three hinges each.

    Its bodies are mass points that have their mass, centre and inertia. What hangs on no leg moves
    with the base.

    Args:
        robot: The robot.
        device: Where the tensors live.

    Attributes:
        mass: Mass of the robot [kg].
        com: Its centre of mass in the default pose, base frame [m], shape (3,).
        trunk: Mass points of what hangs on no leg, base frame [m], shape (points, 3).
        trunk_mass: Mass of one of them [kg].
        link_mass: Mass of one of a link's points [kg], shape (legs, 3, 1, 1).
        armature: Inertia of the drives as their joints feel it [kg m^2], shape (legs, 3).

    Raises:
        UserError: The legs are of another kind.
    """

    def __init__(self, robot: Robot, device: str) -> None:
        legs = LegKinematics.from_robot(robot)
        self._columns = joint_columns(legs.legs, legs.joint_names)
        self._foot_radius = legs.foot_radius

        def tensor(values: np.ndarray) -> torch.Tensor:
            return torch.tensor(values, dtype=torch.float32, device=device)

        self._axis, self._anchor, self._foot = map(tensor, (legs.axis, legs.anchor, legs.foot))
        model = load_model(robot).compile()
        data = mujoco.MjData(model)
        base = model.body(robot.base_body).id
        joints = [[model.joint(name).id for name in leg.joints] for leg in robot.legs]
        addresses = [model.joint(name).qposadr[0] for name in robot.leg_joints]

        data.qpos[addresses] = 0.0
        mujoco.mj_kinematics(model, data)
        moments = np.zeros((len(joints), 3, 4, 4))
        of_trunk = np.zeros((4, 4))
        for body in range(model.nbody):
            place = _hangs_on(model, body, joints)
            of = of_trunk if place is None else moments[place]
            of += _moments(model, data, body, base)
        self.trunk_mass, self.trunk = map(tensor, _points(of_trunk))
        link_mass, self._links = map(tensor, _points(moments))
        self.link_mass = link_mass[..., None, None]
        self.armature = tensor(model.dof_armature[model.jnt_dofadr[joints]])

        data.qpos[addresses] = robot.default_joint_pos
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        self.mass = float(model.body_subtreemass[base])
        self.com = tensor(
            (data.subtree_com[base] - data.xpos[base]) @ data.xmat[base].reshape(3, 3)
        )

    def of_legs(self, of_joints: torch.Tensor) -> torch.Tensor:
        """Values of joints in the robot's order, (N, J), leg by joint, (N, legs, 3)."""
        return of_joints[:, self._columns]

    def place(self, sensed: Sensed) -> PlacedLegs:
        """The legs at their sensed angles."""
        angles = self.of_legs(sensed.joint_pos)
        axes, anchors, points = (
            each.expand(len(angles), *each.shape).clone()
            for each in (self._axis, self._anchor, self._links)
        )
        foot = self._foot.expand(len(angles), -1, -1)
        for kind in (2, 1, 0):
            turn = _Turn(self._axis[:, kind], self._anchor[:, kind], angles[..., kind])
            further = slice(kind + 1, None)
            foot = turn.point(foot[:, :, None]).squeeze(2)
            hanging = turn.point(points[:, :, kind:].flatten(2, 3))
            points[:, :, kind:] = hanging.unflatten(2, (-1, points.shape[3]))
            anchors[:, :, further] = turn.point(anchors[:, :, further])
            axes[:, :, further] = turn.direction(axes[:, :, further])
        touching = foot + self._foot_radius * sensed.down[:, None]
        return PlacedLegs(axes=axes, anchors=anchors, points=points, touching=touching)

    def first_moment(self, placed: PlacedLegs) -> torch.Tensor:
        """Mass times centre of mass, base frame [kg m], shape (N, 3)."""
        of_links = (self.link_mass * placed.points).sum(dim=(1, 2, 3))
        return of_links + self.trunk_mass * self.trunk.sum(dim=0)

    def weights(self, placed: PlacedLegs, gravity: torch.Tensor) -> torch.Tensor:
        """What gravity [m/s^2], (N, 3), does about each joint [N m], shape (N, legs, 3)."""
        weight = (self.link_mass * gravity[:, None, None, None]).expand_as(placed.points)
        moment = torch.linalg.cross(placed.points, weight).sum(dim=-2)
        force, moment = outboard(weight.sum(dim=-2)), outboard(moment)
        about = moment - torch.linalg.cross(placed.anchors, force)
        return (placed.axes * about).sum(dim=-1)

    def wrench(self, placed: PlacedLegs, held: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the ground presses the robot with.

        Args:
            placed: Its legs.
            held: What the ground does about each joint, J' f [N m], shape (N, legs, 3).

        Returns:
            Force under each foot [N], shape (N, legs, 3), and of all of them force [N] and moment
            about the origin of the base [N m], shape (N, 6); base frame.
        """
        touching = placed.touching
        # Rows are joints: J'.
        lever = torch.linalg.cross(placed.axes, touching[:, :, None] - placed.anchors)
        damped = lever.mT @ lever + LEAST_ARM**2 * torch.eye(3, device=lever.device)
        feet = torch.linalg.solve(damped, lever.mT @ held[..., None]).squeeze(-1)
        moment = torch.linalg.cross(touching, feet)
        return feet, torch.cat((feet.sum(dim=1), moment.sum(dim=1)), dim=-1)


def outboard(of_links: torch.Tensor) -> torch.Tensor:
    """Sums over each link and those that hang on it, shape (N, legs, 3, ...)."""
    return of_links.flip(2).cumsum(dim=2).flip(2)


class _Turn:
    """Turns about axes (legs, 3) through anchors (legs, 3) by angles (N, legs): Rodrigues."""

    def __init__(self, axis: torch.Tensor, anchor: torch.Tensor, angle: torch.Tensor) -> None:
        self._axis, self._anchor = axis[:, None], anchor[:, None]
        self._sin, self._cos = angle.sin()[..., None, None], angle.cos()[..., None, None]

    def direction(self, vector: torch.Tensor) -> torch.Tensor:
        """Of vectors, shape (N, legs, any, 3)."""
        along = (vector * self._axis).sum(dim=-1, keepdim=True) * self._axis
        across = torch.linalg.cross(self._axis.expand_as(vector), vector)
        return along + self._cos * (vector - along) + self._sin * across

    def point(self, point: torch.Tensor) -> torch.Tensor:
        """Of points, shape (N, legs, any, 3)."""
        return self._anchor + self.direction(point - self._anchor)


def _moments(model: mujoco.MjModel, data: mujoco.MjData, body: int, base: int) -> np.ndarray:
    """Integral of [x, 1] [x, 1]' over the mass of a body, x in base coordinates. Shape (4, 4)."""
    to_base = data.xmat[base].reshape(3, 3).T
    center = to_base @ (data.xipos[body] - data.xpos[base])
    axes = to_base @ data.ximat[body].reshape(3, 3)
    inertia = model.body_inertia[body]
    mass = model.body_mass[body]
    moments = np.zeros((4, 4))
    moments[:3, :3] = axes @ np.diag(0.5 * inertia.sum() - inertia) @ axes.T
    moments += mass * np.outer([*center, 1.0], [*center, 1.0])
    return moments


def _points(moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Six equal mass points that have these moments, shape (..., 4, 4), on the principal axes.

    Returns:
        Mass of a point [kg], shape (...), and the points [m], shape (..., 6, 3).
    """
    mass = moments[..., 3, 3]
    center = moments[..., :3, 3] / mass[..., None]
    spread = moments[..., :3, :3] / mass[..., None, None]
    squares, axes = np.linalg.eigh(spread - center[..., :, None] * center[..., None, :])
    arms = axes.swapaxes(-1, -2) * np.sqrt(3.0 * np.maximum(squares, 0.0))[..., None]
    return mass / 6.0, center[..., None, :] + np.concatenate((arms, -arms), axis=-2)


def _hangs_on(model: mujoco.MjModel, body: int, joints: list[list[int]]) -> tuple[int, int] | None:
    """Leg and kind of the joint that a body hangs on; None for what is no part of a leg."""
    places = {joint: (leg, kind) for leg, of in enumerate(joints) for kind, joint in enumerate(of)}
    while body:
        first = model.body_jntadr[body]
        for joint in range(first, first + model.body_jntnum[body]):
            if joint in places:
                return places[joint]
        body = model.body_parentid[body]
    return None
