"""Sensors as on hardware: what is off, by how much, and for how long."""

from __future__ import annotations

import math
from dataclasses import fields

import pytest
import torch

from rl_sim_env.conventions import PHYSICS_DT
from rl_sim_env.mdp.hardware_sensors_cfg import HardwareSensorsCfg

NUM_ENVS = 64


def only(**errors: float):
    """Sensors as on hardware that have some errors and no others, nor delays of other kinds."""

    def edit(cfg):
        cfg.sensors = "hardware"
        none = {field.name: 0.0 for field in fields(HardwareSensorsCfg)}
        cfg.hardware_sensors = HardwareSensorsCfg(**{**none, **errors})
        cfg.scene.sensors[-1].max_delay_s = 0.0

    return edit


def sense(env, place, torque: float = 10.0, **state):
    """What robots measure in one state, their drives giving one torque [N m]."""
    place(env, **state)
    env.sim.data.ctrl[:] = torque
    env.sim.forward()
    for _ in range(6):
        env.scene["proprioception"].update(PHYSICS_DT)
    return env.scene["proprioception"].data


def spread(values: torch.Tensor) -> float:
    return float(values.max() - values.min())


def test_torques_are_off_by_a_constant_of_the_robot_and_one_of_each_joint(make_env, place):
    env = make_env(NUM_ENVS, edit=only(torque_constant=0.05, joint_torque_constant=0.1))
    true = sense(env, place).joint_torques.new_tensor(10.0)
    gain = env.scene["proprioception"].data.joint_torques / true
    assert 0.95 * 0.9 < gain.min() < 0.92 and 1.08 < gain.max() < 1.05 * 1.1
    # The joints of a robot share a part of it: robots' means differ more than chance has it.
    assert gain.mean(dim=1).std() > 1.3 * (0.2 / 12**0.5) / 12**0.5
    again = sense(env, place).joint_torques / true
    assert torch.equal(again, gain), "an error lasts an episode"
    env.reset()
    assert not torch.allclose(sense(env, place).joint_torques / true, gain, atol=1e-3)


def test_torques_have_an_offset_and_noise_and_come_in_steps(make_env, place):
    env = make_env(NUM_ENVS, edit=only(torque_offset=1.0))
    offset = sense(env, place).joint_torques - 10.0
    assert offset.std() == pytest.approx(1.0, abs=0.1)
    assert torch.equal(sense(env, place).joint_torques - 10.0, offset)

    env = make_env(NUM_ENVS, edit=only(torque_noise=0.5, torque_resolution=0.25))
    first, second = (sense(env, place).joint_torques.clone() for _ in range(2))
    assert (first - second).std() == pytest.approx(0.5 * math.sqrt(2.0), abs=0.1)
    assert torch.equal((first / 0.25).round() * 0.25, first)


def test_an_imu_is_mounted_askew_and_turns_at_rest(make_env, place):
    env = make_env(NUM_ENVS, edit=only(imu_mounting=math.radians(2.0), gyro_bias=0.05))
    data = sense(env, place)
    tilt = torch.rad2deg(data.projected_gravity[:, :2].abs().amax(dim=1))
    assert 1.5 < tilt.max() < 2.01
    assert 0.04 < data.base_ang_vel.abs().max() <= 0.05
    # Both sensors sit in one housing: gravity and the rate about it keep their angle.
    turning = sense(env, place, ang_vel=(0.0, 0.0, 1.0))
    rate = turning.base_ang_vel - data.base_ang_vel
    torch.testing.assert_close(rate, -turning.projected_gravity, atol=1e-5, rtol=0.0)


def test_a_joints_zero_is_off_for_the_policy_and_for_its_drive(make_env, place):
    env = make_env(NUM_ENVS, edit=only(encoder_offset=0.01))
    legs = env.index.leg_joints
    offset = sense(env, place).joint_pos - env.robot.data.joint_pos[:, legs]
    assert 0.009 < offset.max() <= 0.01 and -0.01 <= offset.min() < -0.009
    env.step(torch.zeros(NUM_ENVS, 12))
    target = env.robot.data.joint_pos_target[:, legs]
    torch.testing.assert_close(target + offset, env.default_leg_joint_pos, atol=1e-6, rtol=0.0)


def test_signals_are_late_by_up_to_the_longest_delay_and_not_by_the_same_in_every_step(make_env):
    env = make_env(NUM_ENVS, edit=only(max_delay=0.02, delay_jitter=0.002))
    sensor = env.scene["proprioception"]
    for frame in range(6):
        env.sim.data.qpos[:, 7:] = env.sim.data.qvel[:, 5:] = frame * PHYSICS_DT
        env.sim.data.qfrc_actuator[:, 6:] = frame * PHYSICS_DT
        sensor.update(PHYSICS_DT)

    def lateness() -> torch.Tensor:
        sensor._invalidate_cache()
        data = sensor.data
        signals = (data.joint_pos, data.joint_vel, data.joint_torques, data.base_ang_vel[:, 2:])
        return 5 * PHYSICS_DT - torch.stack([signal[:, 0] for signal in signals])

    first, second = lateness(), lateness()
    assert first.min() > -1e-6 and 0.018 < first.max() < 0.02 + 1e-6
    assert (first[:, None] - first[None]).abs().amax(dim=-1).fill_diagonal_(1.0).min() > 0.01
    assert 0.001 < (first - second).abs().max() < 0.004


def test_drives_have_friction_and_inertia_beyond_the_model(make_env):
    env = make_env(NUM_ENVS, edit=only(joint_friction=2.0, armature=0.05))
    joints = env.robot.indexing.joint_v_adr[env.index.leg_joints]
    for field, most, width in (("dof_frictionloss", 2.0, 12), ("dof_armature", 0.05, 1)):
        default = env.sim.get_default_field(field)
        added = getattr(env.sim.model, field)[:, joints] - default[joints]
        assert -1e-6 < added.min() < 0.1 * most and 0.9 * most < added.max() < most + 1e-6
        assert len(added[0].unique()) == width
        others = [dof for dof in range(len(default)) if dof not in joints.tolist()]
        present = getattr(env.sim.model, field)[:, others]
        assert torch.equal(present, default[others].expand_as(present))


def test_switched_off_for_an_episode_nothing_is_off(make_env, place):
    def edit(cfg):
        cfg.sensors = "hardware"
        cfg.scene.sensors[-1].max_delay_s = 0.0

    env = make_env(4, edit=edit)
    env.scene["proprioception"].hardware.active.fill_(False)
    env.reset()
    data = sense(env, place, pitch=0.1, ang_vel=(0.1, -0.2, 0.3))
    robot, legs = env.robot.data, env.index.leg_joints
    assert torch.equal(data.base_ang_vel, robot.data.qvel[:, 3:6])
    assert torch.equal(data.projected_gravity, robot.projected_gravity_b)
    assert torch.equal(data.joint_pos, robot.joint_pos[:, legs])
    assert torch.equal(data.joint_torques, robot.qfrc_actuator[:, legs])
    for field in ("dof_frictionloss", "dof_armature"):
        assert len(getattr(env.sim.model, field).unique(dim=0)) == 1


def test_ideal_torques_are_those_that_are_applied(make_env):
    env = make_env(4)
    for _ in range(3):
        obs, *_ = env.step(torch.randn(4, 12))
    seen = obs["actor_obs"][:, env.observation_layout.slice("actor_obs", "joint_torques")]
    assert torch.equal(seen, 0.02 * env.robot.data.qfrc_actuator[:, env.index.leg_joints])


def test_small_drives_are_off_by_little():
    large, small = HardwareSensorsCfg(), HardwareSensorsCfg.for_drives(30.0)
    assert HardwareSensorsCfg.for_drives(120.0) == large
    assert (small.torque_offset, small.joint_friction) == (0.25, 0.5)
    assert small.torque_constant == large.torque_constant
