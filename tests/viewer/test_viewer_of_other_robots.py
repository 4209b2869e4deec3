"""Robots that carry a box, or nothing, in the viewers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.evaluation import Evaluator
from rl_sim_env.mdp import observations
from rl_sim_env.mdp.events import get_load
from rl_sim_env.motions.clip_set import CLIP_SET
from rl_sim_env.motions.generator import generate_clip
from rl_sim_env.motions.kinematics import LegKinematics
from rl_sim_env.robots.go1 import GO1
from rl_sim_env.tasks.go1 import GO1_WALKING
from rl_sim_env.viewer.clip_viewer import ClipPlayer
from rl_sim_env.viewer.load_panel import LoadPanel
from rl_sim_env.viewer.play_viewer import PlayViewer
from rl_sim_env.viewer.view import View
from rl_sim_env.viewer.wishes import Wishes
from small_policy import small_policy

BOXED = GO1_WALKING
UNLADEN = replace(GO1_WALKING, robot=replace(GO1, payload=None))


@pytest.fixture
def player(make_env, request) -> Evaluator:
    vec_env = AmpVaeVecEnv(make_env(2, walking=request.param, play=True))
    player = Evaluator(vec_env, small_policy(vec_env))
    player.reset()
    player.advance()
    return player


def _panel(player, server) -> LoadPanel:
    return LoadPanel(View(server, lambda change: change()), player, Wishes(player.env))


@pytest.mark.parametrize("player", [BOXED], indirect=True)
def test_the_slider_puts_another_load_into_the_box(player, server):
    panel = _panel(player, server)
    panel.update()
    panel.load.value = 1.5
    panel.follow_slider()
    assert get_load(player.vec_env.unwrapped)[0] == pytest.approx(1.5)
    assert not panel.load.disabled


@pytest.mark.parametrize("player", [UNLADEN], indirect=True)
def test_the_slider_of_a_robot_that_carries_nothing_cannot_be_moved(player, server):
    panel = _panel(player, server)
    panel.update()
    panel.load.value = 1.5
    panel.follow_slider()
    assert panel.load.disabled and not get_load(player.vec_env.unwrapped).any()


@pytest.mark.parametrize("player", [UNLADEN, BOXED], indirect=True)
def test_the_whole_page_is_there_for_a_robot_without_boom(player, server):
    viewer = PlayViewer(player, server)
    viewer.run(num_steps=3, catch_sigint=False)
    assert "extra mass" in viewer.estimates.table.content


def test_a_robot_without_boom_shows_its_clips(make_env):
    cfg = next(cfg for cfg in CLIP_SET if cfg.name == "trot_0.6")
    clip = generate_clip(cfg, GO1, LegKinematics.from_robot(GO1))
    player = ClipPlayer(AmpVaeVecEnv(make_env(1, walking=BOXED, play=True)), [clip])
    for _ in range(5):
        player.advance()
    env = player.vec_env.unwrapped
    expected = torch.tensor(clip.joint_pos[player.frame], dtype=torch.float)
    torch.testing.assert_close(observations.joint_pos(env)[0], expected, atol=1e-5, rtol=0.0)
    feet = torch.tensor(clip.foot_pos[player.frame], dtype=torch.float).flatten()
    torch.testing.assert_close(observations.foot_positions(env)[0], feet, atol=1e-5, rtol=0.0)
