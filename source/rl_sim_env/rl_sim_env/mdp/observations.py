"""Observation terms. Leg joints only: the joints that carry the load enter none of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch
from mjlab.entity.data import compute_velocity_from_cvel
from mjlab.utils.lab_api.math import quat_apply_inverse

from rl_sim_env.configuration.limits import Number
from rl_sim_env.geometry import turned

if TYPE_CHECKING:
    from mjlab.managers.observation_manager import ObservationTermCfg

    from rl_sim_env.envs import AmpVaeEnv

ScanSize = Annotated[tuple[float, float], Number(above=0, at_most=10)]
ScanCell = Annotated[float, Number(at_least=0.01, at_most=1)]

# Measured by the robot: delayed.


def delayed_base_ang_vel(env: AmpVaeEnv) -> torch.Tensor:
    """Angular velocity of the base, base frame [rad/s]. Shape (num_envs, 3)."""
    return env.scene["proprioception"].data.base_ang_vel


def delayed_projected_gravity(env: AmpVaeEnv) -> torch.Tensor:
    """Direction of gravity in the base frame. Shape (num_envs, 3)."""
    return env.scene["proprioception"].data.projected_gravity


def delayed_joint_pos_rel(env: AmpVaeEnv) -> torch.Tensor:
    """Leg joint positions minus default [rad]. Shape (num_envs, num_leg_joints)."""
    return env.scene["proprioception"].data.joint_pos - env.default_leg_joint_pos


def delayed_joint_vel(env: AmpVaeEnv) -> torch.Tensor:
    """Leg joint velocities [rad/s]. Shape (num_envs, num_leg_joints)."""
    return env.scene["proprioception"].data.joint_vel


def reported_joint_torques(env: AmpVaeEnv) -> torch.Tensor:
    """Torques the leg drives report, after limits [N m]. Shape (num_envs, num_leg_joints).

    True, and not late, where sensors are ideal.
    """
    return env.scene["proprioception"].data.joint_torques


# Known without a sensor.


def last_action(env: AmpVaeEnv) -> torch.Tensor:
    """The policy's last raw action. Shape (num_envs, num_leg_joints)."""
    return env.action_manager.action


def velocity_commands(env: AmpVaeEnv) -> torch.Tensor:
    """Commanded (vx, vy, yaw rate), base frame [m/s, m/s, rad/s]. Shape (num_envs, 3)."""
    return env.velocity_command.command


# True state. Where mjlab's data of the entity would put together poses of all parts in every call,
# quaternions from matrices included, it is read from the simulation itself: kernels are what a step
# of many robots is made of.


def _in_base_frame(env: AmpVaeEnv, vector_w: torch.Tensor) -> torch.Tensor:
    """Turn vectors from the world into the base frame. Shape (num_envs, 3) or (num_envs, n, 3)."""
    quat_w = env.sim.data.xquat[:, env.robot.indexing.root_body_id]
    if vector_w.ndim == 3:
        quat_w = quat_w[:, None].expand(-1, vector_w.shape[1], -1)
    return quat_apply_inverse(quat_w, vector_w)


def base_pos_w(env: AmpVaeEnv) -> torch.Tensor:
    """Origin of the base link in the world [m], a view of the state. Shape (num_envs, 3)."""
    return env.sim.data.xpos[:, env.robot.indexing.root_body_id]


def grid_w(grid: torch.Tensor, position: torch.Tensor, heading: torch.Tensor) -> torch.Tensor:
    """Points of a level grid around robots, which turns with them, in the world.

    Args:
        grid: Points forward and to the left of the base [m], shape (points, 2).
        position: Of the bases in the world [m], shape (B, 3).
        heading: Of the bases [rad], shape (B,).

    Returns:
        World coordinates [m], shape (B, points, 2).
    """
    return position[:, None, :2] + turned(grid, heading[:, None])


def foot_pos_w(env: AmpVaeEnv) -> torch.Tensor:
    """Foot centres in the world [m]. Shape (num_envs, num_feet, 3)."""
    return env.sim.data.site_xpos[:, env.index.foot_sites_global]


def foot_lin_vel_w(env: AmpVaeEnv) -> torch.Tensor:
    """Velocities of the foot centres in the world [m/s]. Shape (num_envs, num_feet, 3)."""
    return _foot_vel_w(env, foot_pos_w(env))


def sole_lin_vel_w(env: AmpVaeEnv) -> torch.Tensor:
    """Velocities of the feet's lowest points in the world [m/s]: 0 where a foot rolls on a plane.

    Of the matter of the foot that is there at present. Shape (num_envs, num_feet, 3).
    """
    points_w = foot_pos_w(env)
    points_w[..., 2] -= env.index.foot_radius
    return _foot_vel_w(env, points_w)


def _foot_vel_w(env: AmpVaeEnv, points_w: torch.Tensor) -> torch.Tensor:
    """Velocities of points that move with the feet. Shape (num_envs, num_feet, 3)."""
    data = env.sim.data
    com_w = data.subtree_com[:, None, env.robot.indexing.root_body_id]
    spatial = data.cvel[:, env.index.foot_bodies_global]
    return compute_velocity_from_cvel(points_w, com_w, spatial)[..., :3]


def base_lin_vel(env: AmpVaeEnv) -> torch.Tensor:
    """Velocity of the base link's origin, base frame [m/s]. Shape (num_envs, 3)."""
    return _in_base_frame(env, env.sim.data.qvel[:, env.index.base_lin_vel_global])


def base_lin_vel_xy(env: AmpVaeEnv) -> torch.Tensor:
    """Horizontal part of :func:`base_lin_vel`. Shape (num_envs, 2)."""
    return base_lin_vel(env)[:, :2]


def base_ang_vel(env: AmpVaeEnv) -> torch.Tensor:
    """Angular velocity of the base, base frame [rad/s], a view of the state. Shape (num_envs, 3).

    A free joint's angular velocity is in the frame of its body, its linear one in the world's.
    """
    return env.sim.data.qvel[:, env.index.base_ang_vel_global]


def base_ang_vel_z(env: AmpVaeEnv) -> torch.Tensor:
    """Yaw rate, base frame [rad/s]. Shape (num_envs, 1)."""
    return base_ang_vel(env)[:, 2:3]


def projected_gravity(env: AmpVaeEnv) -> torch.Tensor:
    """Direction of gravity in the base frame. Shape (num_envs, 3)."""
    return _in_base_frame(env, env.robot.data.gravity_vec_w)


def joint_pos(env: AmpVaeEnv) -> torch.Tensor:
    """Leg joint positions [rad]. Shape (num_envs, num_leg_joints)."""
    return env.sim.data.qpos[:, env.index.leg_qpos_global]


def joint_pos_rel(env: AmpVaeEnv) -> torch.Tensor:
    """Leg joint positions minus default [rad]. Shape (num_envs, num_leg_joints)."""
    return joint_pos(env) - env.default_leg_joint_pos


def joint_torques(env: AmpVaeEnv) -> torch.Tensor:
    """Torques the leg drives apply, after limits [N m]. Shape (num_envs, num_leg_joints)."""
    return env.sim.data.qfrc_actuator[:, env.index.leg_dofs_global]


def joint_vel(env: AmpVaeEnv) -> torch.Tensor:
    """Leg joint velocities [rad/s]. Shape (num_envs, num_leg_joints)."""
    return env.sim.data.qvel[:, env.index.leg_dofs_global]


def foot_positions(env: AmpVaeEnv) -> torch.Tensor:
    """Foot centres relative to the base link, base frame [m]. Shape (num_envs, num_feet * 3)."""
    offset_w = foot_pos_w(env) - base_pos_w(env)[:, None]
    return _in_base_frame(env, offset_w).flatten(1)


def system_com(env: AmpVaeEnv) -> torch.Tensor:
    """Centre of mass of robot and load, base link frame [m]. Shape (num_envs, 3).

    The task's term is called ``random_com``, as in saved layouts and exported policies.
    """
    com_w = env.sim.data.subtree_com[:, env.index.base_body_global]
    return _in_base_frame(env, com_w - base_pos_w(env))


def system_mass_delta(env: AmpVaeEnv) -> torch.Tensor:
    """Mass of robot and load above the nominal robot without load [kg]. Shape (num_envs, 1).

    The task's term is called ``random_mass``, as in saved layouts and exported policies.
    """
    mass = env.sim.model.body_mass[:, env.index.bodies_global].sum(dim=-1, keepdim=True)
    return mass - env.nominal_mass


class HeightScan:
    """Height of the base above the ground on a yaw-aligned grid around it [m], x fastest."""

    def __init__(self, cfg: ObservationTermCfg, env: AmpVaeEnv) -> None:
        length, width = cfg.params["size"]
        resolution = cfg.params["resolution"]

        def axis(extent: float) -> torch.Tensor:
            half = round(extent / resolution) * resolution / 2.0
            return torch.linspace(-half, half, round(extent / resolution) + 1, device=env.device)

        y, x = torch.meshgrid(axis(width), axis(length), indexing="ij")
        self._grid = torch.stack((x.flatten(), y.flatten()), dim=-1)

    def __call__(
        self, env: AmpVaeEnv, *, size: ScanSize, resolution: ScanCell, offset: float
    ) -> torch.Tensor:
        """Read the grid.

        Args:
            env: The environment.
            size: Length (x) and width (y) of the grid [m].
            resolution: Distance of grid points [m].
            offset: Subtracted from each height [m], so that a standing robot reads about zero.

        Returns:
            Heights [m]. Shape (num_envs, num_points).
        """
        del size, resolution
        position = base_pos_w(env)
        ground = env.height_map.heights(grid_w(self._grid, position, env.robot_heading()))
        return position[:, 2:3] - ground - offset


def foot_height(env: AmpVaeEnv) -> torch.Tensor:
    """Gap between each foot's sphere and the ground below [m]. Shape (num_envs, num_feet)."""
    position = foot_pos_w(env)
    return position[..., 2] - env.height_map.heights(position[..., :2]) - env.index.foot_radius
