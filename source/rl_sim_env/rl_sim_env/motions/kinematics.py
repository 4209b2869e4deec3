"""Analytic kinematics of four legs with a roll hip, a pitch hip and a pitch knee."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np

from rl_sim_env.errors import UserError
from rl_sim_env.robots import Leg, Robot, load_model

NUM_LEGS = 4
GEOMETRY_TOLERANCE = 1e-6
"""How far a model's axes and links may be from the layout that the formulas assume [1, m]."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LegKinematics:
    """Foot positions from joint angles and back, vectorised over any leading axes.

    A leg is: hip joint about x, lateral offset, thigh joint about y, thigh, calf joint about y,
    calf, foot. At zero angles it hangs straight down; the knee bends backwards (calf angle < 0).
    Joint arrays (..., 12) are in canonical order (hips, thighs, calves; each FL, FR, RL, RR), foot
    arrays (..., 4, 3) in base coordinates [m], the foot being the centre of its sphere.
    """

    hip_pos: np.ndarray
    """Hip joints in base coordinates [m]. Shape (4, 3)."""
    thigh_offset: np.ndarray
    """From the hip joint to the plane in which the leg bends, at the thigh joint [m]. (4, 3)."""
    thigh_length: np.ndarray
    """Thigh joint to calf joint [m]. Shape (4,)."""
    calf_length: np.ndarray
    """Calf joint to foot [m]. Shape (4,)."""
    joint_range: np.ndarray
    """Lower and upper joint limits [rad]. Shape (12, 2)."""

    joint_names: tuple[str, ...]
    legs: tuple[Leg, ...]
    foot_radius: float

    @property
    def foot_names(self):
        return tuple(leg.foot_site for leg in self.legs)

    @property
    def shoulder(self):
        return self.hip_pos + self.thigh_offset

    @classmethod
    def from_robot(cls, robot: Robot) -> LegKinematics:
        model = load_model(robot).compile()
        LEG_JOINT_NAMES = robot.leg_joints
        BASE_BODY_NAME = robot.base_body
        FOOT_SITE_NAMES = robot.feet
        mjcf_path = robot.mjcf_path
        data = mujoco.MjData(model)
        joints = [model.joint(name) for name in LEG_JOINT_NAMES]
        for joint in joints:
            data.qpos[joint.qposadr[0]] = 0.0
        mujoco.mj_kinematics(model, data)

        base = data.body(BASE_BODY_NAME)
        rotation = base.xmat.reshape(3, 3)
        ids = [joint.id for joint in joints]
        anchor = ((data.xanchor[ids] - base.xpos) @ rotation).reshape(3, NUM_LEGS, 3)
        axis = (data.xaxis[ids] @ rotation).reshape(3, NUM_LEGS, 3)
        hip, thigh, calf = anchor
        foot = (np.stack([data.site(n).xpos for n in FOOT_SITE_NAMES]) - base.xpos) @ rotation

        expected_axis = np.eye(3)[[0, 1, 1], None, :]
        sagittal_bend = np.stack([calf - thigh, foot - calf])[..., 0]
        if (
            np.abs(axis - expected_axis).max() > GEOMETRY_TOLERANCE
            or np.abs(sagittal_bend).max() > GEOMETRY_TOLERANCE
            or ((calf - thigh)[:, 2] >= 0.0).any()
            or ((foot - calf)[:, 2] >= 0.0).any()
        ):
            raise UserError(
                f"robot model {mjcf_path}: leg kinematics need hip, thigh and calf joints about "
                "+x, +y, +y and legs that hang straight down at zero angles; turn the joint frames "
                "of your model accordingly"
            )
        lateral = np.array([0.0, 1.0, 0.0])
        return cls(
            hip_pos=hip,
            # Links that stand off sideways along the leg shift the plane in which it bends.
            thigh_offset=thigh - hip + (foot - thigh) * lateral,
            thigh_length=(thigh - calf)[:, 2],
            calf_length=(calf - foot)[:, 2],
            joint_range=model.jnt_range[ids].copy(),
            joint_names=robot.leg_joints,
            legs=robot.legs,
            foot_radius=float(model.geom(robot.foot_geoms[0]).size[0]),
        )

    @property
    def leg_length(self) -> np.ndarray:
        """Thigh and calf together [m]. Shape (4,)."""
        return self.thigh_length + self.calf_length

    def forward(self, joint_pos: np.ndarray) -> np.ndarray:
        """Foot positions (..., 4, 3) at the joint angles (..., 12)."""
        hip, thigh, calf = _by_joint_type(joint_pos)
        x = self.thigh_offset[:, 0] - (
            self.thigh_length * np.sin(thigh) + self.calf_length * np.sin(thigh + calf)
        )
        y = self.thigh_offset[:, 1]
        z = self.thigh_offset[:, 2] - (
            self.thigh_length * np.cos(thigh) + self.calf_length * np.cos(thigh + calf)
        )
        sin, cos = np.sin(hip), np.cos(hip)
        return self.hip_pos + np.stack([x, y * cos - z * sin, y * sin + z * cos], axis=-1)

    def inverse(self, foot_pos: np.ndarray, *, clamp: bool = False) -> np.ndarray:
        """Joint angles (..., 12) that put the feet at ``foot_pos`` (..., 4, 3).

        Args:
            foot_pos: Targets in base coordinates [m].
            clamp: Take the nearest pose inside the joint limits for a target that cannot be
                reached; ``forward`` of the result tells how far off it is. Without it only the
                reach is checked, and hip and thigh angles may leave their limits.

        Raises:
            UserError: A target is out of reach, and ``clamp`` is false.
        """
        x, y, z = np.moveaxis(foot_pos - self.hip_pos, -1, 0)
        lateral = self.thigh_offset[:, 1]
        drop_squared = y**2 + z**2 - lateral**2
        drop = np.sqrt(np.maximum(drop_squared, 0.0))
        hip = np.arctan2(z, y) - np.arctan2(-drop, lateral)
        hip = (hip + np.pi) % (2.0 * np.pi) - np.pi

        ahead, down = x - self.thigh_offset[:, 0], drop + self.thigh_offset[:, 2]
        distance = np.hypot(ahead, down)
        shortest, longest = self.reach
        clipped = np.clip(distance, shortest, longest)
        missed = np.maximum(np.abs(distance - clipped), np.sqrt(np.maximum(-drop_squared, 0.0)))
        if not clamp and missed.max() > GEOMETRY_TOLERANCE:
            worst = np.unravel_index(missed.argmax(), missed.shape)
            leg = int(worst[-1])
            raise UserError(
                f"foot target out of reach: {self.legs[leg].name}, pose {list(map(int, worst[:-1]))}: "
                f"{distance[worst]:.3f} m from its thigh joint, where the leg reaches from "
                f"{shortest[leg]:.3f} to {longest[leg]:.3f} m; take smaller steps or another trunk "
                "height"
            )
        cos_calf = (clipped**2 - self.thigh_length**2 - self.calf_length**2) / (
            2.0 * self.thigh_length * self.calf_length
        )
        calf = -np.arccos(np.clip(cos_calf, -1.0, 1.0))
        thigh = np.arctan2(-ahead, down) - np.arctan2(
            self.calf_length * np.sin(calf), self.thigh_length + self.calf_length * np.cos(calf)
        )
        joint_pos = np.concatenate([hip, thigh, calf], axis=-1)
        return np.clip(joint_pos, *self.joint_range.T) if clamp else joint_pos

    @property
    def reach(self) -> tuple[np.ndarray, np.ndarray]:
        """Shortest and longest distance from thigh joint to foot within the knee's limits (4,)."""
        _, _, knee = _by_joint_type(np.clip(self.joint_range, -np.pi, 0.0).T)
        shortest, longest = np.sqrt(
            self.thigh_length**2
            + self.calf_length**2
            + 2.0 * self.thigh_length * self.calf_length * np.cos(knee)
        )
        return shortest, longest


def _by_joint_type(joint_values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split values (..., 12) in canonical order into hips, thighs and calves (..., 4)."""
    hip, thigh, calf = np.split(joint_values, 3, axis=-1)
    return hip, thigh, calf
