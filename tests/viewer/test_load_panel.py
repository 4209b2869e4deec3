"""Loads, pushes and friction by hand."""

from __future__ import annotations

import math

import pytest
import torch

from rl_sim_env.geometry import turned
from rl_sim_env.mdp.events import get_load
from rl_sim_env.viewer.load_panel import DIRECTIONS, MAX_LOAD, LoadPanel
from rl_sim_env.viewer.view import View
from rl_sim_env.viewer.wishes import Wishes


@pytest.fixture
def view(server) -> View:
    return View(server, lambda change: change())


@pytest.fixture
def panel(policy_player, view) -> LoadPanel:
    policy_player.reset()
    return LoadPanel(view, policy_player, Wishes(policy_player.env))


def test_the_slider_has_the_name_that_the_estimate_has(panel, policy_player):
    label = policy_player.policy.targets.declared["mass"].label
    assert panel.load.label == f"{label} [kg]"


def test_the_slider_shows_what_hangs_on_the_robot_in_view(panel, policy_player, view):
    for robot in (0, 1):
        view.robot = robot
        panel.update()
        load = get_load(policy_player.env)[robot].item()
        assert panel.load.value == pytest.approx(load, abs=0.05)


def test_numbers_that_no_slider_has_are_moved_into_its_range_or_ignored(panel, policy_player):
    for value, load in ((5.0, 5.0), (math.nan, 5.0), (1e30, MAX_LOAD), (-math.inf, 0.0)):
        panel.load.value = value
        panel.follow_slider()
        assert get_load(policy_player.env)[0] == pytest.approx(load, abs=1e-4)


def test_a_load_is_for_the_robot_in_view_or_for_all(panel, policy_player, view):
    before = get_load(policy_player.env).clone()
    view.robot = 1
    panel.hang_on(2.5)
    assert get_load(policy_player.env).tolist() == pytest.approx([before[0].item(), 2.5], abs=1e-4)
    panel.everybody.value = True
    panel.hang_on(1.5)
    assert get_load(policy_player.env).tolist() == pytest.approx([1.5, 1.5], abs=1e-4)


def test_what_is_dropped_can_be_hung_on_again(panel, policy_player):
    panel.hang_on(4.0)
    panel.drop()
    panel.drop()
    assert get_load(policy_player.env)[0] == pytest.approx(0.0, abs=1e-4)
    panel.hang_on_again()
    assert get_load(policy_player.env)[0] == pytest.approx(4.0, abs=1e-4)


@pytest.mark.parametrize(
    ("direction", "along"),
    (("forward", (1, 0)), ("left", (0, 1)), ("back", (-1, 0)), ("right", (0, -1))),
)
def test_a_push_goes_where_the_robot_sees_it_go(panel, policy_player, direction, along):
    env = policy_player.env
    before = env.robot.data.root_link_lin_vel_w.clone()
    panel.push(0.8, DIRECTIONS[direction])
    change = env.robot.data.root_link_lin_vel_w - before
    heading = env.robot_heading()[0]
    expected = 0.8 * turned(torch.tensor(along), heading)
    torch.testing.assert_close(change[0, :2], expected, atol=1e-4, rtol=0.0)
    assert not change[1].any(), "the other one is left alone"
