"""What stands where in the observations of the task."""

from __future__ import annotations

import pytest

from grq20 import LEG_JOINT_NAMES, amp_vae_env_cfg
from rl_sim_env.errors import UserError

COMMAND_SCALES = (2.0, 2.0, 0.35)

# Name, width and scale of each term, in order.
GROUPS = {
    "actor_obs": (
        ("base_ang_vel", 3, 0.25),
        ("projected_gravity", 3, 1.0),
        ("joint_pos", 12, 1.0),
        ("joint_vel", 12, 0.05),
        ("joint_torques", 12, 0.02),
        ("last_action", 12, 1.0),
        ("velocity_commands", 3, COMMAND_SCALES),
    ),
    "critic_obs": (
        ("base_lin_vel", 3, 2.0),
        ("base_ang_vel", 3, 0.25),
        ("projected_gravity", 3, 1.0),
        ("joint_pos", 12, 1.0),
        ("joint_vel", 12, 0.05),
        ("last_action", 12, 1.0),
        ("velocity_commands", 3, COMMAND_SCALES),
        ("height_scan", 187, 5.0),
        ("random_com", 3, 5.0),
        ("random_mass", 1, 0.2),
    ),
    "amp_obs": (
        ("base_lin_vel_xy", 2, 1.0),
        ("base_ang_vel_z", 1, 1.0),
        ("joint_pos", 12, 1.0),
        ("joint_vel", 12, 1.0),
        ("foot_positions", 12, 1.0),
    ),
}
WIDTHS = {"actor_obs": 57, "vae_obs": 285, "critic_obs": 239, "amp_obs": 39}


@pytest.fixture(scope="module")
def env(make_env):
    return make_env(1)


def test_widths(env):
    layout = env.observation_layout
    obs = env.observation_manager.compute()
    assert {group: layout.width(group) for group in layout.groups} == WIDTHS
    assert {group: values.shape[1] for group, values in obs.items()} == WIDTHS


@pytest.mark.parametrize("group", GROUPS)
def test_order_widths_and_scales_of_the_terms(env, group):
    layout = env.observation_layout
    start = 0
    for name, (expected, width, scale) in zip(layout.names(group), GROUPS[group], strict=True):
        term = layout.term(group, name)
        assert (name, term.width) == (expected, width)
        scales = scale if isinstance(scale, tuple) else (scale,) * width
        assert term.scales == pytest.approx(scales)
        assert layout.slice(group, name) == slice(start, start + width)
        start += width


def test_vae_observation_stacks_five_actor_frames(env):
    layout = env.observation_layout
    assert layout.names("vae_obs") == layout.names("actor_obs")
    assert layout.groups["vae_obs"].history == 5


def test_control_rate_and_actions(env):
    assert env.physics_dt == pytest.approx(1 / 150)
    assert env.step_dt == pytest.approx(1 / 50)
    assert env.cfg.actions["joint_pos"].actuator_names == LEG_JOINT_NAMES


def test_play_is_without_noise_pushes_and_curricula():
    cfg = amp_vae_env_cfg(play=True)
    assert not any(group.enable_corruption for group in cfg.observations.values())
    assert "push" not in cfg.events and not cfg.curriculum
    assert cfg.scene.num_envs == 25


def test_an_unknown_terrain_is_refused():
    with pytest.raises(UserError, match="rough, flat"):
        amp_vae_env_cfg(terrain="lava")  # type: ignore[arg-type]
