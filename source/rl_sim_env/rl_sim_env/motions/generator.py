"""Reference motions made for the robot at hand, on flat ground.

A foot stands where it is under its hip, as in the standing pose, at mid-stance: the symmetric foot
placement of Raibert, "Legged robots that balance" (1986). In between it moves from foothold to
foothold along a minimum-jerk curve. The trunk follows the velocity profile and oscillates with
the stride; the legs follow by inverse kinematics. Nothing is random: a configuration gives one
clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rl_sim_env.conventions import GRAVITY
from rl_sim_env.errors import UserError, found_in
from rl_sim_env.motions.clip import MotionClip, PoseSequence
from rl_sim_env.motions.gait import Gait
from rl_sim_env.motions.kinematics import LegKinematics
from rl_sim_env.motions.rotations import quat_conjugate, quat_from_euler, quat_rotate
from rl_sim_env.motions.velocity_profile import FPS, ClipCfg, Timeline, minimum_jerk, plan_timeline
from rl_sim_env.robots import Robot

SOURCE = "gait generator"
LICENCE = "BSD-3-Clause"

PHASE_TOLERANCE = 1e-9
"""Rounding allowed where a step begins or ends with the stepping itself [strides]."""


def generate_clip(cfg: ClipCfg, robot: Robot, kinematics: LegKinematics) -> MotionClip:
    """Make one clip.

    Args:
        cfg: What to make.
        robot: The robot.
        kinematics: Its legs.

    Raises:
        UserError: The robot cannot do it: a foot is out of reach, or a joint leaves its limits.
    """
    standing_feet = kinematics.forward(robot.default_joint_pos)
    gait = cfg.gait.scaled(float(kinematics.leg_length.mean()))
    outwards = np.sign(standing_feet[:, 1:2]) * np.array([0.0, 1.0])
    nominal_feet = standing_feet[:, :2] + gait.spread * outwards
    standing_height = kinematics.foot_radius - standing_feet[:, 2].mean()
    offsets = [gait.touchdowns.of(leg.side, leg.end) for leg in robot.legs]

    timeline = plan_timeline(
        replace(cfg, gait=gait), turning_radius=np.linalg.norm(nominal_feet, axis=-1).mean()
    )
    foot_pos, foot_contact = _footsteps(gait, offsets, timeline, nominal_feet, standing_height)
    foot_pos[..., 2] += kinematics.foot_radius
    root_pos, root_quat = _trunk_motion(gait, timeline, standing_height)
    to_base = quat_conjugate(root_quat)[:, None]
    with found_in(f"motion clip {cfg.name}"):
        poses = PoseSequence(
            fps=FPS,
            root_pos=root_pos,
            root_quat=root_quat,
            joint_pos=kinematics.inverse(quat_rotate(to_base, foot_pos - root_pos[:, None])),
            foot_contact=foot_contact,
        )
        clip = MotionClip.from_poses(
            poses,
            kinematics,
            name=cfg.name,
            source=SOURCE,
            licence=LICENCE,
            weight=cfg.weight,
            cyclic=timeline.cyclic,
        )
        check_joint_limits(clip, robot, kinematics)
    return clip


def check_joint_limits(clip: MotionClip, robot: Robot, kinematics: LegKinematics) -> None:
    """Refuse a clip whose joints leave their range or turn faster than the drives can.

    Raises:
        UserError: Names the worst joint.
    """
    lower, upper = kinematics.joint_range.T
    excess = np.maximum(lower - clip.joint_pos, clip.joint_pos - upper).max(axis=0)
    worst = int(excess.argmax())
    if excess[worst] > 0.0:
        raise UserError(
            f"{robot.leg_joints[worst]} leaves its range of {lower[worst]:.2f} to "
            f"{upper[worst]:.2f} rad by {excess[worst]:.3f} rad; take smaller steps or another "
            "trunk height"
        )
    speed, limit = np.abs(clip.joint_vel).max(axis=0), robot.drive_arrays()["velocity_limit"]
    worst = int((speed - limit).argmax())
    if speed[worst] > limit[worst]:
        raise UserError(
            f"{robot.leg_joints[worst]} reaches {speed[worst]:.1f} rad/s, the drive does "
            f"{limit[worst]:.1f}; lower the speed, the stride frequency or the swing height"
        )


def _footsteps(
    gait: Gait,
    offsets: Sequence[float],
    timeline: Timeline,
    nominal_feet: np.ndarray,
    standing_height: float,
) -> tuple[np.ndarray, np.ndarray]:
    """World positions (L, F, 3) of the soles and their contacts (L, F) at the clip's frames."""
    time = timeline.time[timeline.frames]
    position = np.empty((len(time), len(nominal_feet), 3))
    contact = np.ones((len(time), len(nominal_feet)), dtype=bool)
    for leg, nominal in enumerate(nominal_feet):
        lift_off, touchdown = _swing_times(gait, timeline, offsets[leg])
        stance_start = np.concatenate([timeline.time[:1], touchdown])
        stance_end = np.concatenate([lift_off, timeline.time[-1:]])
        foothold_time = 0.5 * (stance_start + stance_end)
        # A robot that stands waits over its first footholds and comes to rest over its last.
        foothold_time[0], foothold_time[-1] = timeline.time[0], timeline.time[-1]
        foothold = _footholds(timeline, foothold_time, nominal, standing_height)

        position[:, leg, :2] = foothold[0]
        position[:, leg, 2] = 0.0
        for k, (start, end) in enumerate(zip(lift_off, touchdown, strict=True)):
            progress = np.clip((time - start) / (end - start), 0.0, 1.0)
            step = foothold[k + 1] - foothold[k]
            position[:, leg, :2] += minimum_jerk(progress)[:, None] * step
            position[:, leg, 2] += gait.swing_height * (4.0 * progress * (1.0 - progress)) ** 3
            contact[:, leg] &= (time <= start) | (time >= end)
    return position, contact


def _swing_times(gait: Gait, timeline: Timeline, offset: float) -> tuple[np.ndarray, np.ndarray]:
    """Moments (K,) of lift-off and of the touchdown after it, of one foot's complete swings."""
    phase, time = timeline.phase[timeline.stepping], timeline.time[timeline.stepping]
    if not len(phase):
        return np.empty(0), np.empty(0)
    stance_start = offset + np.arange(np.floor(phase[0]) - 1, np.ceil(phase[-1]) + 1)
    fraction = np.interp(stance_start, phase, timeline.speed_fraction[timeline.stepping])
    lift_off = stance_start + gait.duty.at(fraction)
    touchdown = stance_start + 1.0
    complete = (lift_off > phase[0] - PHASE_TOLERANCE) & (touchdown < phase[-1] + PHASE_TOLERANCE)
    return (
        np.interp(lift_off[complete], phase, time),
        np.interp(touchdown[complete], phase, time),
    )


def _footholds(
    timeline: Timeline, time: np.ndarray, nominal: np.ndarray, height: float
) -> np.ndarray:
    """Where in the world (K, 2) a foot stands that belongs at ``nominal`` (2,) under the trunk.

    The supporting feet of a trunk that accelerates lie behind it by height / g times the
    acceleration, the zero-moment point of the linear inverted pendulum (Kajita et al., "The 3D
    linear inverted pendulum mode", IROS 2001); in a curve that is outwards.
    """
    x, y, yaw = (np.interp(time, timeline.time, column) for column in timeline.path.T)
    ahead = [np.interp(time, timeline.time, column) for column in timeline.acceleration.T]
    lag = height / GRAVITY
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.stack(
        [
            x + cos * nominal[0] - sin * nominal[1] - lag * ahead[0],
            y + sin * nominal[0] + cos * nominal[1] - lag * ahead[1],
        ],
        axis=-1,
    )


def _trunk_motion(
    gait: Gait, timeline: Timeline, standing_height: float
) -> tuple[np.ndarray, np.ndarray]:
    """World position (F, 3) and attitude (F, 4) of the base link at the clip's frames."""
    x, y, yaw = timeline.path[timeline.frames].T
    forward_speed = timeline.velocity[timeline.frames, 0]
    phase = timeline.phase[timeline.frames]
    activity = timeline.activity[timeline.frames]
    beat = 4.0 * np.pi * (phase - gait.beat_phase)
    side = np.cos(2.0 * np.pi * (phase - gait.sway_phase))

    sway = activity * gait.sway * side
    height = standing_height - activity * (gait.crouch + gait.bob * np.cos(beat))
    pitch = -activity * gait.pitch * forward_speed * np.sin(beat)
    roll = activity * gait.roll * side
    position = np.stack([x - sway * np.sin(yaw), y + sway * np.cos(yaw), height], axis=-1)
    return position, quat_from_euler(yaw, pitch, roll)
