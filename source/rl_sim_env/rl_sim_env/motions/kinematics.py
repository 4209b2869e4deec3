"""Kinematics of a quadruped whose legs have three hinges each: hip, thigh and calf.

Forward kinematics are exact for axes of any direction: a product of exponentials (Murray, Li and
Sastry, "A mathematical introduction to robotic manipulation", CRC Press 1994, section 3.2). Inverse
kinematics are those of the nearest legs that bend in a plane, which have a closed form, iterated
where the axes of a model are rounded and its legs do not quite bend in a plane.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import mujoco
import numpy as np

from rl_sim_env.errors import UserError, found_in
from rl_sim_env.motions.planar_legs import PlanarLegs
from rl_sim_env.robots import Leg, Robot, load_model
from rl_sim_env.robots.robot import JOINT_KINDS, joint_columns

REACH_TOLERANCE = 1e-6
"""A target this little out of reach counts as reached [m]."""

CONVERGENCE_TOLERANCE = 1e-13
"""Inverse kinematics have converged when targets move by less than this [m]."""

MAX_ITERATIONS = 50
"""Iterations of inverse kinematics before a target counts as out of reach."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LegKinematics:
    """Foot positions from joint angles and back, vectorised over any leading axes.

    Joint arrays (..., J) have the columns ``joint_names`` and the zero angles of the model; foot
    arrays (..., num_legs, 3) are in the order of ``legs``, in base coordinates [m], the foot being
    the centre of its sphere.

    Raises:
        UserError: On construction, if a leg is of another kind, or the default pose does not tell
            how it bends; the message names the leg.
    """

    joint_names: tuple[str, ...]
    """Order of the joint columns."""

    legs: tuple[Leg, ...]
    """Order of the feet."""

    joint_range: np.ndarray
    """Lower and upper joint limits [rad], infinite where there is none. Shape (J, 2)."""

    default_joint_pos: np.ndarray
    """Pose whose knees bend as all knees shall [rad]. Shape (J,)."""

    axis: np.ndarray
    """Unit axes of hip, thigh and calf at zero angles, in base coordinates. (num_legs, 3, 3)."""

    anchor: np.ndarray
    """Points on these axes, in base coordinates [m]. Shape (num_legs, 3, 3)."""

    foot: np.ndarray
    """Feet at zero angles, in base coordinates [m]. Shape (num_legs, 3)."""

    foot_radius: float = math.nan
    """Radius of the largest contact sphere [m], where the legs are those of a robot."""

    _columns: np.ndarray = field(init=False, repr=False)
    """Columns of hip, thigh and calf of each leg. Shape (num_legs, 3)."""

    _planar: PlanarLegs = field(init=False, repr=False)

    def __post_init__(self) -> None:
        columns = joint_columns(self.legs, self.joint_names)
        planar = PlanarLegs.nearest(
            names=[leg.name for leg in self.legs],
            axis=self.axis,
            anchor=self.anchor,
            foot=self.foot,
            joint_range=self.joint_range[columns],
            default_joint_pos=self.default_joint_pos[columns],
        )
        # How a frozen dataclass gets its derived fields.
        object.__setattr__(self, "_columns", columns)
        object.__setattr__(self, "_planar", planar)

    @classmethod
    def from_robot(cls, robot: Robot) -> LegKinematics:
        """Read the geometry from the robot's model.

        Raises:
            UserError: The model cannot be read, or its legs are of another kind.
        """
        model = load_model(robot).compile()
        with found_in(f"robot {robot.name}, model {robot.mjcf_path}"):
            legs = cls.from_model(
                model,
                base_body=robot.base_body,
                legs=robot.legs,
                joint_names=robot.leg_joints,
                default_joint_pos=robot.default_joint_pos,
            )
        return replace(
            legs, foot_radius=max(float(model.geom(name).size[0]) for name in robot.foot_geoms)
        )

    @classmethod
    def from_model(
        cls,
        model: mujoco.MjModel,
        *,
        base_body: str,
        legs: tuple[Leg, ...],
        joint_names: tuple[str, ...],
        default_joint_pos: np.ndarray,
    ) -> LegKinematics:
        """Read the geometry from a model that has all these parts.

        Args:
            model: The model.
            base_body: Trunk, in whose frame the feet are.
            legs: Legs, in the order of the feet.
            joint_names: All joints of the legs, in the order of the joint columns.
            default_joint_pos: Pose whose knees bend as all knees shall [rad]. Shape (J,).

        Raises:
            UserError: A leg is of another kind; the message names it.
        """
        for leg in legs:
            _check_chain(model, base_body, leg)
        data = mujoco.MjData(model)
        joints = [model.joint(name) for name in joint_names]
        for joint in joints:
            data.qpos[joint.qposadr[0]] = 0.0
        mujoco.mj_kinematics(model, data)

        base = data.body(base_body)
        rotation = base.xmat.reshape(3, 3)
        ids = np.array([[model.joint(name).id for name in leg.joints] for leg in legs])
        foot = np.stack([data.site(leg.foot_site).xpos for leg in legs])
        unlimited = np.array([-np.inf, np.inf])
        return cls(
            joint_names=joint_names,
            legs=legs,
            joint_range=np.stack(
                [model.jnt_range[j.id] if model.jnt_limited[j.id] else unlimited for j in joints]
            ),
            default_joint_pos=np.asarray(default_joint_pos, dtype=float),
            axis=data.xaxis[ids] @ rotation,
            anchor=(data.xanchor[ids] - base.xpos) @ rotation,
            foot=(foot - base.xpos) @ rotation,
        )

    @classmethod
    def straight(
        cls, *, hip: tuple[float, float], thigh_offset: float, thigh: float, calf: float
    ) -> LegKinematics:
        """Four equal legs that hang straight down at zero angles and bend their knees backwards.

        Their joints turn about +x, +y, +y and have no limits. Legs are FL, FR, RL, RR; joints are
        named ``FL_hip_joint`` and so on, and ordered by kind: hips, thighs, calves.

        Args:
            hip: Place of the front left hip joint, forward and to the left of the base [m].
            thigh_offset: From the hip joint outwards to the leg's plane [m].
            thigh: Thigh joint to calf joint [m].
            calf: Calf joint to foot [m].
        """
        legs = tuple(
            Leg.at_corner(corner, foot_site=f"{corner}_foot", foot_geom=f"{corner}_foot")
            for corner in ("FL", "FR", "RL", "RR")
        )
        joint_names = tuple(f"{leg.name}_{kind}_joint" for kind in JOINT_KINDS for leg in legs)
        forward = np.array([1.0 if leg.end == "front" else -1.0 for leg in legs])
        left = np.array([1.0 if leg.side == "left" else -1.0 for leg in legs])
        hip_pos = np.stack([forward * hip[0], left * hip[1], np.zeros(len(legs))], axis=-1)
        thigh_pos = hip_pos + left[:, None] * np.array([0.0, thigh_offset, 0.0])
        calf_pos = thigh_pos - np.array([0.0, 0.0, thigh])
        return cls(
            joint_names=joint_names,
            legs=legs,
            joint_range=np.tile([-np.inf, np.inf], (len(joint_names), 1)),
            default_joint_pos=np.repeat([0.0, 0.8, -1.6], len(legs)),
            axis=np.tile(np.eye(3)[[0, 1, 1]], (len(legs), 1, 1)),
            anchor=np.stack([hip_pos, thigh_pos, calf_pos], axis=1),
            foot=calf_pos - np.array([0.0, 0.0, calf]),
        )

    @property
    def foot_names(self) -> tuple[str, ...]:
        """Sites at the feet, in order."""
        return tuple(leg.foot_site for leg in self.legs)

    @property
    def leg_length(self) -> np.ndarray:
        """Thigh and calf together [m]. Shape (num_legs,)."""
        return self._planar.thigh_length + self._planar.calf_length

    @property
    def shoulder(self) -> np.ndarray:
        """Where the legs hang straight down from, in base coordinates [m]. Shape (num_legs, 3).

        The thigh joint, moved along its axis into the plane of the foot, while this plane is
        upright.
        """
        return self._planar.shoulder

    @property
    def reach(self) -> tuple[np.ndarray, np.ndarray]:
        """Least and greatest distance from shoulder to foot within the knees' limits [m].

        Shape (num_legs,) each.
        """
        return self._planar.reach

    def forward(self, joint_pos: np.ndarray) -> np.ndarray:
        """Feet at the joint angles.

        Args:
            joint_pos: Joint angles [rad]. Shape (..., J).

        Returns:
            Feet in base coordinates [m]. Shape (..., num_legs, 3).
        """
        return self._foot_at(joint_pos[..., self._columns])

    def inverse(self, foot_pos: np.ndarray, *, clamp: bool = False) -> np.ndarray:
        """Joint angles that put the feet at ``foot_pos``, below the hips.

        Args:
            foot_pos: Targets in base coordinates [m]. Shape (..., num_legs, 3).
            clamp: Take the nearest pose inside the joint limits for a target that cannot be
                reached; ``forward`` of the result tells how far off it is. Without it only the
                reach is checked, and hip and thigh angles may leave their limits.

        Returns:
            Joint angles [rad]. Shape (..., J).

        Raises:
            UserError: A target is out of reach, and ``clamp`` is false.
        """
        target = foot_pos
        for _ in range(MAX_ITERATIONS):
            angle, missed = self._planar.inverse(target)
            # Axes that are not quite parallel put the foot off the target: aim off by as much.
            error = self._foot_at(angle) - self._planar.forward(angle)
            step = np.linalg.norm(foot_pos - error - target, axis=-1)
            if step.max(initial=0.0) < CONVERGENCE_TOLERANCE:
                break
            target = foot_pos - error
        else:
            missed = np.maximum(missed, step)
        if not clamp and missed.max(initial=0.0) > REACH_TOLERANCE:
            worst = np.unravel_index(missed.argmax(), missed.shape)
            leg = int(worst[-1])
            shortest, longest = self.reach
            raise UserError(
                f"foot target out of reach: {self.legs[leg].name}, pose "
                f"{list(map(int, worst[:-1]))}: {missed[worst]:.3f} m away from where the foot "
                f"gets, {shortest[leg]:.3f} to {longest[leg]:.3f} m from its thigh joint; take "
                "smaller steps or another trunk height"
            )
        joint_pos = np.empty((*foot_pos.shape[:-2], len(self.joint_names)))
        joint_pos[..., self._columns] = angle
        return np.clip(joint_pos, *self.joint_range.T) if clamp else joint_pos

    def _foot_at(self, angle: np.ndarray) -> np.ndarray:
        """Feet (..., num_legs, 3) at the angles (..., num_legs, 3) of hips, thighs and calves."""
        foot = self.foot
        for kind in (2, 1, 0):
            axis, anchor = self.axis[:, kind], self.anchor[:, kind]
            foot = anchor + _rotate(foot - anchor, axis, angle[..., kind])
        return foot


def _check_chain(model: mujoco.MjModel, base_body: str, leg: Leg) -> None:
    """Refuse a leg whose foot does not hang on the trunk by three hinges and nothing else."""
    base = model.body(base_body).id
    body = int(model.site(leg.foot_site).bodyid[0])
    chain: list[int] = []
    while body not in (base, 0):
        first = model.body_jntadr[body]
        chain = [*range(first, first + model.body_jntnum[body]), *chain]
        body = model.body_parentid[body]
    names = tuple(model.joint(joint).name for joint in chain)
    hinges = all(model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_HINGE for joint in chain)
    if body != base or names != leg.joints or not hinges:
        raise UserError(
            f"leg {leg.name}: from {model.body(body).name} to {leg.foot_site} there are the joints "
            f"{', '.join(names) or 'none'}; leg kinematics need the hinges "
            f"{', '.join(leg.joints)} from {base_body} on, in this order, and no others"
        )


def _rotate(vector: np.ndarray, axis: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Turn vectors (..., 3) about unit axes (..., 3) by angles (...): Rodrigues' formula."""
    sin, cos = np.sin(angle)[..., None], np.cos(angle)[..., None]
    along = (vector * axis).sum(axis=-1, keepdims=True) * axis
    return along + cos * (vector - along) + sin * np.cross(axis, vector)
