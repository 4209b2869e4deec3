"""From another robot's motion to ours: every leg keeps its direction and takes our length."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rl_sim_env.motions.clip import MotionClip, PoseSequence
from rl_sim_env.motions.kinematics import LegKinematics
from rl_sim_env.motions.rotations import quat_rotate

SOLE_PERCENTILE = 1.0
"""Share of the foot heights left below the ground by levelling [%]; recordings jitter."""

CONTACT_HEIGHT = 0.02
"""A foot in contact is no higher than this above the ground [m]."""

CONTACT_SPEED = 0.4
"""A foot in contact moves no faster than this in the world [m/s]."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SourceRobot:
    """The robot a recording belongs to: leg geometry, and what its file means by its numbers."""

    name: str
    """Name of the robot."""

    legs: LegKinematics
    """Geometry of its legs; their joint ranges are not used."""

    joint_sign: np.ndarray = field(default_factory=lambda: np.ones(3))
    """Joint angle = sign x recorded angle + offset, for hip, thigh and calf of each of ``legs``.
    Shape (num_legs, 3), or (3,) for all alike."""

    joint_offset: np.ndarray = field(default_factory=lambda: np.zeros(3))
    """See ``joint_sign`` [rad]. Shape (num_legs, 3) or (3,)."""

    level_quat: np.ndarray = field(default_factory=lambda: np.array([1.0, 0.0, 0.0, 0.0]))
    """Root orientation, wxyz, that its files record for a level robot facing along x. (4,)."""


SOURCE_ROBOTS: dict[str, SourceRobot] = {
    robot.name: robot
    for robot in (
        SourceRobot(
            name="a1",
            legs=LegKinematics.straight(
                hip=(0.1805, 0.047), thigh_offset=0.0838, thigh=0.2, calf=0.2
            ),
        ),
        SourceRobot(
            name="go2",
            legs=LegKinematics.straight(
                hip=(0.1934, 0.0465), thigh_offset=0.0955, thigh=0.213, calf=0.213
            ),
        ),
        # Recorded in the angles of its URDF: y up, right hips turned round, zero with bent legs.
        SourceRobot(
            name="laikago",
            legs=LegKinematics.straight(
                hip=(0.21, 0.0817), thigh_offset=0.034, thigh=0.25, calf=0.25
            ),
            joint_sign=np.array([[left, 1.0, 1.0] for left in (1.0, -1.0, 1.0, -1.0)]),
            joint_offset=np.array([0.0, 0.6, -0.66]),
            level_quat=np.array([0.5, 0.5, 0.5, 0.5]),
        ),
    )
}
"""Robots of the public motion sets, by name."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording:
    """What a file of another format says, in our order and units, on the robot it belongs to."""

    name: str
    """Name of the motion."""

    fps: float
    """Frames per second."""

    weight: float
    """Relative sampling weight."""

    source: str
    """Where the motion comes from."""

    root_pos: np.ndarray
    """Root in the world [m]. Shape (N, 3)."""

    root_quat: np.ndarray
    """Root to world, wxyz; the identity is level and faces along x. Shape (N, 4)."""

    foot_pos: np.ndarray
    """Feet in base coordinates [m], in the order of ``legs``. Shape (N, num_legs, 3)."""

    legs: LegKinematics
    """Legs of the recorded robot."""


def retarget(
    recording: Recording, legs: LegKinematics, *, licence: str
) -> tuple[MotionClip, float]:
    """Put a recording on our robot.

    Legs take the part of the leg at the same corner. The vector from each leg's shoulder (where it
    would hang straight down from) to its foot is scaled by the ratio of leg lengths, and so is the
    way of the trunk, so that standing feet stay; the time is kept. The whole motion is then
    levelled until its lowest feet touch the ground.
    Contacts are estimated from height and speed of the feet. The clip is not cyclic, as a recording
    seldom ends just where it began, and is two frames shorter, which the velocities need.

    Args:
        recording: The motion.
        legs: Legs of our robot.
        licence: Terms of use of the recording.

    Returns:
        The clip, and how far the worst foot target was out of reach [m].

    Raises:
        UserError: The motion is too short or has values that are not finite.
    """
    source = recording.legs
    corners = [leg.corner for leg in source.legs]
    order = [corners.index(leg.corner) for leg in legs.legs]
    scale = float((legs.leg_length / source.leg_length[order]).mean())
    target = legs.shoulder + scale * (recording.foot_pos - source.shoulder)[:, order]
    joint_pos = legs.inverse(target, clamp=True)
    foot_pos = legs.forward(joint_pos)
    missed = float(np.linalg.norm(foot_pos - target, axis=-1).max())

    root_pos = scale * (recording.root_pos - recording.root_pos[0] * np.array([1.0, 1.0, 0.0]))
    foot_world = root_pos[:, None] + quat_rotate(recording.root_quat[:, None], foot_pos)
    sole = np.percentile(foot_world[..., 2], SOLE_PERCENTILE) - legs.foot_radius
    root_pos[:, 2] -= sole

    foot_speed = np.linalg.norm(np.gradient(foot_world, 1.0 / recording.fps, axis=0), axis=-1)
    foot_height = foot_world[..., 2] - sole - legs.foot_radius
    poses = PoseSequence(
        fps=recording.fps,
        root_pos=root_pos,
        root_quat=recording.root_quat,
        joint_pos=joint_pos,
        foot_contact=(foot_height < CONTACT_HEIGHT) & (foot_speed < CONTACT_SPEED),
    )
    clip = MotionClip.from_poses(
        poses,
        legs,
        name=recording.name,
        source=recording.source,
        licence=licence,
        weight=recording.weight,
    )
    return clip, missed
