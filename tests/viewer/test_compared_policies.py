"""What is told about a robot: truth, estimate, interval."""

from __future__ import annotations

import pytest

from rl_sim_env.viewer.comparison import BEYOND_TRAINING, caption, compare
from rl_sim_env.viewer.estimate_panel import table_html


def test_values_are_those_of_the_robot_in_view(policy_player):
    env = policy_player.vec_env.unwrapped
    policy_player.reset()
    policy_player.advance()
    body = env.index.payload_body_global
    for env_id in range(env.num_envs):
        rows = {row.label: row for row in compare(policy_player, env_id)}
        load = env.sim.model.body_mass[env_id, body] - env.sim.get_default_field("body_mass")[body]
        assert rows["extra mass"].true == pytest.approx(float(load), abs=1e-3)
        mass = policy_player.output.estimate.mass[env_id, 0]
        assert rows["extra mass"].estimated == pytest.approx(float(mass))
        com = 100.0 * policy_player.truth.com[env_id]
        assert [rows[f"CoM {axis}"].true for axis in "xyz"] == pytest.approx(com.tolist())
        velocity = policy_player.output.estimate.velocity[env_id]
        assert rows["velocity y"].estimated == pytest.approx(float(velocity[1]))
    text = caption(policy_player, 1)
    assert f"extra mass {rows['extra mass'].true:.1f} kg" in text
    assert f"estimated {rows['extra mass'].estimated:.1f} ± " in text


def test_an_estimate_is_shown_with_its_interval_and_flagged_beyond_training(policy_player):
    policy_player.reset()
    variance = policy_player.policy.vae.variance
    row = compare(policy_player, 0)[0]
    assert row.target == "mass" and not row.beyond_training, "nobody knows the range yet"
    assert row.reach == pytest.approx(1.96 * policy_player.output.std.mass[0, 0].item())
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
