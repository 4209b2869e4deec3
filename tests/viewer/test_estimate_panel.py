"""Table, bars and plots of what the policy believes."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from rl_sim_env.viewer.comparison import Comparison, compare
from rl_sim_env.viewer.estimate_panel import EstimatePanel, table_html
from rl_sim_env.viewer.history import History
from rl_sim_env.viewer.time_plot import WIDTH, ticks, time_plot
from rl_sim_env.viewer.view import ESTIMATE_COLOR, TRUTH_COLOR, View


@pytest.fixture
def panel(policy_player, server):
    history = History(policy_player)
    view = View(server, lambda change: change())
    panel = EstimatePanel(view, policy_player, history)
    policy_player.reset()
    for _ in range(11):
        history.add(0, policy_player.advance())
    panel.update()
    yield panel
    policy_player.p_boot = 1.0


def _row(**values) -> Comparison:
    shown = {"target": "com", "label": "CoM x", "unit": "cm", "shown_range": (-10.0, 10.0)}
    return Comparison(**{**shown, "true": 0.0, **values})


def bar(value: float) -> str:
    html = table_html([_row(estimated=value)])
    return html[: html.index(f"background:{ESTIMATE_COLOR}")].rsplit("<div", 1)[1]


def test_bars_start_in_the_middle_and_show_the_sign():
    assert "margin:1px 0 1px 50.0%;width:25.0%" in bar(5.0)
    assert "margin:1px 0 1px 25.0%;width:25.0%" in bar(-5.0)
    assert "width:50.0%" in bar(99.0)


def test_small_negative_value_is_no_negative_zero():
    assert "-0.00" not in table_html([_row(true=-0.001, estimated=0.0)])


def points(svg: str, kind: str, color: str) -> np.ndarray:
    (found,) = re.findall(rf"<{kind} points='([^']*)'[^>]*{color}", svg)
    return np.array([each.split(",") for each in found.split()], dtype=float)


def test_plots_show_truth_and_estimate_of_the_last_seconds(panel, policy_player):
    row = compare(policy_player, 0)[0]
    svg = panel.plots[0].content
    low, high = row.shown_range
    for value, color in ((row.true, TRUTH_COLOR), (row.estimated, ESTIMATE_COLOR)):
        line = points(svg, "polyline", color)
        assert len(line) == 3, "one point in five steps of 20 ms"
        assert line[-1, 0] == WIDTH - 12
        expected = 20 + 100 * (1.0 - (value - low) / (high - low))
        assert line[-1, 1] == pytest.approx(expected, abs=0.1)


def test_a_plot_says_what_it_shows_on_a_scale_that_does_not_run_away(panel):
    mass, other = (plot.content for plot in panel.plots)
    assert ">extra mass [kg]<" in mass and ">velocity x [m/s]<" in other
    assert all(">time [s]<" in each for each in (mass, other))
    assert ">10<" in mass, "a hundred grams do not fill the picture"
    panel.choice.value = "CoM y [cm]"
    panel.update()
    assert ">CoM y [cm]<" in panel.plots[1].content


def test_a_plot_marks_where_an_episode_began_and_keeps_to_its_frame():
    ages, values = np.array([-2.0, -1.0, 0.0]), np.array([0.0, 99.0, -99.0])
    svg = time_plot(
        "x [m]",
        (-1.0, 1.0),
        10.0,
        ages=ages,
        true=values,
        estimated=values,
        reach=np.zeros(3),
        begun=np.array([-1.0]),
    )
    assert svg.count("class='begun'") == 1
    heights = points(svg, "polyline", TRUTH_COLOR)[:, 1]
    assert heights.tolist() == [70.0, 20.0, 120.0]


def test_ticks_are_round_and_there_is_no_negative_zero():
    assert not np.signbit(ticks(-4.0, 12.0)[0])
    assert ticks(-4.0, 12.0) == [0.0, 5.0, 10.0]
    assert ticks(-1.5, 1.5) == [-1.0, 0.0, 1.0]


def test_slider_decides_what_the_policy_is_fed(panel, policy_player):
    for value, fed in ((0.25, 0.25), (math.nan, 0.25), (1e30, 1.0), (-3.0, 0.0)):
        panel.share.value = value
        assert policy_player.p_boot == fed
