"""The viewer of a policy, with nobody looking."""

from __future__ import annotations

import warnings

import pytest
import torch

from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.errors import UserError
from rl_sim_env.evaluation import Evaluator
from rl_sim_env.mdp.events import get_load
from rl_sim_env.viewer.drive_panel import THIS
from rl_sim_env.viewer.ground_panel import end_episodes
from rl_sim_env.viewer.play_viewer import PlayViewer
from rl_sim_env.viewer.score import Score
from small_policy import small_policy


@pytest.fixture
def viewer(policy_player, server):
    policy_player.reset()
    viewer = PlayViewer(policy_player, server)
    with warnings.catch_warnings():
        # Nobody who looks at a policy wants to read of rewards that do not fit into a panel.
        warnings.simplefilter("error", UserWarning)
        viewer.setup()
    yield viewer
    policy_player.env.velocity_command.steer(None)


def score_of(viewer: PlayViewer) -> Score:
    (score,) = viewer.scores.values()
    return score


def test_viewer_plays_for_its_time_and_shows_the_load(policy_player, server):
    viewer = PlayViewer(policy_player, server)
    before = policy_player.env.common_step_counter
    viewer.run(num_steps=12, catch_sigint=False)
    assert f"{policy_player.truth.mass[0].item():.2f}" in viewer.estimates.table.content
    assert policy_player.env.common_step_counter - before >= 12


@pytest.mark.gpu
def test_a_policy_is_watched_that_walks_on_a_gpu(make_env, server):
    vec_env = AmpVaeVecEnv(make_env(2, play=True, device="cuda"))
    viewer = PlayViewer(Evaluator(vec_env, small_policy(vec_env).to("cuda")), server)
    viewer.run(num_steps=3, catch_sigint=False)
    assert len(viewer.history) == 3


def test_the_score_is_shown_live(viewer, policy_player):
    for _ in range(3):
        viewer.advance()
    viewer.update_panels()
    shown = viewer.status.score.content
    robots = policy_player.env.num_envs
    assert "velocity error" in shown and f"{robots} of {robots}" in shown


def test_what_the_page_asks_for_is_done_between_two_steps(viewer, policy_player):
    before = get_load(policy_player.env).clone()
    viewer.view.robot = 1
    viewer.load.hang_on(1.5)
    assert torch.equal(get_load(policy_player.env), before)
    viewer.tick()
    after = get_load(policy_player.env)
    assert after[0] == before[0] and after[1] == pytest.approx(1.5)


def test_a_fall_is_told_and_the_chosen_load_kept(viewer, policy_player):
    viewer.load.hang_on(9.5)
    viewer.tick()
    policy_player.env.robot.write_root_link_pose_to_sim(
        torch.tensor([[0.0, 0.0, 0.5, 0.0, 1.0, 0.0, 0.0]]), env_ids=torch.tensor([0])
    )
    policy_player.env.sim.forward()
    viewer.advance()
    viewer.update_panels()
    assert score_of(viewer).falls_of(0) == 1
    assert "robot 0 fell" in viewer.status.line.content
    assert "under 9.5 kg" in viewer.status.line.content
    assert get_load(policy_player.env)[0] == pytest.approx(9.5, abs=1e-3)


def test_an_episode_whose_time_is_over_is_no_fall(viewer, policy_player):
    end_episodes(policy_player.env, torch.arange(2))
    viewer.advance()
    assert score_of(viewer).falls_of(0) == 0 and not viewer.view.note


def test_a_wish_that_cannot_be_granted_is_told_and_stops_nothing(viewer):
    def impossible() -> None:
        raise UserError("model_1.pt: no such file")

    viewer.view.ask(impossible)
    viewer.tick()
    viewer.update_panels()
    assert "model_1.pt: no such file" in viewer.status.line.content


def test_camera_looks_down_at_the_robot(viewer, policy_player):
    assert policy_player.vec_env.cfg.viewer.elevation < 0.0
    assert viewer.camera_offset()[2] > 0.0


def test_error_in_a_step_ends_the_viewer(policy_player, server, monkeypatch):
    def broken() -> None:
        raise UserError("native physics: out of memory")

    viewer = PlayViewer(policy_player, server)
    monkeypatch.setattr(policy_player, "advance", broken)
    with pytest.raises(UserError, match="out of memory"):
        viewer.run(num_steps=5, catch_sigint=False)


def test_a_robot_that_does_not_exist_is_not_looked_at(viewer):
    for wanted, shown in ((10**6, 1), (-3, 0)):
        viewer.view.robot = wanted
        viewer.tick()
        viewer.show()
        assert viewer.view.robot == shown


def test_restart_counts_anew_and_keeps_what_was_chosen(viewer, policy_player):
    viewer.load.hang_on(3.0)
    viewer.tick()
    viewer.advance()
    viewer.restart()
    assert viewer.steps == 0 and score_of(viewer).lines() == ()
    assert get_load(policy_player.env)[0] == pytest.approx(3.0, abs=1e-3)


def test_pause_and_single_steps(viewer):
    viewer.pace.toggle()
    steps = viewer.steps
    for _ in range(5):
        viewer.tick()
    assert viewer.steps == steps
    viewer.step_once()
    assert viewer.steps == steps + 1


def test_a_robot_is_driven_from_the_page(viewer, policy_player):
    viewer.drive.mode.value = THIS
    viewer.drive.sliders[0].value = 0.5
    viewer.advance()
    assert policy_player.env.velocity_command.command[0].tolist() == [0.5, 0.0, 0.0]


def test_the_robot_that_fell_last_can_be_looked_at(viewer, policy_player):
    policy_player.env.robot.write_root_link_pose_to_sim(
        torch.tensor([[0.0, 0.0, 0.5, 0.0, 1.0, 0.0, 0.0]]), env_ids=torch.tensor([1])
    )
    policy_player.env.sim.forward()
    viewer.advance()
    assert viewer.robots.last_fallen == 1 and not viewer.view.note
    viewer.robots.look_at("fell last")
    viewer.tick()
    assert viewer.view.robot == 1
    assert ", fell once" in viewer.status.line.content
    viewer.robots.look_at("next")
    viewer.tick()
    assert viewer.view.robot == 0


def test_where_nobody_has_fallen_the_button_for_that_says_so(viewer):
    viewer.robots.look_at("fell last")
    assert viewer.view.note == "no robot has fallen yet"
