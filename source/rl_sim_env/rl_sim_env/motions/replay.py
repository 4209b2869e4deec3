"""Play a clip through the physics: can the robot do what the clip shows?

The robot is free on a plane, its boom locked. The joints follow the clip with the task's gains. On
top comes the torque of inverse dynamics, because with the gains alone the robot sags under its own
weight: the wrench that moves the trunk as the clip shows, plus one that pulls it back to the clip,
is laid on the feet that should stand (virtual model control, Pratt et al., IJRR 20, 2001). A clip
that asks for impossible contact forces is lost all the same: the feet slip or the robot falls.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from rl_sim_env.conventions import PHYSICS_DT
from rl_sim_env.motions.clip import MotionClip
from rl_sim_env.motions.rotations import (
    quat_conjugate,
    quat_multiply,
    quat_rotate,
    quat_to_rotvec,
)
from rl_sim_env.robots import Robot, load_model
from rl_sim_env.robots.robot import torque_limits

TRUNK_STIFFNESS = np.array([300.0, 300.0, 2000.0, 200.0, 200.0, 200.0])
"""Pull towards the clip's trunk pose: along x, y, z [N/m], about x, y, z [N m/rad]."""

TRUNK_DAMPING = np.array([150.0, 150.0, 200.0, 20.0, 20.0, 20.0])
"""Same for its velocity [N s/m], [N m s/rad]."""

REFERENCE_MASS = 27.0
"""Mass of a robot that these gains suit [kg]; others get theirs in proportion."""

FALLEN_SHARE = 0.5
"""The robot has fallen when the base is lower than this share of its height at spawn."""

FALLEN_UP_COMPONENT = 0.5
"""The robot has fallen when its z axis points up less than this: at 60 degrees of tilt."""

FORCE_REGULARISATION = 1e-6
"""Weight of the squared contact forces against the squared wrench error: splits the load evenly."""


@dataclass(frozen=True, kw_only=True)
class ReplayReport:
    """How well the robot followed a clip."""

    name: str
    """Name of the clip."""

    duration: float
    """Length of the clip [s]."""

    upright_for: float
    """How long the robot stayed on its feet [s]."""

    joint_rmse: float
    """Joint angle error while upright, root mean square over joints and time [rad]."""

    velocity_rmse: float
    """Error of the trunk's horizontal velocity while upright, root mean square per axis [m/s]."""

    torque_peak: float
    """Largest joint torque applied [N m]."""

    @property
    def fell(self) -> bool:
        """Whether the robot fell before the clip ended."""
        return self.upright_for < self.duration


def replay_clip(clip: MotionClip, description: Robot) -> ReplayReport:
    """Replay one clip from its first frame to its last.

    Args:
        clip: What to follow.
        description: The robot that follows.

    Raises:
        UserError: The model cannot be read or lacks a part, or the clip is another robot's.
    """
    clip = clip.arranged(description.leg_joints, description.feet)
    robot = _SimulatedRobot(description)
    data = mujoco.MjData(robot.model)
    frame_time = np.arange(clip.num_frames) / clip.fps
    duration = float(frame_time[-1])
    step_time = np.arange(0.0, duration, PHYSICS_DT)
    qpos, qvel, force = (
        _resample(step_time, frame_time, values) for values in robot.reference(clip)
    )
    standing = clip.foot_contact[np.round(step_time * clip.fps).astype(int)]
    data.qpos[:], data.qvel[:] = qpos[0], qvel[0]

    upright_for, torque_peak = duration, 0.0
    joint_error, velocity_error = [], []
    for k, time in enumerate(step_time):
        mujoco.mj_step1(robot.model, data)
        if robot.has_fallen(data):
            upright_for = float(time)
            break
        torque = robot.tracking_torque(data, qpos[k], qvel[k], force[k], standing[k])
        data.qfrc_applied[robot.leg_dof] = torque
        joint_error.append((qpos[k] - data.qpos)[robot.leg_qpos])
        velocity_error.append((qvel[k] - data.qvel)[robot.root_dof[:2]])
        torque_peak = max(torque_peak, float(np.abs(torque).max()))
        mujoco.mj_step2(robot.model, data)
    return ReplayReport(
        name=clip.name,
        duration=duration,
        upright_for=upright_for,
        joint_rmse=_root_mean_square(joint_error),
        velocity_rmse=_root_mean_square(velocity_error),
        torque_peak=torque_peak,
    )


class _SimulatedRobot:
    """The model on a plane, addressed by names."""

    def __init__(self, robot: Robot) -> None:
        spec = load_model(robot)
        spec.option.timestep = PHYSICS_DT
        spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0.0, 0.0, 1.0])
        _lock_undriven_joints(spec, robot.leg_joints)
        self.model = spec.compile()
        self.airborne_model = spec.compile()
        self.airborne_model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONSTRAINT

        joints = [self.model.joint(name) for name in robot.leg_joints]
        self.leg_qpos = np.array([joint.qposadr[0] for joint in joints])
        self.leg_dof = np.array([joint.dofadr[0] for joint in joints])
        self.base_id = self.model.body(robot.base_body).id
        free_joint = self.model.joint(self.model.body_jntadr[self.base_id])
        self.root_qpos = free_joint.qposadr[0] + np.arange(7)
        self.root_dof = free_joint.dofadr[0] + np.arange(6)
        self.foot_site = np.array([self.model.site(name).id for name in robot.feet])
        foot_geoms = [self.model.geom(name).id for name in robot.foot_geoms]
        self.foot_radius = self.model.geom_size[foot_geoms, 0]
        self.drives = robot.drive_arrays()
        # As heavy and as long as the gains were chosen for, or in proportion.
        mass = self.model.body_subtreemass[self.base_id] / REFERENCE_MASS
        self.fallen_height = FALLEN_SHARE * robot.spawn_height
        self.trunk_stiffness, self.trunk_damping = mass * TRUNK_STIFFNESS, mass * TRUNK_DAMPING

    def reference(self, clip: MotionClip) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Positions (L, nq), velocities (L, nv) and inverse-dynamics forces (L, nv) of a clip.

        The forces would move the robot as the clip shows without any contact; what they ask of the
        trunk, the feet have to provide.
        """
        model = self.airborne_model
        qpos = np.tile(model.qpos0, (clip.num_frames, 1))
        locked = model.jnt_qposadr[model.eq_obj1id]
        qpos[:, locked] += model.eq_data[:, 0]
        qpos[:, self.root_qpos] = np.concatenate([clip.root_pos, clip.root_quat], axis=-1)
        qpos[:, self.leg_qpos] = clip.joint_pos
        qvel = np.zeros((clip.num_frames, model.nv))
        # A free joint's linear velocity is in world coordinates, its angular velocity in its own.
        world_vel = quat_rotate(clip.root_quat, clip.root_lin_vel)
        qvel[:, self.root_dof] = np.concatenate([world_vel, clip.root_ang_vel], axis=-1)
        qvel[:, self.leg_dof] = clip.joint_vel
        qacc = np.gradient(qvel, 1.0 / clip.fps, axis=0)

        force = np.empty_like(qvel)
        data = mujoco.MjData(model)
        for frame in range(clip.num_frames):
            data.qpos[:], data.qvel[:], data.qacc[:] = qpos[frame], qvel[frame], qacc[frame]
            mujoco.mj_inverse(model, data)
            force[frame] = data.qfrc_inverse
        return qpos, qvel, force

    def tracking_torque(
        self,
        data: mujoco.MjData,
        qpos: np.ndarray,
        qvel: np.ndarray,
        force: np.ndarray,
        standing: np.ndarray,
    ) -> np.ndarray:
        """Leg torques (12,) that follow one moment of the reference, within the drives' limits.

        Args:
            data: State of the physics, kinematics up to date.
            qpos: Reference positions. Shape (nq,).
            qvel: Reference velocities. Shape (nv,).
            force: Inverse-dynamics forces of the reference. Shape (nv,).
            standing: Which feet should stand. Shape (4,).
        """
        wrench = force[self.root_dof] + self._pull_on_trunk(data, qpos, qvel)
        feedforward = force - self._contact_force(data, standing, wrench)
        speed = data.qvel[self.leg_dof]
        torque = (
            self.drives["stiffness"] * (qpos - data.qpos)[self.leg_qpos]
            + self.drives["damping"] * (qvel[self.leg_dof] - speed)
            + feedforward[self.leg_dof]
        )
        return np.clip(torque, *torque_limits(self.drives, speed))

    def has_fallen(self, data: mujoco.MjData) -> bool:
        """Whether the trunk lies too low or too far on its side."""
        upward = data.xmat[self.base_id, 8]
        return data.xpos[self.base_id, 2] < self.fallen_height or upward < FALLEN_UP_COMPONENT

    def _pull_on_trunk(self, data: mujoco.MjData, qpos: np.ndarray, qvel: np.ndarray) -> np.ndarray:
        """Generalised force (6,) on the root that leads it back to the reference."""
        pose, reference_pose = data.qpos[self.root_qpos], qpos[self.root_qpos]
        turn = quat_to_rotvec(quat_multiply(quat_conjugate(pose[3:]), reference_pose[3:]))
        pose_error = np.concatenate([(reference_pose - pose)[:3], turn])
        velocity_error = (qvel - data.qvel)[self.root_dof]
        return self.trunk_stiffness * pose_error + self.trunk_damping * velocity_error

    def _contact_force(
        self, data: mujoco.MjData, standing: np.ndarray, wrench: np.ndarray
    ) -> np.ndarray:
        """Generalised force (nv,) of the smallest ground forces that come nearest to ``wrench``."""
        jacobian = np.zeros((len(standing), 3, self.model.nv))
        for foot in np.flatnonzero(standing):
            site = self.foot_site[foot]
            sole = data.site_xpos[site] - np.array([0.0, 0.0, self.foot_radius[foot]])
            body = int(self.model.site_bodyid[site])
            mujoco.mj_jac(self.model, data, jacobian[foot], None, sole, body)
        contact = jacobian.reshape(-1, self.model.nv)
        on_root = contact[:, self.root_dof]
        square = on_root.T @ on_root + FORCE_REGULARISATION * np.eye(len(self.root_dof))
        return contact.T @ (on_root @ np.linalg.solve(square, wrench))


def _lock_undriven_joints(spec: mujoco.MjSpec, leg_joints: tuple[str, ...]) -> None:
    """Hold every joint that is neither a leg's nor free in the middle of its range."""
    for joint in spec.joints:
        if joint.name in leg_joints or joint.type == mujoco.mjtJoint.mjJNT_FREE:
            continue
        lock = spec.add_equality(
            type=mujoco.mjtEq.mjEQ_JOINT, objtype=mujoco.mjtObj.mjOBJ_JOINT, name1=joint.name
        )
        lock.data[:5] = [np.mean(joint.range) - joint.ref, 0.0, 0.0, 0.0, 0.0]


def _resample(time: np.ndarray, frame_time: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.stack([np.interp(time, frame_time, column) for column in values.T], axis=-1)


def _root_mean_square(errors: list[np.ndarray]) -> float:
    return float(np.sqrt(np.mean(np.square(errors)))) if errors else 0.0
