"""What varies between robots is drawn anew at each reset, within its range, and for legs only."""

from __future__ import annotations

import math

import pytest
import torch

from grq20 import DAMPING, STIFFNESS
from rl_sim_env.mdp import observations

NUM_ENVS = 32


@pytest.fixture(scope="module")
def env(make_env):
    return make_env(NUM_ENVS)


def trunk_mass(env):
    body = env.index.base_body_global
    return env.sim.model.body_mass[:, body] - env.sim.get_default_field("body_mass")[body]


def trunk_com(env):
    body = env.index.base_body_global
    return env.sim.model.body_ipos[:, body] - env.sim.get_default_field("body_ipos")[body]


def load(env):
    body = env.index.payload_body_global
    return env.sim.model.body_mass[:, body] - env.sim.get_default_field("body_mass")[body]


def friction(env):
    return env.sim.model.geom_friction[:, env.index.foot_geoms_global, 0]


def boom_angle(env):
    return env.robot.data.joint_pos[:, env.index.boom_joints[0]]


def boom_length(env):
    return env.robot.data.joint_pos[:, env.index.boom_joints[1]]


def leg_offset(env):
    return env.robot.data.joint_pos[:, env.index.leg_joints] - env.default_leg_joint_pos


@pytest.mark.parametrize(
    ("read", "low", "high"),
    (
        (trunk_mass, -3.0, 5.0),
        (trunk_com, (-0.05, -0.03, -0.03), (0.05, 0.03, 0.05)),
        (load, 0.0, 6.0),
        (friction, 0.25, 1.2),
        (lambda env: env.leg_drive.stiffness / STIFFNESS, 0.64, 1.44),
        (lambda env: env.leg_drive.damping / DAMPING, 0.64, 1.44),
        (boom_angle, -math.pi, math.pi),
        (boom_length, 0.4, 0.8),
        (leg_offset, -0.6, 0.6),
        (
            lambda env: env.robot.data.root_link_pos_w[:, :2] - env.scene.env_origins[:, :2],
            -0.5,
            0.5,
        ),
        (lambda env: env.robot_heading(), -math.pi, math.pi),
        (lambda env: env.robot.data.root_link_lin_vel_w, -0.5, 0.5),
    ),
    ids=(
        "trunk mass",
        "trunk CoM",
        "load",
        "friction",
        "kp",
        "kd",
        "boom angle",
        "boom length",
        "legs",
        "position",
        "heading",
        "velocity",
    ),
)
def test_drawn_anew_at_each_reset_within_its_range(env, read, low, high):
    env.reset()
    first = read(env).clone()
    env.reset(env_ids=torch.arange(1, NUM_ENVS))
    second = read(env)
    torch.testing.assert_close(second[0], first[0], msg="a robot that was not reset has changed")
    assert ((second[1:] - first[1:]).abs().amax(dim=-1) > 1e-6).all()
    draws = torch.cat((first, second))
    low, high = torch.as_tensor(low), torch.as_tensor(high)
    tolerance = 1e-3
    assert (draws >= low - tolerance).all() and (draws <= high + tolerance).all()
    used = (draws.amax(dim=0) - draws.amin(dim=0)) / (high - low)
    assert used.min() > 0.4


def test_inertia_follows_mass(env):
    for body in (env.index.base_body_global, env.index.payload_body_global):
        mass = env.sim.model.body_mass[:, body] / env.sim.get_default_field("body_mass")[body]
        inertia = (
            env.sim.model.body_inertia[:, body] / env.sim.get_default_field("body_inertia")[body]
        )
        torch.testing.assert_close(inertia, mass[:, None].expand(-1, 3))


def test_all_feet_of_a_robot_share_a_friction(env):
    assert (friction(env) == friction(env)[:, :1]).all()


def test_kp_and_kd_of_a_joint_share_the_torque_constant(env):
    kp = (env.leg_drive.stiffness / STIFFNESS).flatten()
    kd = (env.leg_drive.damping / DAMPING).flatten()
    correlation = torch.corrcoef(torch.stack((kp, kd)))[0, 1]
    assert 0.3 < correlation < 0.7, "half of the variance is shared"


def test_the_booms_servo_is_never_randomised(env):
    servos = [
        env.sim.mj_model.actuator(f"robot/{name}").id for name in env.cfg.robot.payload.joints
    ]
    for field in ("actuator_gainprm", "actuator_biasprm"):
        expected = env.sim.get_default_field(field)[servos]
        actual = getattr(env.sim.model, field)[:, servos]
        assert torch.equal(actual, expected.expand_as(actual))
    boom = env.robot.data.joint_pos_target[:, env.index.boom_joints]
    assert torch.equal(boom, env.robot.data.joint_pos[:, env.index.boom_joints])


def test_push_changes_the_horizontal_velocity_of_the_base_alone(make_env):
    def push_soon(cfg):
        cfg.events["push"].interval_range_s = (0.01, 0.02)

    env = make_env(4, edit=push_soon)
    before = env.sim.data.qvel.clone()
    env.event_manager.apply(mode="interval", dt=env.step_dt)
    change = env.sim.data.qvel - before
    assert (change[:, :2].abs() <= 1.0).all() and (change[:, :2] != 0.0).all()
    assert (change[:, 2:] == 0.0).all()


def test_loads_change_in_mid_walk(make_env):
    def change_soon(cfg):
        cfg.events["load_change"].interval_range_s = (0.01, 0.02)
        cfg.events["push"].interval_range_s = (100.0, 100.0)

    env = make_env(NUM_ENVS, edit=change_soon)
    before, truth = load(env).clone(), observations.system_mass_delta(env).clone()
    state = env.sim.data.qpos.clone()
    env.event_manager.apply(mode="interval", dt=env.step_dt)
    change = load(env) - before
    assert (change != 0.0).all() and load(env).min() >= 0.0 and load(env).max() <= 6.0
    torch.testing.assert_close(
        observations.system_mass_delta(env) - truth, change[:, None], atol=1e-5, rtol=0.0
    )
    assert torch.equal(env.sim.data.qpos, state), "the robot stays where it is"


def test_robots_start_above_the_ground_on_every_terrain(make_env):
    def any_level(cfg):
        cfg.scene.terrain.max_init_terrain_level = None

    env = make_env(28, terrain="rough", edit=any_level)
    position = env.robot.data.root_link_pos_w
    height = position[:, 2] - env.height_map.heights(position[:, :2])
    assert (height > 0.499).all()


def test_play_varies_only_load_and_boom(make_env):
    env = make_env(NUM_ENVS, play=True)
    assert (trunk_mass(env) == 0.0).all()
    assert (leg_offset(env).abs() < 1e-6).all()
    assert (env.leg_drive.stiffness == STIFFNESS).all()
    assert load(env).min() >= 4.0 and load(env).max() <= 6.0
    assert boom_length(env).min() >= 0.6 and boom_length(env).max() <= 0.8


def test_episodes_that_begin_in_a_motion_stand_on_their_feet_and_move(make_env):
    env = make_env(NUM_ENVS, reference_start=1.0)
    foot_gap = observations.foot_height(env)
    assert foot_gap.amin(dim=-1).abs().max() < 0.02, "a foot carries"
    speed = env.robot.data.root_link_lin_vel_b[:, 0]
    assert speed.max() > 0.3 and speed.std() > 0.1
    assert env.robot.data.joint_vel[:, env.index.leg_joints].abs().max() > 0.5
    position = env.robot.data.joint_pos[:, env.index.leg_joints]
    target = env.robot.data.joint_pos_target[:, env.index.leg_joints]
    assert torch.equal(position, target)
    assert (env.robot_heading().abs() > 1.0).any(), "in any direction"


def test_the_given_share_of_episodes_begins_in_a_motion(make_env):
    env = make_env(64, reference_start=0.5)
    at_rest = (env.robot.data.joint_vel[:, env.index.leg_joints] == 0.0).all(dim=-1)
    assert 16 < at_rest.sum() < 48
