"""Pictures of how a robot walks."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from rl_sim_env.learning.config import AmpCfg
from rl_sim_env.learning.discriminator import Discriminator
from rl_sim_env.viewer.gait_panel import (
    GaitPanel,
    footfall_svg,
    ground_text,
    limits_html,
    torque_html,
)
from rl_sim_env.viewer.history import History
from rl_sim_env.viewer.view import WARNING_COLOR, View


def test_bars_stand_where_feet_are_down():
    contact = np.zeros((50, 2), dtype=bool)
    contact[25:, 0] = True
    contact[10:20, 1] = True
    svg = footfall_svg(["FL", "FR"], contact, length=100)
    bars = re.findall(r"<rect x='([\d.]+)' y='(\d+)' width='([\d.]+)'", svg)
    # 300 pixels for 100 steps; the newest is at the right.
    assert bars == [("251.0", "2", "75.0"), ("206.0", "18", "30.0")]


def test_a_torque_beyond_the_limit_is_marked():
    html = torque_html(["FL_hip", "FL_thigh"], np.array([0.2, 0.9]), 0.85)
    below, above = html.split("FL_thigh")
    assert WARNING_COLOR not in below and WARNING_COLOR in above
    assert "20 %" in below and "90 %" in above
    assert WARNING_COLOR in limits_html({"tilt": 0.1})
    assert WARNING_COLOR not in limits_html({"tilt": 0.0})


def test_ground_is_told_from_the_lowest_foot():
    assert ground_text(["FL", "FR"], np.array([-0.10, 0.15])) == "FL 0, FR 25"


def test_style_is_that_of_the_learner_and_falls_are_none(policy_player):
    width = policy_player.vec_env.observation_layout.width("amp_obs")
    torch.manual_seed(0)
    judge = Discriminator(width, AmpCfg(hidden_dims=(8, 8))).eval()
    history = History(policy_player, judge)
    policy_player.reset()
    steps = [policy_player.advance() for _ in range(3)]
    for step in steps:
        history.add(0, step)
    states = [step.obs["amp_obs"][0] for step in steps]
    judged = [judge.style_reward(states[k], states[k + 1]).item() for k in range(2)]
    assert not history.last("begun").any()
    assert history.style_score() == pytest.approx(np.mean(judged))
    assert History(policy_player).style_score() is None


def test_the_panel_shows_every_foot_joint_and_constraint(policy_player, server):
    history = History(policy_player)
    panel = GaitPanel(View(server, lambda change: change()), policy_player, history)
    policy_player.reset()
    panel.update()
    for _ in range(20):
        history.add(0, policy_player.advance())
    panel.update()
    robot = policy_player.env.cfg.robot
    assert all(f">{leg.corner}<" in panel.feet.content for leg in robot.legs)
    assert panel.torques.content.count("<tr>") == len(robot.leg_joints)
    layout = policy_player.env.constraint_monitor.layout
    assert panel.limits.content.count("<tr>") == len(layout.names)


def test_history_is_that_of_one_robot_and_forgets(policy_player):
    history = History(policy_player)
    policy_player.reset()
    steps = [policy_player.advance() for _ in range(3)]
    for step in steps:
        history.add(0, step)
    np.testing.assert_allclose(
        history.last("velocity")[:, 0], [step.velocity[0, 0].item() for step in steps], rtol=1e-5
    )
    history.add(1, steps[-1])
    assert len(history) == 1
    assert history.last("command")[0] == pytest.approx(steps[-1].command[1].tolist())
    for _ in range(600):
        history.add(1, steps[-1])
    assert len(history) == 500, "ten seconds"
