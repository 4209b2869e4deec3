"""The viewer of a policy, with nobody looking."""

from __future__ import annotations

import pytest
import torch

from rl_sim_env.errors import UserError
from rl_sim_env.mdp.observations import system_mass_delta
from rl_sim_env.viewer.play_viewer import PlayViewer, draw_new_load


def test_new_load_is_drawn_for_one_robot_in_mid_walk(policy_player):
    env = policy_player.vec_env.unwrapped
    policy_player.reset()
    policy_player.advance()
    mass, qpos = system_mass_delta(env).clone(), env.sim.data.qpos.clone()
    com_before = env.sim.data.subtree_com[:, env.index.base_body_global].clone()
    draw_new_load(env, 1)
    after = system_mass_delta(env)
    com = env.sim.data.subtree_com[:, env.index.base_body_global]
    assert after[0] == mass[0]
    assert after[1] != mass[1]
    assert 4.0 <= after[1] <= 6.0
    assert torch.equal(com[0], com_before[0])
    assert not torch.equal(com[1], com_before[1])
    assert torch.equal(env.sim.data.qpos, qpos)
    # The drawn load really hangs there: the robot is heavier by as much.
    assert env.sim.model.body_subtreemass[1, env.index.base_body_global] == pytest.approx(
        env.nominal_mass + float(after[1]), abs=1e-3
    )


def test_viewer_plays_for_its_time_and_shows_the_load(policy_player, server):
    viewer = PlayViewer(policy_player, server)
    viewer.run(num_steps=12, catch_sigint=False)
    assert f"{policy_player.truth.mass[0].item():.2f}" in viewer._panel._table.content
    steps = policy_player.meter.reports()["all"].robot_seconds / policy_player.vec_env.step_dt
    assert steps >= 12 * policy_player.vec_env.num_envs


def test_button_draws_a_new_load_for_the_robot_in_view(policy_player, server):
    viewer = PlayViewer(policy_player, server)
    viewer.setup()
    before = system_mass_delta(policy_player.vec_env.unwrapped).clone()
    viewer._scene.env_idx = 1
    viewer.request_action("CUSTOM", "new load")
    viewer.tick()
    viewer.close()
    after = system_mass_delta(policy_player.vec_env.unwrapped)
    assert (after != before).squeeze(-1).tolist() == [False, True]


def test_camera_looks_down_at_the_robot(policy_player, server):
    viewer = PlayViewer(policy_player, server)
    assert policy_player.vec_env.cfg.viewer.elevation < 0.0 < viewer.cfg.elevation


def test_error_in_a_step_ends_the_viewer(policy_player, server, monkeypatch):
    def broken() -> None:
        raise UserError("native physics: out of memory")

    viewer = PlayViewer(policy_player, server)
    monkeypatch.setattr(policy_player, "advance", broken)
    with pytest.raises(UserError, match="out of memory"):
        viewer.run(num_steps=5, catch_sigint=False)
