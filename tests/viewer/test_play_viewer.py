"""The viewer of a policy, with nobody looking."""

from __future__ import annotations

import pytest
import torch

from rl_sim_env.errors import UserError
from rl_sim_env.mdp.events import get_load
from rl_sim_env.mdp.observations import system_mass_delta
from rl_sim_env.viewer.play_viewer import PlayViewer, set_load_of


def test_another_load_hangs_on_one_robot_in_mid_walk(policy_player):
    env = policy_player.vec_env.unwrapped
    policy_player.reset()
    policy_player.advance()
    mass, qpos = system_mass_delta(env).clone(), env.sim.data.qpos.clone()
    com_before = env.sim.data.subtree_com[:, env.index.base_body_global].clone()
    set_load_of(env, 1, 2.5)
    after = system_mass_delta(env)
    com = env.sim.data.subtree_com[:, env.index.base_body_global]
    assert after[0] == mass[0]
    assert after[1] == pytest.approx(2.5, abs=1e-3)
    assert torch.equal(com[0], com_before[0])
    assert not torch.equal(com[1], com_before[1])
    assert torch.equal(env.sim.data.qpos, qpos)
    # It really hangs there: the robot is heavier by as much.
    assert env.sim.model.body_subtreemass[1, env.index.base_body_global] == pytest.approx(
        env.nominal_mass + float(after[1]), abs=1e-3
    )


def test_viewer_plays_for_its_time_and_shows_the_load(policy_player, server):
    viewer = PlayViewer(policy_player, server)
    before = policy_player.env.common_step_counter
    viewer.run(num_steps=12, catch_sigint=False)
    assert f"{policy_player.truth.mass[0].item():.2f}" in viewer._panel._table.content
    assert policy_player.env.common_step_counter - before >= 12


def test_slider_hangs_another_load_on_the_robot_in_view(policy_player, server):
    viewer = PlayViewer(policy_player, server)
    viewer.setup()
    before = get_load(policy_player.vec_env.unwrapped).clone()
    viewer._scene.env_idx = 1
    viewer.tick()
    assert viewer._panel.load.value == pytest.approx(before[1].item(), abs=0.05)
    viewer._panel.load.value = 1.5
    viewer.tick()
    viewer.close()
    after = get_load(policy_player.vec_env.unwrapped)
    assert after[0] == before[0]
    assert after[1] == pytest.approx(1.5)
    assert viewer._panel.load.value == 1.5


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


def test_a_robot_that_does_not_exist_is_not_looked_at(policy_player, server):
    viewer = PlayViewer(policy_player, server)
    viewer.setup()
    for wanted, shown in ((10**6, 1), (-3, 0)):
        viewer._scene.env_idx = wanted
        viewer.tick()
        viewer.sync_env_to_viewer()
        assert viewer._scene.env_idx == shown
    viewer.close()


def test_a_joystick_commands_no_more_than_its_ends(policy_player, server):
    command = policy_player.vec_env.unwrapped.velocity_command
    add_slider, sliders = server.gui.add_slider, []

    def kept(*arguments, **options):
        sliders.append(add_slider(*arguments, **options))
        return sliders[-1]

    server.gui.add_slider = kept
    command.create_gui("velocity", server, lambda: 10**6)
    most = command.ranges.amax(dim=0)[:, 1]
    for slider, value in zip(sliders, (1e30, float("nan"), -3.0), strict=True):
        slider.value = value
    (checkbox,) = (
        each for each in server.gui._gui_input_handle_from_uuid.values() if each.value is False
    )
    checkbox.value = True
    env_id, wanted = command._joystick()
    command._joystick = None
    assert env_id == policy_player.vec_env.unwrapped.num_envs - 1
    assert wanted.tolist() == pytest.approx([most[0].item(), 0.0, -min(3.0, most[2].item())])
