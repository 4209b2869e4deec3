"""Mass and centre of mass without learning: out of what the drives hold up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mujoco
import numpy as np
import torch

from rl_sim_env.errors import UserError
from rl_sim_env.mdp.constraints import GRAVITY
from rl_sim_env.motions.kinematics import LegKinematics
from rl_sim_env.robots import Robot, load_model
from rl_sim_env.robots.robot import joint_columns

if TYPE_CHECKING:
    from rl_sim_env.evaluation.arena import Arena
    from rl_sim_env.evaluation.evaluator import EvaluationStep

FORGETTING = 2.0
"""Time that forces are averaged over [s]: the weight of a walking robot swings with its stride."""

PRIOR_TIME = 0.2
"""What the nominal robot counts for as an episode begins, as a time that it was measured [s]."""

LEAST_ARM = 0.003
"""Lever arms [m] below which a joint tells nothing of a force, as of a leg that is stretched."""

_READ = ("projected_gravity", "joint_pos", "joint_torques")
_GROUP = "actor_obs"
_TOLD = ("random_mass", "random_com")
"""Terms of what is told: mass above nominal, and centre of mass."""


class LegModel:
    """Forces under the feet of a robot whose legs stand still.

    Torques and weights of the links on each leg leave the force at its foot: tau + J' f + g = 0, J
    of the point where the sphere touches. Inertia, friction of the joints and the slope of the
    ground are left out.

    Args:
        robot: The robot; its legs have three hinges each.
        device: Where the tensors live.

    Attributes:
        mass: Mass of the robot without load [kg].
        com: Its centre of mass in the default pose, base frame [m], shape (3,).

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

        def in_base(points: np.ndarray) -> np.ndarray:
            return (points - data.xpos[base]) @ data.xmat[base].reshape(3, 3)

        data.qpos[addresses] = 0.0
        mujoco.mj_kinematics(model, data)
        masses, moments = np.zeros((len(joints), 3)), np.zeros((len(joints), 3, 3))
        for body in range(model.nbody):
            if (place := _hangs_on(model, body, joints)) is not None:
                masses[place] += model.body_mass[body]
                moments[place] += model.body_mass[body] * in_base(data.xipos[body])
        self._masses = tensor(masses)
        self._links = tensor(moments / np.maximum(masses, 1e-9)[..., None])
        data.qpos[addresses] = robot.default_joint_pos
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        self.mass = float(model.body_subtreemass[base])
        self.com = tensor(in_base(data.subtree_com[base]))

    def wrench(
        self, joint_pos: torch.Tensor, torques: torch.Tensor, down: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What the ground presses the robot with.

        Args:
            joint_pos: Joint angles, in the robot's order [rad], shape (N, J).
            torques: Torques of the drives [N m], shape (N, J).
            down: Direction of gravity, base frame, shape (N, 3).

        Returns:
            Force [N], and moment about the origin of the base [N m], base frame, (N, 3) each.
        """
        angles = joint_pos[:, self._columns]
        axes, anchors, links, foot = self._placed(angles)
        touching = foot + self._foot_radius * down[:, None]
        weights = GRAVITY * self._masses[..., None] * down[:, None, None]
        # Of link k about joint j, as far as k hangs on j.
        arms = links[:, :, None] - anchors[:, :, :, None]
        about = torch.linalg.cross(arms, weights[:, :, None].expand_as(arms))
        hangs = torch.ones(3, 3, device=about.device).triu()
        of_links = ((about * axes[:, :, :, None]).sum(dim=-1) * hangs).sum(dim=-1)
        # Rows are joints: J' of the text.
        lever = torch.linalg.cross(axes, touching[:, :, None] - anchors)
        held = -(torques[:, self._columns] + of_links)
        damped = lever.mT @ lever + LEAST_ARM**2 * torch.eye(3, device=lever.device)
        force = torch.linalg.solve(damped, lever.mT @ held[..., None]).squeeze(-1)
        return force.sum(dim=1), torch.linalg.cross(touching, force).sum(dim=1)

    def _placed(self, angles: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Axes, anchors and links, (N, legs, 3, 3) each, and feet, (N, legs, 3), at the angles."""
        shape = (len(angles), *self._axis.shape)
        axes, anchors, links = (
            each.expand(shape).clone() for each in (self._axis, self._anchor, self._links)
        )
        foot = self._foot.expand(len(angles), -1, -1)
        for kind in (2, 1, 0):
            axis, anchor = self._axis[:, kind], self._anchor[:, kind]
            turn = _Turn(axis, angles[..., kind])
            foot = anchor + turn(foot - anchor)
            for each in range(kind, 3):
                links[:, :, each] = anchor + turn(links[:, :, each] - anchor)
            for each in range(kind + 1, 3):
                anchors[:, :, each] = anchor + turn(anchors[:, :, each] - anchor)
                axes[:, :, each] = turn(axes[:, :, each])
        return axes, anchors, links, foot


class StaticLoad:
    """Follows mass and centre of mass of walking robots from step to step.

    What the ground presses with is averaged over time, so that accelerations cancel. The mean
    force along gravity is the weight. The mean moment M = c x F of the mean force F says where the
    centre of mass c is, but for its height, along F, which stays that of the nominal robot.

    Args:
        legs: What feet press with.
        num_robots: Number of robots N.
        step_dt: Time between two calls [s].
        device: Where the tensors live.
    """

    def __init__(self, legs: LegModel, num_robots: int, step_dt: float, device: str) -> None:
        self._legs = legs
        self._share = step_dt / FORGETTING
        self._first = PRIOR_TIME / step_dt
        self._count = torch.zeros(num_robots, 1, device=device)
        self._weight = torch.zeros(num_robots, 1, device=device)
        self._force, self._moment = torch.zeros(2, num_robots, 3, device=device)

    def begin(self, episodes: torch.Tensor) -> None:
        """Forget what was before, where episodes begin; shape (N,), bool."""
        self._count.masked_fill_(episodes[:, None], 0.0)

    def update(
        self, joint_pos: torch.Tensor, torques: torch.Tensor, down: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Take in a step; arguments as of :meth:`LegModel.wrench`.

        Returns:
            Mass above that of the robot without load [kg], shape (N, 1), and centre of mass, base
            frame [m], shape (N, 3).
        """
        legs = self._legs
        down = torch.nn.functional.normalize(down, dim=-1)
        force, moment = legs.wrench(joint_pos, torques, down)
        # The nominal robot counts for the first few steps.
        nominal = -GRAVITY * legs.mass * down
        of_nominal = torch.linalg.cross(legs.com.expand_as(nominal), nominal)
        is_first = self._count == 0.0
        share = torch.clamp(1.0 / (self._first + self._count + 1.0), min=self._share)
        for mean, now, prior in (
            (self._weight, -(force * down).sum(dim=-1, keepdim=True), GRAVITY * legs.mass),
            (self._force, force, nominal),
            (self._moment, moment, of_nominal),
        ):
            mean.copy_(torch.where(is_first, prior, mean))
            mean.lerp_(now, share)
        self._count += 1.0
        along = torch.nn.functional.normalize(self._force, dim=-1)
        across = torch.linalg.cross(self._force, self._moment)
        com = across / self._force.square().sum(dim=-1, keepdim=True)
        com = com + along * (along * legs.com).sum(dim=-1, keepdim=True)
        return self._weight / GRAVITY - legs.mass, com


class SensedLoad:
    """Mass and centre of mass of the robots of an arena, out of what they sense.

    Args:
        arena: Where they walk.
        legs: What their feet press with.

    Attributes:
        places: Which numbers of the policy's estimate it tells.
    """

    METHOD = (
        "forces under the feet: what sensed torques say by the legs' Jacobians, as if the robot "
        f"stood still, averaged over the last {FORGETTING:g} s, raw and calibrated by a linear fit"
    )
    """What it does, in words."""

    def __init__(self, arena: Arena, legs: LegModel) -> None:
        layout, targets = arena.vec_env.observation_layout, arena.policy.targets
        terms = [layout.term(_GROUP, name) for name in _READ]
        self._columns = [layout.slice(_GROUP, name) for name in _READ]
        self._scales = [torch.tensor(term.scales, device=arena.device) for term in terms]
        self._default = arena.env.default_leg_joint_pos[: arena.num_robots]
        self._load = StaticLoad(legs, arena.num_robots, arena.step_dt, arena.device)
        self._ended = torch.ones(arena.num_robots, dtype=torch.bool, device=arena.device)
        self.places, self._told, start = [], [], 0
        for name, each in targets.declared.items():
            stop = start + targets.widths[name]
            if each.term in _TOLD:
                self.places += range(start, stop)
                self._told.append(each.term)
            start = stop

    @classmethod
    def of(cls, arena: Arena) -> SensedLoad | None:
        """For an arena; None where the policy estimates neither mass nor centre of mass.

        Raises:
            UserError: Robots do not sense what it takes, or have legs of another kind.
        """
        is_asked = any(each.term in _TOLD for each in arena.policy.targets.declared.values())
        if not is_asked:
            return None
        sensed = arena.vec_env.observation_layout.names(_GROUP)
        if missing := [name for name in _READ if name not in sensed]:
            raise UserError(f"{_GROUP} has no {', '.join(missing)}")
        return cls(arena, LegModel(arena.env.cfg.robot, arena.device))

    def update(self, step: EvaluationStep, *, begins: bool) -> torch.Tensor:
        """Follow a control step.

        Args:
            step: The step.
            begins: Whether it is the first of its rollout.

        Returns:
            What is true as the policy acts, for all it says, at ``places`` [SI], shape (N, places).
        """
        self._load.begin(self._ended | begins)
        self._ended = step.dones
        down, joint_pos, torques = (
            step.obs[_GROUP][:, columns] / scale
            for columns, scale in zip(self._columns, self._scales, strict=True)
        )
        told = dict(
            zip(_TOLD, self._load.update(joint_pos + self._default, torques, down), strict=True)
        )
        return torch.cat([told[term] for term in self._told], dim=-1)


class _Turn:
    """Turns vectors (N, legs, 3) about unit axes (legs, 3) by angles (N, legs): Rodrigues."""

    def __init__(self, axis: torch.Tensor, angle: torch.Tensor) -> None:
        self._axis, self._sin, self._cos = axis, angle.sin()[..., None], angle.cos()[..., None]

    def __call__(self, vector: torch.Tensor) -> torch.Tensor:
        along = (vector * self._axis).sum(dim=-1, keepdim=True) * self._axis
        across = torch.linalg.cross(self._axis.expand_as(vector), vector)
        return along + self._cos * (vector - along) + self._sin * across


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
