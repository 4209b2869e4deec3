"""Events: domain randomisation and resets.

What varies between robots is drawn anew at each reset.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import torch
from mjlab.managers.event_manager import RecomputeLevel, requires_model_fields
from mjlab.utils.lab_api.math import quat_mul, yaw_quat

from rl_sim_env.configuration.limits import NOT_NEGATIVE, POSITIVE, SHARE, Number, Range
from rl_sim_env.errors import UserError
from rl_sim_env.geometry import upright_quat
from rl_sim_env.motions import MotionSampler, load_clips

if TYPE_CHECKING:
    from mjlab.managers.event_manager import EventTermCfg

    from rl_sim_env.envs import AmpVaeEnv

AmountRange = Annotated[Range, NOT_NEGATIVE]
LoadRange = Annotated[Range, Number(at_least=0, at_most=500)]
"""Kilograms: what is heavier, no legged robot carries; grams are mistaken for them."""
PositiveRange = Annotated[Range, POSITIVE]
Size = Annotated[float, NOT_NEGATIVE]


def _uniform(limits: Range, *shape: int, device: str) -> torch.Tensor:
    low, high = limits
    return low + (high - low) * torch.rand(*shape, device=device)


def _normal_from_range(limits: Range, num: int, *, device: str) -> torch.Tensor:
    """Normal draw around the range's middle, cut at its ends: three standard deviations."""
    low, high = limits
    mean, std = (low + high) / 2.0, (high - low) / 6.0
    return (mean + std * torch.randn(num, device=device)).clamp(low, high)


def _add_mass(env: AmpVaeEnv, env_ids: torch.Tensor, body: int, added: torch.Tensor) -> None:
    """Have a body weigh so much more than its model [kg]; its inertia changes in proportion."""
    model, default = env.sim.model, env.sim.get_default_field
    mass = default("body_mass")[body] + added
    ratio = mass / default("body_mass")[body]
    model.body_mass[env_ids, body] = mass
    model.body_inertia[env_ids, body] = default("body_inertia")[body] * ratio[:, None]


@requires_model_fields("body_mass", "body_inertia", "body_ipos", recompute=RecomputeLevel.set_const)
def randomize_base_mass_and_com(
    env: AmpVaeEnv, env_ids: torch.Tensor, *, mass: Range, com_x: Range, com_y: Range, com_z: Range
) -> None:
    """Add to the trunk's mass [kg] and centre of mass [m], normal within the given ranges."""
    body = env.index.base_body_global
    _add_mass(env, env_ids, body, _normal_from_range(mass, len(env_ids), device=env.device))
    offset = [_normal_from_range(r, len(env_ids), device=env.device) for r in (com_x, com_y, com_z)]
    default_com = env.sim.get_default_field("body_ipos")[body]
    env.sim.model.body_ipos[env_ids, body] = default_com + torch.stack(offset, dim=-1)


@requires_model_fields("body_mass", "body_inertia", recompute=RecomputeLevel.set_const)
def randomize_load(env: AmpVaeEnv, env_ids: torch.Tensor, *, mass: LoadRange) -> None:
    """Draw the load [kg] that the robot carries, uniform within the range."""
    set_load(env, env_ids, _uniform(mass, len(env_ids), device=env.device))


def set_load(
    env: AmpVaeEnv, env_ids: torch.Tensor, load: torch.Tensor, *, recompute: bool = False
) -> None:
    """Have robots carry a load [kg], shape (len(env_ids),), on the boom or in the box.

    Args:
        env: The environment.
        env_ids: Whose loads change.
        load: The loads [kg].
        recompute: Whether what the simulation derives from masses follows at once; needed outside
            of events, after which mjlab's event manager sees to it.
    """
    _add_mass(env, env_ids, _payload_body(env), load)
    if recompute:
        env.sim.recompute_constants(RecomputeLevel.set_const)


@requires_model_fields("body_ipos", recompute=RecomputeLevel.set_const)
def place_load(env: AmpVaeEnv, env_ids: torch.Tensor, *, x: Range, y: Range) -> None:
    """Draw where in its box the load lies, within the ranges [m] about the box's centre."""
    body = _payload_body(env)
    place = env.sim.get_default_field("body_ipos")[body].repeat(len(env_ids), 1)
    place[:, 0] += _uniform(x, len(env_ids), device=env.device)
    place[:, 1] += _uniform(y, len(env_ids), device=env.device)
    env.sim.model.body_ipos[env_ids, body] = place


def get_load(env: AmpVaeEnv) -> torch.Tensor:
    """Loads that the robots carry [kg]. Shape (num_envs,)."""
    body = env.index.payload_body_global
    if body is None:
        return torch.zeros(env.num_envs, device=env.device)
    return env.sim.model.body_mass[:, body] - env.sim.get_default_field("body_mass")[body]


def _payload_body(env: AmpVaeEnv) -> int:
    body = env.index.payload_body_global
    if body is None:
        raise UserError(
            f"robot {env.cfg.robot.name} carries nothing; take loads out of the events, or give "
            "the robot a payload"
        )
    return body


@requires_model_fields("geom_friction")
def randomize_foot_friction(
    env: AmpVaeEnv, env_ids: torch.Tensor, *, friction: AmountRange
) -> None:
    """Sliding friction between feet and ground, one uniform draw for the four feet."""
    value = _uniform(friction, len(env_ids), 1, device=env.device)
    env.sim.model.geom_friction[env_ids[:, None], env.index.foot_geoms_global, 0] = value.expand(
        -1, len(env.index.foot_geoms_global)
    )


def randomize_leg_gains(
    env: AmpVaeEnv, env_ids: torch.Tensor, *, gain: PositiveRange, torque_constant: PositiveRange
) -> None:
    """Scale kp and kd of the leg drives, each joint for itself.

    Args:
        env: The environment.
        env_ids: Environments to draw for.
        gain: Independent factor of each gain.
        torque_constant: Factor shared by both gains of a joint: the drive's torque constant.
    """
    drive = env.leg_drive
    shape = (len(env_ids), len(drive.target_names))
    shared = _uniform(torque_constant, *shape, device=env.device)
    kp = drive.default_stiffness[env_ids] * shared * _uniform(gain, *shape, device=env.device)
    kd = drive.default_damping[env_ids] * shared * _uniform(gain, *shape, device=env.device)
    drive.set_gains(env_ids, kp=kp, kd=kd)


@requires_model_fields("dof_frictionloss", "dof_armature", recompute=RecomputeLevel.set_const)
def randomize_drive_mechanics(env: AmpVaeEnv, env_ids: torch.Tensor) -> None:
    """Draw what lies between a drive's torque and its leg, where sensors are as on hardware.

    Friction of each joint and inertia of the rotors, beyond the model's; see
    :class:`~rl_sim_env.mdp.hardware_sensors.HardwareSensorsCfg`.
    """
    sensors = env.scene["proprioception"].hardware
    if sensors is None:
        return
    model, default = env.sim.model, env.sim.get_default_field
    joints = env.robot.indexing.joint_v_adr[env.index.leg_joints]
    rows, num = env_ids[:, None], len(env_ids)
    for field, most, width in (
        ("dof_frictionloss", sensors.cfg.joint_friction, len(joints)),
        ("dof_armature", sensors.cfg.armature, 1),
    ):
        added = sensors.active * _uniform((0.0, most), num, width, device=env.device)
        getattr(model, field)[rows, joints] = default(field)[joints] + added


def randomize_command_delay(env: AmpVaeEnv, env_ids: torch.Tensor) -> None:
    """Draw the delay of the joint targets for the whole episode."""
    drive = env.leg_drive
    delays = _uniform((0.0, drive.cfg.max_delay), len(env_ids), device=env.device)
    drive.set_delays(delays, env_ids)


def reset_base(
    env: AmpVaeEnv, env_ids: torch.Tensor, *, position_xy: Size, yaw: Size, lin_vel: Size
) -> None:
    """Put the robot near its origin.

    Args:
        env: The environment.
        env_ids: Environments to reset.
        position_xy: Largest offset in x and y [m].
        yaw: Largest heading [rad].
        lin_vel: Largest velocity in x, y and z [m/s].
    """
    num = len(env_ids)
    state = env.robot.data.default_root_state[env_ids].clone()
    state[:, :3] += env.scene.env_origins[env_ids]
    state[:, :2] += _uniform((-position_xy, position_xy), num, 2, device=env.device)
    # The ground may rise between the origin and the drawn place.
    ground = env.height_map.heights(state[:, :2])
    state[:, 2] += (ground - env.scene.env_origins[env_ids, 2]).clamp(min=0.0)
    state[:, 3:7] = upright_quat(_uniform((-yaw, yaw), num, device=env.device))
    state[:, 7:10] = _uniform((-lin_vel, lin_vel), num, 3, device=env.device)
    env.robot.write_root_state_to_sim(state, env_ids=env_ids)


def reset_leg_joints(env: AmpVaeEnv, env_ids: torch.Tensor, *, offset: Size) -> None:
    """Default leg pose plus a uniform offset [rad] within the soft limits, at rest and held there.

    Without a target the drives would pull at the zero pose until the first delayed action arrives.
    """
    joints = env.index.leg_joints
    default = env.default_leg_joint_pos[env_ids]
    position = default + _uniform((-offset, offset), *default.shape, device=env.device)
    low, high = env.robot.data.soft_joint_pos_limits[env_ids[:, None], joints].unbind(dim=-1)
    hold_joints(env, env_ids, joints, torch.clamp(position, low, high))


def reset_boom(env: AmpVaeEnv, env_ids: torch.Tensor, *, angle: Range, length: Range) -> None:
    """Draw the boom's angle [rad] and length [m] and hold it there."""
    num = len(env_ids)
    position = torch.stack(
        (_uniform(angle, num, device=env.device), _uniform(length, num, device=env.device)), dim=-1
    )
    hold_joints(env, env_ids, env.index.boom_joints, position)


def hold_joints(
    env: AmpVaeEnv, env_ids: torch.Tensor, joints: torch.Tensor, position: torch.Tensor
) -> None:
    """Put joints at rest at ``position``, which is their drives' target, too."""
    env.robot.write_joint_state_to_sim(
        position, torch.zeros_like(position), joint_ids=joints, env_ids=env_ids
    )
    env.robot.set_joint_position_target(position, joint_ids=joints, env_ids=env_ids)


def push(env: AmpVaeEnv, env_ids: torch.Tensor, *, velocity: Size) -> None:
    """Add up to ``velocity`` [m/s] to the base's world x and y velocity."""
    drawn = _uniform((-velocity, velocity), len(env_ids), 2, device=env.device)
    push_by_velocity(env, env_ids, drawn)


def push_by_velocity(env: AmpVaeEnv, env_ids: torch.Tensor, velocity: torch.Tensor) -> None:
    """Add a velocity [m/s], shape (len(env_ids), 2), to the base's world x and y velocity."""
    qvel = env.robot.data.data.qvel
    xy = env.robot.indexing.free_joint_v_adr[:2]
    qvel[env_ids[:, None], xy] = qvel[env_ids[:, None], xy] + velocity


class ResetToMotion:
    """Begin some episodes in the middle of a reference motion (Peng et al., DeepMimic, 2018).

    A robot that starts walking meets the states that reward walking long before it could reach them
    on its own. Comes after the other reset events, whose pose it replaces.
    """

    def __init__(self, cfg: EventTermCfg, env: AmpVaeEnv) -> None:
        clips = load_clips(cfg.params["motion_paths"], env.cfg.robot)
        self._sampler = MotionSampler(
            clips, ("joint_pos",), env.step_dt, env.device, robot=env.cfg.robot
        )

    def __call__(
        self,
        env: AmpVaeEnv,
        env_ids: torch.Tensor,
        *,
        probability: Annotated[float, SHARE],
        motion_paths: Sequence[Path | str] | None,
    ) -> None:
        """Reset to drawn states.

        Args:
            env: The environment.
            env_ids: Environments to reset.
            probability: Share of the episodes that begin so.
            motion_paths: Clips: files, folders or patterns; None for the generated ones.
        """
        del motion_paths
        # All are drawn and written, and most put back: a list of those drawn would have a length
        # that only the device knows.
        chosen = torch.rand(len(env_ids), 1, device=env.device) < probability
        state = self._sampler.sample_states(len(env_ids))
        robot, indexing = env.robot.data.data, env.robot.indexing
        fields = (robot.qpos, robot.qvel, env.robot.data.joint_pos_target)
        before = [field[env_ids] for field in fields]
        pose = robot.qpos[env_ids[:, None], indexing.free_joint_q_adr]
        pose[:, 2] = env.height_map.heights(pose[:, :2]) + state["root_height"]
        pose[:, 3:7] = quat_mul(yaw_quat(pose[:, 3:7]), state["root_quat"])
        velocity = torch.cat((state["root_lin_vel"], state["root_ang_vel"]), dim=-1)
        env.robot.write_root_link_pose_to_sim(pose, env_ids=env_ids)
        env.robot.write_root_link_velocity_b_to_sim(velocity, env_ids=env_ids)
        joints = env.index.leg_joints
        env.robot.write_joint_state_to_sim(
            state["joint_pos"], state["joint_vel"], joint_ids=joints, env_ids=env_ids
        )
        env.robot.set_joint_position_target(state["joint_pos"], joint_ids=joints, env_ids=env_ids)
        for field, old in zip(fields, before, strict=True):
            field[env_ids] = torch.where(chosen, field[env_ids], old)
