"""The robot in plain MuJoCo, as a second opinion on the trainer's simulation.

It shares the robot's model file with the trainer, and integrator and solver with MuJoCo, but no
code: another time step, friction cone and solver budget, a rigid boom in place of a stiff servo,
and a drive written anew, which rubs as drives did in the middle of the policy's training.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import mujoco
import numpy as np
from numpy.typing import NDArray

from rl_sim_env.conventions import FALL_ANGLE
from rl_sim_env.deploy.deployed_policy import projected_gravity
from rl_sim_env.deploy.metadata import NOTHING_DRAWN, PolicyMetadata
from rl_sim_env.errors import Notice, UserError, known_names
from rl_sim_env.mjcf import Needed, missing_parts, read_spec
from rl_sim_env.robots.robot import DRIVE_FIELDS

Vector = NDArray[np.float64]

Model = Path | Callable[[], mujoco.MjSpec]
"""A robot's model: its file, or what makes it."""

TIME_STEP = 0.002
"""Physics time step [s]."""

SOLVER_ITERATIONS = 100

GROUND_AHEAD = 0.8
"""Where slope and stairs begin, in front of the robot's start [m]."""

_GROUND_LENGTH = 40.0
_GROUND_HALF_WIDTH = 20.0
_GROUND_THICKNESS = 0.5
_STEP_DEPTH = 0.3
"""Sizes of slopes and stairs, and the depth of a tread [m]."""

_BEHIND = 1e-6
"""How far behind what it passes a ray goes on [m]."""


def _add_plane(world: mujoco.MjsBody) -> None:
    world.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=(0.0, 0.0, 1.0))


def _add_slope(world: mujoco.MjsBody, *, angle: float) -> None:
    """A plane, and ahead a slope that rises by ``angle`` [rad]."""
    _add_plane(world)
    along = np.array((math.cos(angle), 0.0, math.sin(angle)))
    normal = np.array((-math.sin(angle), 0.0, math.cos(angle)))
    half_length, half_thickness = _GROUND_LENGTH / 2.0, _GROUND_THICKNESS / 2.0
    world.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=(half_length, _GROUND_HALF_WIDTH, half_thickness),
        pos=(GROUND_AHEAD, 0.0, 0.0) + half_length * along - half_thickness * normal,
        quat=(math.cos(angle / 2.0), 0.0, -math.sin(angle / 2.0), 0.0),
    )


def _add_stairs(world: mujoco.MjsBody, *, step_height: float) -> None:
    """A plane, and ahead stairs up with steps of ``step_height`` [m]."""
    _add_plane(world)
    for step in range(round(_GROUND_LENGTH / _STEP_DEPTH)):
        half_height = (step + 1) * step_height / 2.0
        world.add_geom(
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=(_STEP_DEPTH / 2.0, _GROUND_HALF_WIDTH, half_height),
            pos=(GROUND_AHEAD + (step + 0.5) * _STEP_DEPTH, 0.0, half_height),
        )


GROUNDS: dict[str, Callable[[mujoco.MjsBody], None]] = {
    "flat": _add_plane,
    "slope 10 deg": partial(_add_slope, angle=math.radians(10.0)),
    "stairs 10 cm": partial(_add_stairs, step_height=0.10),
    "stairs 15 cm": partial(_add_stairs, step_height=0.15),
}
"""What adds the ground to the world, by name."""


@dataclass(frozen=True, kw_only=True)
class World:
    """Where the robot walks, and what it carries."""

    ground: str
    """Name in :data:`GROUNDS`."""
    load: float
    """Load that the robot carries [kg]; >= 0."""
    boom_length: float
    """Distance of the load from the boom's axis [m]; without meaning where there is no boom."""
    boom_angle: float
    """Direction of the boom about the vertical [rad]; 0 ahead."""
    friction: float
    """Sliding friction of the feet; > 0."""
    yaw: float
    """Heading at the start [rad]; 0 towards slope and stairs."""


def drive_torque(
    target: NDArray[np.floating],
    joint_pos: Vector,
    joint_vel: Vector,
    *,
    stiffness: Vector,
    damping: Vector,
    effort_limit: Vector,
    stall_torque: Vector,
    velocity_limit: Vector,
) -> Vector:
    """Torque of a position-controlled drive whose motor weakens with speed.

    Args:
        target: Joint targets [rad]; all arguments have one value for each joint.
        joint_pos: Joint positions [rad].
        joint_vel: Joint velocities [rad/s].
        stiffness: Gain kp [N m/rad].
        damping: Gain kd [N m s/rad].
        effort_limit: Greatest torque [N m].
        stall_torque: Where the torque-speed line meets zero speed [N m].
        velocity_limit: No-load speed, where the line meets zero torque [rad/s].

    Returns:
        Torques [N m].
    """
    speed = joint_vel / velocity_limit
    highest = np.clip(stall_torque * (1.0 - speed), -effort_limit, effort_limit)
    lowest = np.clip(stall_torque * (-1.0 - speed), -effort_limit, effort_limit)
    return np.clip(stiffness * (target - joint_pos) - damping * joint_vel, lowest, highest)


class MujocoRobot:
    """One robot in one world, standing in its default pose.

    Args:
        model: The robot's model: a file, or a function that makes it, as
            :func:`rl_sim_env.robots.load_model` does of a robot.
        metadata: Names, gains and limits of the robot, and what training drew of its drives.
        world: Where it stands.

    Raises:
        UserError: There is no such ground, the model cannot be read or lacks a part, or a load is
            to be carried by a robot that carries nothing.
    """

    def __init__(self, model: Model, metadata: PolicyMetadata, world: World) -> None:
        if world.ground not in GROUNDS:
            raise UserError(f"ground '{world.ground}'; {known_names(world.ground, GROUNDS)}")
        if world.load and metadata.robot.load_body is None:
            raise UserError(f"load {world.load:g} kg: this robot carries nothing")
        spec = plain_spec(
            model, metadata, boom_length=world.boom_length, boom_angle=world.boom_angle
        )
        self.nominal_mass = float(spec.compile().body_mass.sum())
        """Mass of the robot without load [kg]."""
        parts = metadata.robot
        for name in parts.foot_geoms:
            spec.geom(name).friction[0] = world.friction
        GROUNDS[world.ground](spec.worldbody)
        self.model = spec.compile()
        self.data = mujoco.MjData(self.model)
        if parts.load_body is not None:
            body = self.model.body(parts.load_body)
            body.inertia *= 1.0 + world.load / body.mass
            body.mass += world.load
            mujoco.mj_setConst(self.model, self.data)
        self._drive = {name: np.array(getattr(metadata, name)) for name in DRIVE_FIELDS}
        joints = [self.model.joint(name).id for name in metadata.joint_names]
        self._q_adr = self.model.jnt_qposadr[joints]
        self._v_adr = self.model.jnt_dofadr[joints]
        drawn = metadata.drawn or NOTHING_DRAWN
        self._own_friction = self.model.dof_frictionloss[self._v_adr] - drawn.middle_friction
        self._own_armature = self.model.dof_armature[self._v_adr] - drawn.middle_armature
        self._base = self.model.body(parts.base_body).id
        base_joint = self.model.body_jntadr[self._base]
        self._base_q = self.model.jnt_qposadr[base_joint]
        self._base_v = self.model.jnt_dofadr[base_joint]
        untouchable = (name for name in (parts.base_body, parts.load_body) if name is not None)
        self._untouchable = {self.model.body(name).id for name in untouchable}
        self._is_ground = self.model.geom_bodyid == 0
        self._is_solid = (self.model.geom_contype | self.model.geom_conaffinity) != 0
        self._stand(np.array(metadata.default_joint_pos), parts.foot_geoms, world.yaw)

    def _stand(self, joint_pos: Vector, foot_geoms: tuple[str, ...], yaw: float) -> None:
        """Put the robot on the ground."""
        self.data.qpos[self._q_adr] = joint_pos
        self.base_pos[:] = 0.0
        self.quaternion[:] = (math.cos(yaw / 2.0), 0.0, 0.0, math.sin(yaw / 2.0))
        mujoco.mj_kinematics(self.model, self.data)
        feet = [self.model.geom(name).id for name in foot_geoms]
        lowest = min(self.data.geom_xpos[feet, 2] - self.model.geom_size[feet, 0])
        self.base_pos[2] = -lowest
        self._target = joint_pos.copy()
        mujoco.mj_forward(self.model, self.data)

    # State.

    @property
    def base_pos(self) -> Vector:
        """Position of the base in the world [m]. Shape (3,)."""
        return self.data.qpos[self._base_q : self._base_q + 3]

    @property
    def quaternion(self) -> Vector:
        """Orientation of the base in the world, w first. Shape (4,)."""
        return self.data.qpos[self._base_q + 3 : self._base_q + 7]

    @property
    def joint_pos(self) -> Vector:
        """Leg joint positions [rad]."""
        return self.data.qpos[self._q_adr]

    @property
    def joint_vel(self) -> Vector:
        """Leg joint velocities [rad/s]."""
        return self.data.qvel[self._v_adr]

    @property
    def joint_torques(self) -> Vector:
        """Torques that the drives apply [N m]."""
        return self.data.qfrc_applied[self._v_adr]

    @property
    def projected_gravity(self) -> Vector:
        """Direction of gravity in the base frame. Shape (3,)."""
        return projected_gravity(self.quaternion)

    @property
    def base_lin_vel(self) -> Vector:
        """Velocity of the base's origin, base frame [m/s]. Shape (3,)."""
        return self._to_base(self.data.qvel[self._base_v : self._base_v + 3])

    @property
    def base_ang_vel(self) -> Vector:
        """Angular velocity of the base, base frame [rad/s]. Shape (3,)."""
        return self.data.qvel[self._base_v + 3 : self._base_v + 6]

    @property
    def mass(self) -> float:
        """Mass above that of the robot without load [kg]."""
        return float(self.model.body_subtreemass[self._base]) - self.nominal_mass

    @property
    def com(self) -> Vector:
        """Centre of mass of robot and load, base frame [m]. Shape (3,)."""
        return self._to_base(self.data.subtree_com[self._base] - self.data.xpos[self._base])

    @property
    def has_fallen(self) -> bool:
        """Whether trunk or load touch something, or the base is tilted too far."""
        if self.projected_gravity[2] > -math.cos(FALL_ANGLE):
            return True
        bodies = self.model.geom_bodyid[self.data.contact.geom]
        return not self._untouchable.isdisjoint(bodies.flat)

    # What is around it.

    def ground_height(self, x: float, y: float, above: float) -> float:
        """Height of the ground in the world [m], looked for from ``above`` the base [m] down."""
        top = self.base_pos[2] + above
        hit = self._cast(np.array((x, y, top)), np.array((0.0, 0.0, -1.0)), self._is_ground)
        return top - hit if hit >= 0.0 else -math.inf

    def cast(self, start: Vector, direction: Vector) -> float:
        """Distance to the first solid thing in a direction, the robot included [m]; below 0: none.

        Args:
            start: Where the ray begins, world frame [m]. Shape (3,).
            direction: Where it goes, unit length. Shape (3,).
        """
        return self._cast(start, direction, self._is_solid)

    def _cast(self, start: Vector, direction: Vector, counts: NDArray[np.bool_]) -> float:
        """Distance to the first of the geoms that count."""
        passed, geom = 0.0, np.zeros(1, dtype=np.int32)
        while True:
            begin = start + passed * direction
            hit = mujoco.mj_ray(self.model, self.data, begin, direction, None, 1, -1, geom)
            if hit < 0.0 or counts[geom[0]]:
                return hit if hit < 0.0 else passed + hit
            passed += hit + _BEHIND

    def _to_base(self, vector: Vector) -> Vector:
        base_from_world, rotated = np.empty(4), np.empty(3)
        mujoco.mju_negQuat(base_from_world, self.quaternion)
        mujoco.mju_rotVecQuat(rotated, vector, base_from_world)
        return rotated

    # Time.

    def set_drives(self, *, friction: Vector, armature: float) -> None:
        """Give the leg drives other friction and inertia than the middle of training.

        Args:
            friction: Beyond the model's [N m]. Shape (joints,).
            armature: Inertia of the rotors beyond the model's [kg m^2].
        """
        self.model.dof_frictionloss[self._v_adr] = self._own_friction + friction
        self.model.dof_armature[self._v_adr] = self._own_armature + armature
        mujoco.mj_setConst(self.model, mujoco.MjData(self.model))

    def advance(
        self,
        target: NDArray[np.floating],
        *,
        seconds: float,
        delay: float = 0.0,
        on_step: Callable[[], None] | None = None,
    ) -> None:
        """Let time pass.

        Args:
            target: Joint targets [rad].
            seconds: How long [s].
            delay: Time until the drives learn of the targets; until then they keep the last ones
                [s]; at most ``seconds``.
            on_step: Called after each physics step.
        """
        late_steps = round(delay / TIME_STEP)
        for step in range(round(seconds / TIME_STEP)):
            known = self._target if step < late_steps else target
            self.data.qfrc_applied[self._v_adr] = drive_torque(
                known, self.joint_pos, self.joint_vel, **self._drive
            )
            mujoco.mj_step(self.model, self.data)
            if on_step is not None:
                on_step()
        self._target = target
        # A step ends with a new state, but with contacts and centres of mass of the old one.
        mujoco.mj_fwdPosition(self.model, self.data)


def plain_spec(
    model: Model, metadata: PolicyMetadata, *, boom_length: float, boom_angle: float
) -> mujoco.MjSpec:
    """A robot as :class:`MujocoRobot` simulates it, without load and ground.

    Its drives rub, and their rotors weigh, as in the middle of what training drew: torques that
    hold a load are told from those that overcome friction by what training has shown. Where the
    policy does not say, a :class:`~rl_sim_env.errors.Notice` does.

    Args:
        model: The robot's model: a file, or a function that makes it.
        metadata: Names of its parts, and what training drew.
        boom_length: Distance of the load from the boom's axis [m], where there is a boom.
        boom_angle: Direction of the boom about the vertical [rad]; 0 ahead.

    Raises:
        UserError: The model cannot be read or lacks a part.
    """
    spec = read_spec(model) if isinstance(model, Path) else model()
    _check_parts(spec, metadata)
    if metadata.robot.arm_angle_joint is not None:
        _fix_boom(spec, metadata, length=boom_length, angle=boom_angle)
    if metadata.drawn is None:
        warnings.warn(
            f"the file of {metadata.checkpoint} does not say which drives it was trained with, as "
            "none of before: here they do not rub and nothing is late, and a policy that knows "
            "other drives feels another load; export it anew",
            Notice,
            stacklevel=2,
        )
    drawn = metadata.drawn or NOTHING_DRAWN
    for name in metadata.joint_names:
        joint = spec.joint(name)
        joint.frictionloss += drawn.middle_friction
        joint.armature += drawn.middle_armature
    spec.option.timestep = TIME_STEP
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.solver = mujoco.mjtSolver.mjSOL_NEWTON
    spec.option.iterations = SOLVER_ITERATIONS
    return spec


def _check_parts(spec: mujoco.MjSpec, metadata: PolicyMetadata) -> None:
    robot = metadata.robot

    def present(*names: str | None) -> tuple[str, ...]:
        return tuple(name for name in names if name is not None)

    needed: Needed = {
        "joint": (
            spec.joint,
            (*metadata.joint_names, *present(robot.arm_angle_joint, robot.arm_length_joint)),
        ),
        "body": (spec.body, present(robot.base_body, robot.load_body)),
        "geom": (spec.geom, robot.foot_geoms),
    }
    if missing := missing_parts(needed):
        raise UserError(
            f"robot model {spec.modelname} lacks {', '.join(missing)}, which the policy was "
            "trained with; give the model of that robot, as rl_sim_env.robots.load_model makes it"
        )


def _fix_boom(
    spec: mujoco.MjSpec, metadata: PolicyMetadata, *, length: float, angle: float
) -> None:
    """Put the boom where it shall be and make it rigid by taking its joints away."""
    swivel = spec.joint(metadata.robot.arm_angle_joint)
    turned, turn = np.empty(4), np.empty(4)
    mujoco.mju_axisAngle2Quat(turn, swivel.axis, angle)
    mujoco.mju_mulQuat(turned, swivel.parent.quat, turn)
    swivel.parent.quat = turned
    slide = spec.joint(metadata.robot.arm_length_joint)
    shift = np.empty(3)
    mujoco.mju_rotVecQuat(shift, slide.axis * length, slide.parent.quat)
    slide.parent.pos += shift
    spec.delete(swivel)
    spec.delete(slide)
