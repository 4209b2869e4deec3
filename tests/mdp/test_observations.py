"""Observation terms against values worked out by hand."""

from __future__ import annotations

import math

import mujoco
import pytest
import torch
from mjlab.managers.event_manager import RecomputeLevel

from grq20 import (
    FOOT_RADIUS,
    MJCF_PATH,
    STANDING_HEIGHT,
)
from rl_sim_env.mdp import observations as obs

BOOM_HEIGHT = 0.12
"""Height of the load above the base link [m]."""


@pytest.fixture(scope="module")
def env(make_env):
    return make_env(3)


def test_system_com_of_trunk_and_load_alone(make_env, place):
    env = make_env(3)
    trunk, load = env.index.base_body_global, env.index.payload_body_global
    mass = env.sim.model.body_mass
    mass[:, env.index.bodies_global] = 1e-6
    mass[:, trunk] = 12.0
    mass[:, load] = torch.tensor((0.5, 3.0, 6.0))
    env.sim.model.body_ipos[:, trunk] = torch.tensor((0.02, -0.01, 0.03))
    env.sim.recompute_constants(RecomputeLevel.set_const)
    angle, length = 2.0, 0.8
    place(env, yaw=1.0, pitch=0.3, arm=(angle, length))
    load_position = torch.tensor((length * math.cos(angle), length * math.sin(angle), BOOM_HEIGHT))
    share = (mass[:, load] / (12.0 + mass[:, load]))[:, None]
    expected = torch.lerp(torch.tensor((0.02, -0.01, 0.03)).expand(3, 3), load_position, share)
    torch.testing.assert_close(obs.system_com(env), expected, atol=1e-5, rtol=0.0)


def test_system_com_does_not_depend_on_where_the_robot_is(env, place):
    place(env)
    here = obs.system_com(env)
    place(env, height=3.0, yaw=2.5)
    env.sim.data.qpos[:, :2] += 7.0
    env.sim.forward()
    torch.testing.assert_close(obs.system_com(env), here, atol=1e-5, rtol=0.0)


def test_system_mass_delta_is_load_plus_trunk_draw(env):
    drawn = sum(
        env.sim.model.body_mass[:, body] - env.sim.get_default_field("body_mass")[body]
        for body in (env.index.base_body_global, env.index.payload_body_global)
    )
    torch.testing.assert_close(obs.system_mass_delta(env).squeeze(-1), drawn, atol=1e-4, rtol=0.0)
    assert drawn.std() > 0.1


def test_nominal_mass_is_that_of_the_model_without_load(env):
    model = mujoco.MjModel.from_xml_path(str(MJCF_PATH))
    assert env.nominal_mass == pytest.approx(model.body_mass.sum())
    assert model.body("arm_load_link").mass[0] == pytest.approx(0.1), "the end of the boom alone"


def test_base_velocity_is_that_of_the_link_in_its_own_frame(env, place):
    yaw = math.radians(90.0)
    place(env, yaw=yaw, lin_vel=(0.0, 0.6, 0.1), ang_vel=(0.0, 0.0, 0.7))
    expected = torch.tensor((0.6, 0.0, 0.1)).expand(3, 3)
    torch.testing.assert_close(obs.base_lin_vel(env), expected, atol=1e-5, rtol=0.0)
    torch.testing.assert_close(obs.base_ang_vel_z(env), torch.full((3, 1), 0.7))


def test_projected_gravity_of_a_pitched_base(env, place):
    pitch = math.radians(30.0)
    place(env, pitch=pitch, yaw=2.0)
    expected = torch.tensor((math.sin(pitch), 0.0, -math.cos(pitch))).expand(3, 3)
    torch.testing.assert_close(obs.projected_gravity(env), expected, atol=1e-6, rtol=0.0)


def test_foot_positions_in_base_frame_and_canonical_order(env, place):
    place(env, yaw=0.5, pitch=0.2, height=2.0)
    feet = obs.foot_positions(env).view(3, 4, 3)
    front, left = feet[0, :, 0] > 0, feet[0, :, 1] > 0
    assert front.tolist() == [True, True, False, False]
    assert left.tolist() == [True, False, True, False]
    height = torch.full((3, 4), FOOT_RADIUS - STANDING_HEIGHT)
    torch.testing.assert_close(feet[..., 2], height, atol=1e-3, rtol=0.0)


def test_the_state_is_what_mjlab_reads_for_the_robot(env):
    for _ in range(3):
        env.step(torch.randn(3, 12))
    legs, data = env.index.leg_joints, env.robot.data
    feet = env.robot.find_sites(env.cfg.robot.feet, preserve_order=True)[0]
    for seen, expected in (
        (obs.joint_pos(env), data.joint_pos[:, legs]),
        (obs.joint_vel(env), data.joint_vel[:, legs]),
        (obs.joint_torques(env), data.qfrc_actuator[:, legs]),
        (obs.projected_gravity(env), data.projected_gravity_b),
        (obs.foot_pos_w(env), data.site_pos_w[:, feet]),
        (obs.foot_lin_vel_w(env), data.site_lin_vel_w[:, feet]),
    ):
        assert torch.equal(seen, expected) and seen.std() > 0.0
    # mjlab works these out from velocities of the centre of mass.
    for seen, expected in (
        (obs.base_lin_vel(env), data.root_link_lin_vel_b),
        (obs.base_ang_vel(env), data.root_link_ang_vel_b),
    ):
        torch.testing.assert_close(seen, expected, rtol=0.0, atol=1e-5)
        assert seen.std() > 0.0


def test_foot_height_is_the_gap_below_the_sphere(env, place):
    place(env, height=STANDING_HEIGHT + 0.1)
    gap = torch.full((3, 4), 0.1)
    torch.testing.assert_close(obs.foot_height(env), gap, atol=1e-3, rtol=0.0)


def test_height_scan_reads_the_ground_ahead_in_the_robots_heading(make_env, place):
    env = make_env(1)
    height = 0.7
    slope = 0.1

    class Ramp:
        """Ground that rises along world x."""

        def heights(self, xy: torch.Tensor) -> torch.Tensor:
            return slope * xy[..., 0]

    env.height_map = Ramp()
    column = env.observation_layout.slice("critic_obs", "height_scan")
    scale = env.observation_layout.term("critic_obs", "height_scan").scales[0]
    for yaw, forward in ((0.0, 1.0), (math.pi, -1.0), (math.pi / 2, 0.0)):
        place(env, height=height, yaw=yaw)
        scan = env.observation_manager.compute_group("critic_obs")[0, column] / scale
        scan = scan.view(11, 17)  # y, x
        below = height - 0.5
        assert scan[5, 8] == pytest.approx(below, abs=1e-5)
        assert scan[5, -1] == pytest.approx(below - slope * 0.8 * forward, abs=1e-5)
        to_the_left = below if forward else below + slope * 0.5
        assert scan[-1, 8] == pytest.approx(to_the_left, abs=1e-5)


def test_height_scan_is_clipped(env, place):
    place(env, height=9.0)
    column = env.observation_layout.slice("critic_obs", "height_scan")
    scan = env.observation_manager.compute_group("critic_obs")[:, column]
    assert (scan == 5.0).all()
