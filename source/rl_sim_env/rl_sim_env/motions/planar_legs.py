"""Closed-form kinematics of legs that bend in a plane, which the hip turns about the trunk.

The hip angle puts the plane through the foot; in the plane remains an arm of two links (Siciliano
et al., "Robotics: modelling, planning and control", Springer 2009, section 2.12.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rl_sim_env.errors import UserError

TURN = 2.0 * np.pi

AXIS_TOLERANCE = 1e-2
"""How far from parallel and square the axes of a leg may be [rad]."""

MIN_LINK_LENGTH = 1e-3
"""Shorter thighs and calves make no leg [m]."""

MIN_KNEE_ANGLE = 1e-2
"""A straighter knee does not tell to which side it bends [rad]."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PlanarLegs:
    """Legs whose thigh axis and calf axis are parallel to each other and square to the hip axis.

    Joint angles (..., num_legs, 3) are those of hip, thigh and calf. The formulas count them from
    the leg that hangs straight down, about the hip axis that points forwards and the thigh axis
    that points to the left: such an angle is ``sign`` * joint angle + ``zero``.
    """

    hip_pos: np.ndarray
    """Hip joints in base coordinates [m]. Shape (num_legs, 3)."""

    frame: np.ndarray
    """Columns: hip axis, left, up, in base coordinates. Shape (num_legs, 3, 3)."""

    thigh_offset: np.ndarray
    """From the hip joint to the thigh joint, moved along its axis into the plane of the foot, in
    ``frame`` while the leg hangs down [m]. Shape (num_legs, 3)."""

    thigh_length: np.ndarray
    """Thigh joint to calf joint, in the plane [m]. Shape (num_legs,)."""

    calf_length: np.ndarray
    """Calf joint to foot, in the plane [m]. Shape (num_legs,)."""

    knee_side: np.ndarray
    """Sign of the knee angles: -1.0 bends backwards. Shape (num_legs,)."""

    thigh_centre: np.ndarray
    """Of thigh angles whole turns apart, the one nearest to this is taken [rad]. (num_legs,)"""

    sign: np.ndarray
    """See above. Shape (num_legs, 3)."""

    zero: np.ndarray
    """See above [rad]. Shape (num_legs, 3)."""

    reach: tuple[np.ndarray, np.ndarray]
    """Least and greatest distance from thigh joint to foot that the knee's limits leave [m].
    Shape (num_legs,) each."""

    @classmethod
    def nearest(
        cls,
        *,
        names: Sequence[str],
        axis: np.ndarray,
        anchor: np.ndarray,
        foot: np.ndarray,
        joint_range: np.ndarray,
        default_joint_pos: np.ndarray,
    ) -> PlanarLegs:
        """The legs of this kind that are nearest to legs with rounded axes.

        Args:
            names: What messages call the legs.
            axis: Unit axes of the joints at zero angles, in base coordinates. (num_legs, 3, 3).
            anchor: Points on them [m]. Shape (num_legs, 3, 3).
            foot: Feet at zero angles, in base coordinates [m]. Shape (num_legs, 3).
            joint_range: Lower and upper limits [rad]. Shape (num_legs, 3, 2).
            default_joint_pos: Pose from which the side follows to which each knee bends [rad].
                Shape (num_legs, 3).

        Raises:
            UserError: A leg is of another kind, or the default pose does not tell how it bends.
        """
        _check_axes(names, axis)
        hip, thigh, calf = np.moveaxis(anchor, 1, 0)
        hip_sign = np.sign(axis[:, 0, 0])
        forwards = hip_sign[:, None] * axis[:, 0]
        left = _unit(np.cross([0.0, 0.0, 1.0], forwards))
        up = np.cross(forwards, left)
        frame = np.stack([forwards, left, up], axis=-1)

        # A model may hold its legs in any way at zero angles, and thigh axes may point to either
        # side; which end is the left one shows when the leg hangs down, as in the default pose.
        _, y, z = np.moveaxis(_components(frame, axis[:, 1]), -1, 0)
        thigh_sign = np.sign(np.cos(np.arctan2(z, y) + hip_sign * default_joint_pos[:, 0]))
        hip_zero = np.arctan2(thigh_sign * z, thigh_sign * y)
        cos, sin = np.cos(hip_zero)[:, None], np.sin(hip_zero)[:, None]
        across = cos * left + sin * up
        calf_sign = np.sign((axis[:, 2] * across).sum(axis=-1))

        plane = np.stack([forwards, across, cos * up - sin * left], axis=-1)
        thigh_link, calf_link = _components(plane, calf - thigh), _components(plane, foot - calf)
        thigh_length, calf_length = (np.hypot(v[:, 0], v[:, 2]) for v in (thigh_link, calf_link))
        thigh_zero, calf_zero = (np.arctan2(-v[:, 0], -v[:, 2]) for v in (thigh_link, calf_link))
        # Links that stand off sideways along the leg shift the plane in which it bends.
        sideways = _components(plane, foot - thigh) * np.array([0.0, 1.0, 0.0])
        thigh_offset = _components(plane, thigh - hip) + sideways

        sign = np.stack([hip_sign, thigh_sign, calf_sign], axis=-1)
        zero = np.stack([hip_zero, thigh_zero, calf_zero - thigh_zero], axis=-1)
        # Less than half a turn lies between the default pose and hanging straight down.
        zero = zero - TURN * np.round((sign * default_joint_pos + zero) / TURN)
        default = sign * default_joint_pos + zero
        thigh_range = np.where(
            np.isfinite(joint_range[:, 1]), joint_range[:, 1], default_joint_pos[:, 1:2]
        )
        knee_side = np.sign(default[:, 2])
        knee_range = sign[:, 2:] * joint_range[:, 2] + zero[:, 2:]
        legs = cls(
            hip_pos=hip,
            frame=frame,
            thigh_offset=thigh_offset,
            thigh_length=thigh_length,
            calf_length=calf_length,
            knee_side=knee_side,
            thigh_centre=thigh_sign * thigh_range.mean(axis=-1) + zero[:, 1],
            sign=sign,
            zero=zero,
            reach=_reach(thigh_length, calf_length, knee_side[:, None] * knee_range),
        )
        _check_bending(names, legs, default)
        return legs

    @property
    def shoulder(self) -> np.ndarray:
        """Where the legs hang straight down from, in base coordinates [m]. Shape (num_legs, 3)."""
        return self.hip_pos + np.einsum("lij,lj->li", self.frame, self.thigh_offset)

    def forward(self, joint_pos: np.ndarray) -> np.ndarray:
        """Feet (..., num_legs, 3) in base coordinates at the joint angles (..., num_legs, 3)."""
        hip, thigh, calf = np.moveaxis(self.sign * joint_pos + self.zero, -1, 0)
        ahead, height = self._in_plane(thigh, calf)
        y, sin, cos = self.thigh_offset[:, 1], np.sin(hip), np.cos(hip)
        foot = np.stack([ahead, y * cos - height * sin, y * sin + height * cos], axis=-1)
        return self.hip_pos + np.einsum("lij,...lj->...li", self.frame, foot)

    def inverse(self, foot_pos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Joint angles that put the feet, below the hips, nearest to their targets.

        Args:
            foot_pos: Targets in base coordinates [m]. Shape (..., num_legs, 3).

        Returns:
            Joint angles [rad], shape (..., num_legs, 3), and how far the targets are out of reach
            [m], shape (..., num_legs).
        """
        x, y, z = np.moveaxis(_components(self.frame, foot_pos - self.hip_pos), -1, 0)
        lateral = self.thigh_offset[:, 1]
        drop_squared = y**2 + z**2 - lateral**2
        drop = np.sqrt(np.maximum(drop_squared, 0.0))
        hip = np.arctan2(z, y) - np.arctan2(-drop, lateral)
        hip = (hip + np.pi) % TURN - np.pi

        ahead, down = x - self.thigh_offset[:, 0], drop + self.thigh_offset[:, 2]
        distance = np.hypot(ahead, down)
        clipped = np.clip(distance, *self.reach)
        missed = np.maximum(np.abs(distance - clipped), np.sqrt(np.maximum(-drop_squared, 0.0)))
        cos_calf = (clipped**2 - self.thigh_length**2 - self.calf_length**2) / (
            2.0 * self.thigh_length * self.calf_length
        )
        calf = self.knee_side * np.arccos(np.clip(cos_calf, -1.0, 1.0))
        thigh = np.arctan2(-ahead, down) - np.arctan2(
            self.calf_length * np.sin(calf), self.thigh_length + self.calf_length * np.cos(calf)
        )
        thigh += TURN * np.round((self.thigh_centre - thigh) / TURN)
        joint_pos = self.sign * (np.stack([hip, thigh, calf], axis=-1) - self.zero)
        return joint_pos, missed

    def _in_plane(self, thigh: np.ndarray, calf: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Feet forward of and above the hips in the plane [m], each (..., num_legs)."""
        ahead = self.thigh_offset[:, 0] - (
            self.thigh_length * np.sin(thigh) + self.calf_length * np.sin(thigh + calf)
        )
        height = self.thigh_offset[:, 2] - (
            self.thigh_length * np.cos(thigh) + self.calf_length * np.cos(thigh + calf)
        )
        return ahead, height


def _reach(
    thigh: np.ndarray, calf: np.ndarray, bend_range: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest distance (L,) across links (L,) whose knee bends by angles (L, 2)."""
    bend = np.clip(np.sort(bend_range, axis=-1), 0.0, np.pi).T
    longest, shortest = np.sqrt(thigh**2 + calf**2 + 2.0 * thigh * calf * np.cos(bend))
    return shortest, longest


def _check_axes(names: Sequence[str], axis: np.ndarray) -> None:
    """Refuse axes (num_legs, 3, 3) of another kind of leg."""
    hip, thigh, calf = np.moveaxis(axis, 1, 0)
    fits = (
        (np.abs(hip[:, 0]) > np.cos(np.pi / 4.0))
        & (np.abs((hip * thigh).sum(axis=-1)) < AXIS_TOLERANCE)
        & (np.linalg.norm(np.cross(thigh, calf), axis=-1) < AXIS_TOLERANCE)
    )
    for name, axes, ok in zip(names, axis, fits, strict=True):
        if not ok:
            found = ", ".join(str(np.round(vector, 3).tolist()) for vector in axes)
            raise UserError(
                f"leg {name}: its hip, thigh and calf joints turn about {found} in the base frame; "
                "leg kinematics need a hip axis along x, and thigh and calf axes parallel to each "
                f"other and square to it within {AXIS_TOLERANCE} rad"
            )


def _check_bending(names: Sequence[str], legs: PlanarLegs, default: np.ndarray) -> None:
    """Refuse legs without links, and a pose (num_legs, 3) that leaves open how they bend."""
    bend = np.abs(default[:, 2])
    height = legs._in_plane(*default[:, 1:].T)[1]
    for k, name in enumerate(names):
        links = legs.thigh_length[k], legs.calf_length[k]
        if min(links) < MIN_LINK_LENGTH:
            raise UserError(
                f"leg {name}: its thigh is {links[0]:.4f} m long and its calf {links[1]:.4f} m, "
                "square to their axes; leg kinematics need both"
            )
        if not MIN_KNEE_ANGLE < bend[k] < np.pi - MIN_KNEE_ANGLE or height[k] >= 0.0:
            raise UserError(
                f"leg {name}: the default pose bends the knee by {bend[k]:.3f} rad from straight "
                f"and holds the foot {-height[k]:.3f} m below the hip; leg kinematics need a bent "
                "knee and a foot below the hip, to know which way the leg bends"
            )


def _components(frame: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Components (..., 3) of vectors (..., 3) along the columns of frames (..., 3, 3)."""
    return np.einsum("...ij,...i->...j", frame, vector)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)
