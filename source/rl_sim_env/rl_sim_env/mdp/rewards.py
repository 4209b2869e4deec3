"""Reward terms. Each returns its value per second and environment, shape (num_envs,).

The weights of the task turn some of them into penalties. Only leg joints are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch

from rl_sim_env.configuration.limits import NOT_NEGATIVE, POSITIVE, SHARE
from rl_sim_env.mdp import constraints
from rl_sim_env.mdp import observations as obs

if TYPE_CHECKING:
    from rl_sim_env.envs import AmpVaeEnv

Force = Annotated[float, NOT_NEGATIVE]


def track_lin_vel_xy_exp(env: AmpVaeEnv, *, std: Annotated[float, POSITIVE]) -> torch.Tensor:
    """exp(-|error|^2 / std^2) of the horizontal velocity, std in m/s."""
    error = env.velocity_command.command[:, :2] - obs.base_lin_vel_xy(env)
    return torch.exp(-error.square().sum(dim=-1) / std**2)


def track_ang_vel_z_exp(env: AmpVaeEnv, *, std: Annotated[float, POSITIVE]) -> torch.Tensor:
    """exp(-error^2 / std^2) of the yaw rate, std in rad/s."""
    error = env.velocity_command.command[:, 2] - obs.base_ang_vel(env)[:, 2]
    return torch.exp(-error.square() / std**2)


def orientation_l2(env: AmpVaeEnv) -> torch.Tensor:
    """Squared horizontal part of gravity in the base frame: 0 when level."""
    return obs.projected_gravity(env)[:, :2].square().sum(dim=-1)


def lin_vel_z_l2(env: AmpVaeEnv) -> torch.Tensor:
    """Squared vertical velocity of the base, base frame [m^2/s^2]."""
    return obs.base_lin_vel(env)[:, 2].square()


def ang_vel_xy_l2(env: AmpVaeEnv) -> torch.Tensor:
    """Squared roll and pitch rates [rad^2/s^2]."""
    return obs.base_ang_vel(env)[:, :2].square().sum(dim=-1)


def dof_torques_l2(env: AmpVaeEnv) -> torch.Tensor:
    """Sum of squared leg torques [N^2 m^2]."""
    return obs.joint_torques(env).square().sum(dim=-1)


def dof_vel_l2(env: AmpVaeEnv) -> torch.Tensor:
    """Sum of squared leg joint velocities [rad^2/s^2]."""
    return obs.joint_vel(env).square().sum(dim=-1)


def dof_acc_l2(env: AmpVaeEnv) -> torch.Tensor:
    """Sum of squared leg joint accelerations [rad^2/s^4]."""
    return env.sim.data.qacc[:, env.index.leg_dofs_global].square().sum(dim=-1)


def action_rate_l2(env: AmpVaeEnv) -> torch.Tensor:
    """Squared first difference of the raw actions."""
    actions = env.action_manager
    return (actions.action - actions.prev_action).square().sum(dim=-1)


def action_smoothness_l2(env: AmpVaeEnv) -> torch.Tensor:
    """Squared second difference of the raw actions."""
    actions = env.action_manager
    second = actions.action - 2.0 * actions.prev_action + actions.prev_prev_action
    return second.square().sum(dim=-1)


def joint_power(env: AmpVaeEnv) -> torch.Tensor:
    """Sum of absolute mechanical leg power [W]."""
    return (obs.joint_torques(env) * obs.joint_vel(env)).abs().sum(dim=-1)


def joint_power_distribution(env: AmpVaeEnv) -> torch.Tensor:
    """Variance of absolute mechanical power over the legs' joints [W^2]."""
    return (obs.joint_torques(env) * obs.joint_vel(env)).abs().var(dim=-1)


def feet_air_time(env: AmpVaeEnv, *, threshold: Annotated[float, NOT_NEGATIVE]) -> torch.Tensor:
    """Air time beyond ``threshold`` [s] of each foot that touches down; none when standing."""
    sensor = env.scene[env.cfg.feet_contact_sensor]
    landed = sensor.compute_first_contact(env.step_dt)
    surplus = (sensor.data.last_air_time - threshold) * landed
    return surplus.sum(dim=-1) * env.velocity_command.is_moving


def undesired_contacts(env: AmpVaeEnv, *, sensor_name: str, force_threshold: Force) -> torch.Tensor:
    """Number of watched bodies that press on something with more than ``force_threshold`` [N]."""
    force = constraints.contact_force(env, sensor_name)
    return (force > force_threshold).float().sum(dim=-1)


def joint_pos_limits(env: AmpVaeEnv) -> torch.Tensor:
    """How far leg joints are beyond their soft limits, summed [rad]."""
    robot = env.cfg.robot
    factor = robot.soft_joint_limit_factor / robot.limits.position
    return constraints.excess(env, "position", factor=factor)


def joint_vel_limits(env: AmpVaeEnv, *, share: Annotated[float, POSITIVE]) -> torch.Tensor:
    """How much faster leg joints are than a share of their no-load speed, summed [rad/s]."""
    return constraints.excess(env, "speed", factor=share / env.cfg.robot.limits.speed)


def feet_slide(env: AmpVaeEnv, *, force_threshold: Force) -> torch.Tensor:
    """Horizontal speed [m/s] of the feet that carry more than ``force_threshold`` [N].

    From the first contact on, unlike the constraint ``slip``: it teaches feet to land softly, too.
    """
    speed = obs.foot_lin_vel_w(env)[..., :2].norm(dim=-1)
    return (speed * (constraints.foot_force(env) > force_threshold)).sum(dim=-1)


def foot_clearance(env: AmpVaeEnv, *, target: Annotated[float, POSITIVE]) -> torch.Tensor:
    """Horizontal foot speed [m/s] times what the foot lacks to ``target`` [m] above the ground.

    Feet that move without being lifted cost; feet at rest do not, whatever their height.
    """
    lack = (target - obs.foot_height(env)).clamp(min=0.0)
    speed = obs.foot_lin_vel_w(env)[..., :2].norm(dim=-1)
    return (lack * speed).sum(dim=-1)


def stand_still(env: AmpVaeEnv) -> torch.Tensor:
    """Distance of the legs from the default pose [rad], counted when the command is zero."""
    deviation = obs.joint_pos_rel(env).abs().sum(dim=-1)
    return deviation * ~env.velocity_command.is_moving


def is_terminated(env: AmpVaeEnv, *, initial_share: Annotated[float, SHARE] = 1.0) -> torch.Tensor:
    """Up to 1 in the step in which the robot fell (time-outs do not count).

    Robots that are to learn to walk must dare something; those that walk must not fall.

    Args:
        env: The environment.
        initial_share: Value while commands on the robot's terrain are narrowest; it rises to 1 as
            they widen.
    """
    command = env.velocity_command
    level = command.level[command.family]
    return env.termination_manager.terminated * (initial_share + (1.0 - initial_share) * level)
