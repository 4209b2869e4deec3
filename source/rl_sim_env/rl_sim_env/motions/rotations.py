"""Unit quaternions, order wxyz, as vectorised numpy functions over the last axis."""

from __future__ import annotations

import numpy as np


def quat_multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hamilton product ``a b`` of quaternions (..., 4): first the rotation ``b``, then ``a``."""
    aw, ax, ay, az = np.moveaxis(a, -1, 0)
    bw, bx, by, bz = np.moveaxis(b, -1, 0)
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        axis=-1,
    )


def quat_conjugate(quat: np.ndarray) -> np.ndarray:
    """Inverse rotation of a unit quaternion (..., 4)."""
    return quat * np.array([1.0, -1.0, -1.0, -1.0])


def quat_rotate(quat: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Rotate ``vector`` (..., 3) by ``quat`` (..., 4): body coordinates to world coordinates."""
    axis = quat[..., 1:]
    twice_cross = 2.0 * np.cross(axis, vector)
    return vector + quat[..., :1] * twice_cross + np.cross(axis, twice_cross)


def quat_from_euler(yaw: np.ndarray, pitch: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """Quaternion (..., 4) of the rotation Rz(yaw) Ry(pitch) Rx(roll), angles (...) in rad."""
    cy, cp, cr = (np.cos(0.5 * angle) for angle in (yaw, pitch, roll))
    sy, sp, sr = (np.sin(0.5 * angle) for angle in (yaw, pitch, roll))
    return np.stack(
        [
            cy * cp * cr + sy * sp * sr,
            cy * cp * sr - sy * sp * cr,
            cy * sp * cr + sy * cp * sr,
            sy * cp * cr - cy * sp * sr,
        ],
        axis=-1,
    )


def quat_yaw(quat: np.ndarray) -> np.ndarray:
    """Heading (...) of ``quat`` (..., 4) in rad: the yaw of its Rz Ry Rx factors."""
    w, x, y, z = np.moveaxis(quat, -1, 0)
    return np.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))


def quat_without_yaw(quat: np.ndarray) -> np.ndarray:
    """The tilt of ``quat`` (..., 4): the same attitude with the heading turned to zero."""
    zero = np.zeros(quat.shape[:-1])
    return quat_multiply(quat_from_euler(-quat_yaw(quat), zero, zero), quat)


def quat_to_rotvec(quat: np.ndarray) -> np.ndarray:
    """Rotation vector (..., 3) in rad, the shorter way round, of a unit quaternion (..., 4)."""
    quat = np.where(quat[..., :1] < 0.0, -quat, quat)
    sine = np.linalg.norm(quat[..., 1:], axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(sine, quat[..., :1])
    # angle / sine tends to 2 as the rotation vanishes.
    ratio = np.divide(angle, sine, out=np.full_like(angle, 2.0), where=sine > 1e-12)
    return quat[..., 1:] * ratio


def xyzw_to_wxyz(quat: np.ndarray) -> np.ndarray:
    """Reorder quaternions (..., 4) whose scalar part comes last."""
    return np.roll(quat, 1, axis=-1)
