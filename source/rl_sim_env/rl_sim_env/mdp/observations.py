"""Observation terms. Leg joints only: the joints that carry the load enter none of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch
from mjlab.utils.lab_api.math import quat_apply_inverse

from rl_sim_env.configuration.limits import Number

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


# True state.


def base_lin_vel(env: AmpVaeEnv) -> torch.Tensor:
    """Velocity of the base link's origin, base frame [m/s]. Shape (num_envs, 3)."""
    return env.robot.data.root_link_lin_vel_b


def base_lin_vel_xy(env: AmpVaeEnv) -> torch.Tensor:
    """Horizontal part of :func:`base_lin_vel`. Shape (num_envs, 2)."""
    return env.robot.data.root_link_lin_vel_b[:, :2]


def base_ang_vel(env: AmpVaeEnv) -> torch.Tensor:
    """Angular velocity of the base, base frame [rad/s]. Shape (num_envs, 3)."""
    return env.robot.data.root_link_ang_vel_b


def base_ang_vel_z(env: AmpVaeEnv) -> torch.Tensor:
    """Yaw rate, base frame [rad/s]. Shape (num_envs, 1)."""
    return env.robot.data.root_link_ang_vel_b[:, 2:3]


def projected_gravity(env: AmpVaeEnv) -> torch.Tensor:
    """Direction of gravity in the base frame. Shape (num_envs, 3)."""
    return env.robot.data.projected_gravity_b


def joint_pos(env: AmpVaeEnv) -> torch.Tensor:
    """Leg joint positions [rad]. Shape (num_envs, num_leg_joints)."""
    return env.robot.data.joint_pos[:, env.index.leg_joints]


def joint_pos_rel(env: AmpVaeEnv) -> torch.Tensor:
    """Leg joint positions minus default [rad]. Shape (num_envs, num_leg_joints)."""
    return joint_pos(env) - env.default_leg_joint_pos


def joint_torques(env: AmpVaeEnv) -> torch.Tensor:
    """Torques the leg drives apply, after limits [N m]. Shape (num_envs, num_leg_joints)."""
    return env.robot.data.qfrc_actuator[:, env.index.leg_joints]


def joint_vel(env: AmpVaeEnv) -> torch.Tensor:
    """Leg joint velocities [rad/s]. Shape (num_envs, num_leg_joints)."""
    return env.robot.data.joint_vel[:, env.index.leg_joints]


def foot_positions(env: AmpVaeEnv) -> torch.Tensor:
    """Foot centres relative to the base link, base frame [m]. Shape (num_envs, num_feet * 3)."""
    robot = env.robot.data
    offset_w = robot.site_pos_w[:, env.index.foot_sites] - robot.root_link_pos_w[:, None]
    quat_w = robot.root_link_quat_w[:, None].expand(-1, offset_w.shape[1], -1)
    return quat_apply_inverse(quat_w, offset_w).flatten(1)


def system_com(env: AmpVaeEnv) -> torch.Tensor:
    """Centre of mass of robot and load, base link frame [m]. Shape (num_envs, 3).

    The task's term is called ``random_com``, as in saved layouts and exported policies.
    """
    robot = env.robot.data
    com_w = env.sim.data.subtree_com[:, env.index.base_body_global]
    return quat_apply_inverse(robot.root_link_quat_w, com_w - robot.root_link_pos_w)


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
        self._x, self._y = x.flatten(), y.flatten()

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
        position = env.robot.data.root_link_pos_w
        heading = env.robot_heading()
        cos, sin = heading.cos()[:, None], heading.sin()[:, None]
        x = position[:, 0:1] + cos * self._x - sin * self._y
        y = position[:, 1:2] + sin * self._x + cos * self._y
        ground = env.height_map.heights(torch.stack((x, y), dim=-1))
        return position[:, 2:3] - ground - offset


def foot_height(env: AmpVaeEnv) -> torch.Tensor:
    """Gap between each foot's sphere and the ground below [m]. Shape (num_envs, num_feet)."""
    position = env.robot.data.site_pos_w[:, env.index.foot_sites]
    return position[..., 2] - env.height_map.heights(position[..., :2]) - env.index.foot_radius
