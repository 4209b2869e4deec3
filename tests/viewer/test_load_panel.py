"""The panel's values and what it draws."""

from __future__ import annotations

import math

import pytest

from rl_sim_env.mdp.events import get_load
from rl_sim_env.viewer.load_panel import (
    BEYOND_TRAINING,
    ESTIMATE_COLOR,
    MAX_LOAD,
    Comparison,
    LoadPanel,
    caption,
    compare,
    table_html,
)


def test_values_are_those_of_the_robot_in_view(policy_player):
    env = policy_player.vec_env.unwrapped
    policy_player.reset()
    policy_player.advance()
    body = env.index.payload_body_global
    for env_id in range(env.num_envs):
        rows = {row.label: row for row in compare(policy_player, env_id)}
        load = env.sim.model.body_mass[env_id, body] - env.sim.get_default_field("body_mass")[body]
        assert rows["extra mass"].true == pytest.approx(float(load), abs=1e-3)
        mass = policy_player.estimate.mass[env_id, 0]
        assert rows["extra mass"].estimated == pytest.approx(float(mass))
        com = 100.0 * policy_player.truth.com[env_id]
        assert [rows[f"CoM {axis}"].true for axis in "xyz"] == pytest.approx(com.tolist())
        velocity = policy_player.estimate.velocity[env_id]
        assert rows["velocity y"].estimated == pytest.approx(float(velocity[1]))
    text = caption(policy_player, 1)
    assert f"extra mass {rows['extra mass'].true:.1f} kg" in text
    assert f"estimated {rows['extra mass'].estimated:.1f} ± " in text


def test_an_estimate_is_shown_with_its_interval_and_flagged_beyond_training(policy_player):
    policy_player.reset()
    variance = policy_player.policy.vae.variance
    row = compare(policy_player, 0)[0]
    assert row.target == "mass" and not row.beyond_training, "nobody knows the range yet"
    assert row.reach == pytest.approx(1.96 * policy_player.std.mass[0, 0].item())
    mass_scale = 0.2
    heaviest = row.estimated + 0.5 * row.reach
    variance.least.fill_(-100.0)
    variance.greatest.fill_(mass_scale * heaviest)
    rows = compare(policy_player, 0)
    assert [each.target for each in rows if each.beyond_training] == ["mass"]
    assert BEYOND_TRAINING in caption(policy_player, 0) and BEYOND_TRAINING in table_html(rows)
    assert f"± {row.reach:.1f} kg" in caption(policy_player, 0)
    variance.greatest.fill_(mass_scale * (row.estimated + 2.0 * row.reach))
    assert BEYOND_TRAINING not in caption(policy_player, 0)


def bar(value: float) -> str:
    row = Comparison(target="com", label="CoM x", unit="cm", span=10.0, true=0.0, estimated=value)
    html = table_html([row])
    return html[: html.index(f"background:{ESTIMATE_COLOR}")].rsplit("<div", 1)[1]


def test_bars_start_in_the_middle_and_show_the_sign():
    assert "margin:1px 0 1px 50.0%;width:25.0%" in bar(5.0)
    assert "margin:1px 0 1px 25.0%;width:25.0%" in bar(-5.0)
    assert "width:50.0%" in bar(99.0)


def test_small_negative_value_is_no_negative_zero():
    row = Comparison(target="x", label="x", unit="m", span=1.0, true=-0.001, estimated=0.0)
    assert "-0.00" not in table_html([row])


def test_plot_follows_time_and_starts_anew_with_another_robot(policy_player, server):
    policy_player.reset()
    panel = LoadPanel(server, policy_player, lambda _: None)
    for step in range(11):
        panel.update(0, step)
    ages, true, estimated = panel._plot.data
    assert ages.tolist() == pytest.approx([-0.2, -0.1, 0.0])  # one point in five steps of 20 ms
    assert true.tolist() == pytest.approx([policy_player.truth.mass[0].item()] * 3)
    assert estimated.tolist() == pytest.approx([policy_player.estimate.mass[0].item()] * 3)
    panel.update(1, 11)
    assert panel._plot.data[1].tolist() == pytest.approx([policy_player.truth.mass[1].item()])


def test_plot_goes_on_after_a_reset_of_the_step_count(policy_player, server):
    panel = LoadPanel(server, policy_player, lambda _: None)
    for step in (100, 0, 5):
        panel.update(0, step)
    assert len(panel._plot.data[0]) == 3


def test_slider_decides_what_the_policy_is_fed(policy_player, server):
    panel = LoadPanel(server, policy_player, lambda _: None)
    panel.share.value = 0.25
    assert policy_player.p_boot == 0.25
    panel.share.value = 1.0
    assert policy_player.p_boot == 1.0


def test_numbers_that_no_slider_has_are_moved_into_its_range_or_ignored(policy_player, server):
    asked: list[float] = []
    panel = LoadPanel(server, policy_player, asked.append)
    panel.update(0, 0)
    for value in (0.5, math.nan, 1e30, -3.0):
        panel.share.value = value
        assert 0.0 <= policy_player.p_boot <= 1.0
    for value in (5.0, math.nan, 1e30, -math.inf):
        panel.load.value = value
    assert set(asked) <= {5.0, MAX_LOAD, 0.0} and {5.0, MAX_LOAD} <= set(asked)
    panel.share.value = 1.0


def test_only_the_user_asks_for_another_load(policy_player, server):
    policy_player.reset()
    asked: list[float] = []
    panel = LoadPanel(server, policy_player, asked.append)
    for env_id in (0, 1):
        panel.update(env_id, 0)
        load = get_load(policy_player.vec_env.unwrapped)[env_id].item()
        assert panel.load.value == pytest.approx(load, abs=0.05), "shows what hangs there"
    assert not asked
    panel.load.value = 2.0
    assert asked == [2.0]
    panel.update(1, 1)
    assert panel.load.value == 2.0, "waits until the wish is granted"
