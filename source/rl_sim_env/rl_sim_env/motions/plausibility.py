"""Whether a motion of the right form can be true.

Degrees for radians, another order of quaternions, a wrong frame time or a cut where a loop was
closed break no reader, and would be learned from.
"""

from __future__ import annotations

import math

import numpy as np

from rl_sim_env.errors import UserError
from rl_sim_env.motions.clip import MotionClip
from rl_sim_env.motions.rotations import quat_rotate

LARGEST_TILT = math.radians(60.0)
"""How far from upright a trunk is at least half of the time at most [rad]."""

LARGEST_ANGLE = 2.0 * math.pi
"""Beyond it a joint's angle is one in degrees [rad]."""

LARGEST_SPEED = 60.0
"""Twice what the fast legs of small robots reach [rad/s]."""

STEP, ACCELERATION = 0.02, 50.0
"""How far [m] a trunk may be from where its last two positions lead: the noise of recordings, and
what five times gravity [m/s2] does from frame to frame."""

SPEED_TOLERANCE = 0.25
"""By what share the usual recorded speed may differ from that of the recorded positions; filters
and rounding take some."""

STANDING_JOINTS, STANDING_TRUNK = 0.1, 0.05
"""Slower than this, [rad/s] of all joints together and [m/s], speeds are noise and tell nothing."""

SUNK = 0.05
"""How deep the centre of a foot may be under the ground [m]."""

LARGEST_MISS = 0.1
"""How far a foot may be out of the reach of the robot that a recording is brought onto [m]."""


def require_possible(clip: MotionClip) -> None:
    """Refuse a clip that no legged robot on the ground can have walked, trotted or jumped.

    Raises:
        UserError: Says what cannot be, and what it often comes of.
    """
    _require_angles(clip)
    _require_upright(clip)
    _require_no_jumps(clip)
    require_speeds(
        clip.fps,
        joint_pos=clip.joint_pos,
        joint_vel=clip.joint_vel,
        root_pos=clip.root_pos,
        root_lin_vel=clip.root_lin_vel,
    )
    _require_ground(clip)


def require_speeds(
    fps: float,
    *,
    joint_pos: np.ndarray,
    joint_vel: np.ndarray,
    root_pos: np.ndarray,
    root_lin_vel: np.ndarray,
) -> None:
    """Refuse recorded speeds that are not those of the recorded positions.

    Speeds of 0 throughout stand for speeds that were not recorded.

    Args:
        fps: Frames per second.
        joint_pos: Joint angles [rad], shape (N, J).
        joint_vel: Joint speeds [rad/s], shape (N, J).
        root_pos: Trunk in the world [m], shape (N, 3).
        root_lin_vel: Velocity of the trunk [m/s], in whatever frame. Shape (N, 3).

    Raises:
        UserError: They are not; names the factor.
    """
    for what, unit, standing, positions, speeds in (
        ("the joints move", "rad/s", STANDING_JOINTS, joint_pos, joint_vel),
        ("the trunk moves", "m/s", STANDING_TRUNK, root_pos, root_lin_vel),
    ):
        moved = _usual_speed(np.gradient(positions, 1.0 / fps, axis=0))
        recorded = _usual_speed(speeds)
        if recorded == 0.0 or max(moved, recorded) < standing:
            continue
        if not 1.0 / (1.0 + SPEED_TOLERANCE) <= moved / recorded <= 1.0 + SPEED_TOLERANCE:
            raise UserError(
                f"{what} with {moved:.2f} {unit} from frame to frame, {recorded:.2f} {unit} "
                f"are recorded ({fps:g} frames a second); correct the time of a frame, or the units"
            )


def _usual_speed(velocity: np.ndarray) -> float:
    """Median over frames, which a jump or two leave alone, of the norms of velocities (N, K)."""
    return float(np.median(np.linalg.norm(velocity.astype(float), axis=-1)))


def _require_angles(clip: MotionClip) -> None:
    for what, values, limit, unit in (
        ("stands at", clip.joint_pos, LARGEST_ANGLE, "rad"),
        ("turns with", clip.joint_vel, LARGEST_SPEED, "rad/s"),
    ):
        frame, joint = np.unravel_index(np.abs(values).argmax(), values.shape)
        if abs(values[frame, joint]) > limit:
            raise UserError(
                f"{clip.joint_names[joint]} {what} {values[frame, joint]:.1f} {unit} in frame "
                f"{frame}; angles are in radians, and joints in the order that is declared"
            )


def _require_upright(clip: MotionClip) -> None:
    upward = quat_rotate(clip.root_quat, np.array([0.0, 0.0, 1.0]))[:, 2]
    tilt = float(np.median(np.arccos(np.clip(upward, -1.0, 1.0))))
    if tilt > LARGEST_TILT:
        raise UserError(
            f"the trunk is tilted by {math.degrees(tilt):.0f} degrees; look at the order of the "
            "quaternions (w first or last), and which robot was recorded"
        )


def _require_no_jumps(clip: MotionClip) -> None:
    steps = np.diff(clip.root_pos, axis=0)
    jump = float(np.linalg.norm(np.diff(steps, axis=0), axis=-1).max(initial=0.0))
    if jump > STEP + ACCELERATION / clip.fps**2:
        frame = int(np.linalg.norm(steps, axis=-1).argmax())
        raise UserError(
            f"the trunk jumps by {jump:.2f} m between frames {frame} and {frame + 1}; cut the "
            "recording there, or let its way go on where it is repeated"
        )


def _require_ground(clip: MotionClip) -> None:
    feet = clip.root_pos[:, None] + quat_rotate(clip.root_quat[:, None], clip.foot_pos)
    lowest = float(feet[..., 2].min())
    if lowest < -SUNK:
        frame = int(feet[..., 2].min(axis=1).argmin())
        raise UserError(
            f"a foot is {-lowest:.2f} m under the ground in frame {frame}; the ground is at z = 0"
        )
    if not clip.foot_contact.any():
        raise UserError(
            "no foot ever stands on the ground; look at the order of legs and joints, and which "
            "robot was recorded"
        )
