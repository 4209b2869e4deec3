"""Table, bars and plots of what the policy believes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rl_sim_env.viewer.comparison import Comparison, compare
from rl_sim_env.viewer.estimate_panel import EstimatePanel, table_html
from rl_sim_env.viewer.history import History
from rl_sim_env.viewer.view import ESTIMATE_COLOR, View


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


def test_plots_show_truth_and_estimate_of_the_last_seconds(panel, policy_player):
    row = compare(policy_player, 0)[0]
    ages, high, low, true, estimated = panel.plots[0].handle.data
    assert ages.tolist() == pytest.approx([-0.2, -0.1, 0.0])  # one point in five steps of 20 ms
    assert true[-1] == pytest.approx(row.true, abs=1e-4)
    assert estimated[-1] == pytest.approx(row.estimated, abs=1e-4)
    np.testing.assert_allclose(high - low, 2.0 * (high - estimated), rtol=1e-4)


def test_a_plot_keeps_its_scale_and_says_what_it_shows(panel):
    mass, other = (plot.handle for plot in panel.plots)
    assert mass.title == "extra mass [kg]" and "[" in other.title
    low, high = mass.scales["y"]["range"]
    assert high - low > 10.0, "a hundred grams do not fill the picture"
    assert not mass.scales["y"]["auto"] and not mass.legend["show"]
    assert mass.axes[0]["label"] == "time [s]"


def test_slider_decides_what_the_policy_is_fed(panel, policy_player):
    for value, fed in ((0.25, 0.25), (math.nan, 0.25), (1e30, 1.0), (-3.0, 0.0)):
        panel.share.value = value
        assert policy_player.p_boot == fed
