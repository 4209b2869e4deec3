"""Driving by sliders, keys and a gamepad."""

from __future__ import annotations

import math

import pytest

from rl_sim_env.viewer.browsers import HELD, Gamepad
from rl_sim_env.viewer.drive_panel import ALL, DRAWN, KEY_SHARE, THIS, DrivePanel
from rl_sim_env.viewer.view import View


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gamepad(server, clock) -> Gamepad:
    return Gamepad(server, clock)


@pytest.fixture
def panel(policy_player, server, gamepad, clock):
    policy_player.reset()
    view = View(server, lambda change: change(), robot=1)
    yield DrivePanel(view, policy_player, gamepad, clock)
    policy_player.env.velocity_command.steer(None)


def commands(panel: DrivePanel, policy_player) -> list[list[float]]:
    """What robots are told after a step by the panel."""
    panel.before_step()
    policy_player.advance()
    return policy_player.env.velocity_command.command.tolist()


def test_commands_are_drawn_until_somebody_drives(panel, policy_player):
    assert panel.mode.value == DRAWN
    panel.sliders[0].value = 0.5
    assert all(abs(of[0] - 0.5) > 1e-6 for of in commands(panel, policy_player))


@pytest.mark.parametrize(("mode", "driven"), ((THIS, [False, True]), (ALL, [True, True])))
def test_one_robot_is_driven_or_all(panel, policy_player, mode, driven):
    panel.mode.value = mode
    for slider, value in zip(panel.sliders, (0.4, -0.2, 0.3), strict=True):
        slider.value = value
    told = commands(panel, policy_player)
    assert [of == pytest.approx((0.4, -0.2, 0.3)) for of in told] == driven


def test_a_slider_commands_no_more_than_its_ends(panel, policy_player):
    panel.mode.value = THIS
    most = policy_player.env.velocity_command.ranges.amax(dim=0)[:, 1].tolist()
    for slider, value in zip(panel.sliders, (1e30, math.nan, -math.inf), strict=True):
        slider.value = value
    told = commands(panel, policy_player)[1]
    assert told == pytest.approx([most[0], 0.0, -most[2]], abs=5e-3)


def test_keys_take_over_and_spring_back(panel, policy_player, clock):
    panel.press(0, 1.0)
    assert panel.mode.value == THIS
    most = panel.sliders[0].max
    assert commands(panel, policy_player)[1] == pytest.approx([KEY_SHARE * most, 0.0, 0.0])
    clock.now = 0.9 * HELD
    panel.press(0, 1.0)
    clock.now = 1.8 * HELD
    assert panel.command[0] > 0.0, "a key that repeats itself is held"
    clock.now = 3.0 * HELD
    assert commands(panel, policy_player)[1] == [0.0, 0.0, 0.0]


def test_a_gamepad_drives_as_far_as_it_is_pushed_and_springs_back(
    panel, gamepad, policy_player, clock
):
    gamepad.typed.value = "0.50 0.00 -1.00 1"
    most = [slider.max for slider in panel.sliders]
    assert commands(panel, policy_player)[1] == pytest.approx([0.5 * most[0], 0.0, -most[2]])
    assert panel.mode.value == THIS
    clock.now = 2.0 * HELD
    assert commands(panel, policy_player)[1] == [0.0, 0.0, 0.0], "a browser that left"


def test_what_no_gamepad_says_moves_nothing(panel, gamepad):
    for text in ("", "left", "0.5", "nan nan nan 1"):
        gamepad.typed.value = text
        assert gamepad.sticks == (0.0, 0.0, 0.0)
    gamepad.typed.value = "1e30 -inf 0 1"
    assert gamepad.sticks == (1.0, -1.0, 0.0)


def test_stop_stands(panel, policy_player):
    panel.sliders[0].value = 0.7
    panel.press(2, -1.0)
    panel.stop()
    assert [slider.value for slider in panel.sliders] == [0.0, 0.0, 0.0]
    assert commands(panel, policy_player)[1] == [0.0, 0.0, 0.0]
