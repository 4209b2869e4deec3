"""Reward terms against values worked out by hand on made states."""

from __future__ import annotations

import math

import pytest
import torch

from grq20 import FOOT_RADIUS, STANDING_HEIGHT, VELOCITY_LIMIT
from rl_sim_env.mdp import observations, rewards

NUM_ENVS = 2
LEGS = 12
TOUCHING = STANDING_HEIGHT - 0.002
"""Base height at which the feet press on the ground [m]."""


@pytest.fixture(scope="module")
def env(make_env):
    return make_env(NUM_ENVS)


def expect(value: torch.Tensor, expected: float) -> None:
    torch.testing.assert_close(value, torch.full((NUM_ENVS,), expected), rtol=1e-3, atol=1e-4)


def apply_torques(env, torques: torch.Tensor) -> None:
    """Set the drives' torques, canonical order, and compute what follows from them."""
    names = list(env.cfg.robot.leg_joints)
    columns = [names.index(name) for name in env.leg_drive.target_names]
    env.sim.data.ctrl[:, env.leg_drive.global_ctrl_ids] = torques[columns]
    env.sim.forward()


def test_tracking_of_velocity_and_yaw_rate(env, place):
    env.velocity_command.set_constant((0.8, 0.1, 0.5))
    place(env, yaw=math.pi / 2, lin_vel=(-0.1, 0.5, 0.3), ang_vel=(0.0, 0.0, 0.2))
    expect(rewards.track_lin_vel_xy_exp(env, std=0.5), math.exp(-(0.3**2) / 0.25))
    expect(rewards.track_ang_vel_z_exp(env, std=0.5), math.exp(-(0.3**2) / 0.25))


def test_posture_and_unwanted_motion_of_the_base(env, place):
    pitch = math.radians(30.0)
    place(env, pitch=pitch)
    expect(rewards.orientation_l2(env), 0.25)
    place(env, lin_vel=(0.4, 0.0, -0.3), ang_vel=(0.1, -0.2, 0.9))
    expect(rewards.lin_vel_z_l2(env), 0.09)
    expect(rewards.ang_vel_xy_l2(env), 0.05)


def test_torque_speed_and_power_of_the_legs(env, place):
    torques = torch.arange(LEGS, dtype=torch.float)
    speeds = torch.linspace(-1.0, 1.0, LEGS)
    place(env, height=2.0, joint_vel=speeds.expand(NUM_ENVS, -1))
    apply_torques(env, torques)
    power = (torques * speeds).abs()
    expect(rewards.dof_torques_l2(env), float(torques.square().sum()))
    expect(rewards.dof_vel_l2(env), float(speeds.square().sum()))
    expect(rewards.joint_power(env), float(power.sum()))
    mean = power.mean()
    expect(rewards.joint_power_distribution(env), float((power - mean).square().sum() / (LEGS - 1)))


def test_joint_acceleration_is_that_of_the_legs(env, place):
    place(env, height=2.0)
    apply_torques(env, torch.linspace(1.0, 5.0, LEGS))
    names = env.cfg.robot.leg_joints
    legs = [env.sim.mj_model.joint(f"robot/{name}").dofadr[0] for name in names]
    by_hand = env.sim.data.qacc[:, legs].square().sum(dim=-1)
    torch.testing.assert_close(rewards.dof_acc_l2(env), by_hand)


def test_action_rate_and_smoothness(env):
    env.reset()
    for value in (1.0, 2.0, 5.0):
        env.action_manager.process_action(torch.full((NUM_ENVS, LEGS), value))
    expect(rewards.action_rate_l2(env), LEGS * 3.0**2)
    expect(rewards.action_smoothness_l2(env), LEGS * (5.0 - 2 * 2.0 + 1.0) ** 2)


def test_air_time_pays_once_at_touchdown_and_only_when_told_to_move(env, place):
    env.reset()
    env.velocity_command.set_constant((0.5, 0.0, 0.0))
    place(env, height=2.0)
    steps = round(0.5 / env.physics_dt)
    for _ in range(steps):
        env.scene.update(env.physics_dt)
    expect(rewards.feet_air_time(env, threshold=0.35), 0.0)
    place(env, height=TOUCHING)
    env.scene.update(env.physics_dt)
    expect(rewards.feet_air_time(env, threshold=0.35), 4 * (steps * env.physics_dt - 0.35))
    env.velocity_command.set_constant((0.0, 0.0, 0.0))
    expect(rewards.feet_air_time(env, threshold=0.35), 0.0)
    env.velocity_command.set_constant((0.5, 0.0, 0.0))
    for _ in range(env.cfg.decimation + 1):
        env.scene.update(env.physics_dt)
    expect(rewards.feet_air_time(env, threshold=0.35), 0.0)


def test_only_feet_that_carry_can_slide(env, place):
    place(env, height=TOUCHING, lin_vel=(0.3, -0.4, 0.0))
    expect(rewards.feet_slide(env, force_threshold=1.0), 4 * 0.5)
    place(env, height=TOUCHING + 0.1, lin_vel=(0.3, -0.4, 0.0))
    expect(rewards.feet_slide(env, force_threshold=1.0), 0.0)
    # Right feet in the air: the force of a foot belongs to the speed of that foot.
    tilt = {"roll": -0.12, "ang_vel": (0.0, 0.0, 1.0)}
    place(env, height=1.0, **tilt)
    left_clearance = float(observations.foot_height(env)[0, 0])
    place(env, height=1.0 - left_clearance - 0.002, **tilt)
    force = env.scene["feet_contact"].data.force[:, env.foot_contact_order].norm(dim=-1)
    assert (force[0] > 1.0).tolist() == [True, False, True, False]
    feet = env.sim.data.site_xpos[:, env.index.foot_sites_global, :2]
    expect(rewards.feet_slide(env, force_threshold=1.0), float(feet[0, [0, 2]].norm(dim=-1).sum()))


def test_joints_beyond_their_limits_cost_what_they_are_beyond(env, place):
    legs = env.index.leg_joints
    low, high = env.robot.data.soft_joint_pos_limits[0, legs].unbind(dim=-1)
    place(env, height=2.0)
    expect(rewards.joint_pos_limits(env), 0.0)
    position = env.default_leg_joint_pos.clone()
    position[:, 0], position[:, 5] = low[0] - 0.1, high[5] + 0.05
    place(env, height=2.0, joint_pos=position)
    expect(rewards.joint_pos_limits(env), 0.15)
    speeds = torch.zeros(LEGS)
    speeds[:3] = torch.tensor((-15.0, 10.0, 16.0))
    place(env, height=2.0, joint_vel=speeds.expand(NUM_ENVS, -1))
    expect(rewards.joint_vel_limits(env, share=14.0 / VELOCITY_LIMIT), 1.0 + 2.0)


def test_undesired_contacts_counts_the_leg_links_that_press_on_something(env, place):
    def count() -> torch.Tensor:
        return rewards.undesired_contacts(env, sensor_name="leg_contact", force_threshold=1.0)

    place(env)
    expect(count(), 0.0)
    # On its left side, lying on the two left thighs.
    straight = env.default_leg_joint_pos.clone()
    straight[:, :4] = 0.0
    place(env, joint_pos=straight)
    leg_offset = float(observations.foot_positions(env)[0, 1])
    radius = float(env.sim.mj_model.geom("robot/FL_thigh_collision").size[0])
    place(env, height=leg_offset + radius - 0.001, roll=-math.pi / 2, joint_pos=straight)
    expect(count(), 2.0)


def test_standing_still_in_the_default_pose(env, place):
    env.velocity_command.set_constant((0.0, 0.0, 0.0))
    place(env, joint_pos=env.default_leg_joint_pos + 0.1)
    expect(rewards.stand_still(env), LEGS * 0.1)
    env.velocity_command.set_constant((0.0, 0.0, 0.3))
    expect(rewards.stand_still(env), 0.0)


def test_rewards_are_weighted_sums_times_the_control_period(env, place):
    env.reset()
    env.velocity_command.set_constant((0.5, 0.0, 0.0))
    place(env, lin_vel=(0.5, 0.0, 0.0))
    total = env.reward_manager.compute(dt=env.step_dt).clone()
    by_hand = torch.zeros(NUM_ENVS)
    for name, term in env.cfg.rewards.items():
        by_hand += term.weight * term.func(env, **term.params) * env.step_dt
        assert term.weight != 0.0, name
    torch.testing.assert_close(total, by_hand)
    tracking = sum(t.weight for name, t in env.cfg.rewards.items() if name.startswith("track_"))
    assert total.max() < tracking * env.step_dt + 1e-6, "only tracking is rewarded"


def test_feet_that_move_without_being_lifted_cost(env, place):
    target, speed = 0.08, 0.5
    for height in (0.0, 0.05):
        place(env, height=TOUCHING + height, lin_vel=(0.3, -0.4, 0.0))
        gap = float(env.sim.data.site_xpos[0, env.index.foot_sites_global[0], 2]) - FOOT_RADIUS
        assert gap == pytest.approx(height, abs=0.003)
        expect(rewards.foot_clearance(env, target=target), 4 * speed * (target - gap))
    place(env, height=TOUCHING + 0.2, lin_vel=(0.3, -0.4, 0.0))
    expect(rewards.foot_clearance(env, target=target), 0.0)
    place(env, height=TOUCHING)
    expect(rewards.foot_clearance(env, target=target), 0.0)


def test_a_fall_costs_more_once_commands_are_wide(env):
    terminated = torch.tensor((True, False))
    env.termination_manager._terminated_buf[:] = terminated
    for level, cost in ((0.0, 0.1), (0.5, 0.55), (1.0, 1.0)):
        env.velocity_command.level[:] = level
        found = rewards.is_terminated(env, initial_share=0.1)
        torch.testing.assert_close(found, torch.tensor((cost, 0.0)))
        assert rewards.is_terminated(env).tolist() == [1.0, 0.0]
