"""The estimation protocol."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from offset_believer import OffsetBeliever

from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.evaluation.arena import Arena, EvaluationCfg, arena_env_cfg
from rl_sim_env.evaluation.estimate_errors import estimation
from rl_sim_env.evaluation.report import Section, Table
from rl_sim_env.evaluation.sensed_load import METHODS

ROBOTS = 24
CFG = EvaluationCfg(seeds=(0,), robots=ROBOTS, seconds=0.4, load_steps=2)
VELOCITY_OFFSET, MASS_OFFSET, COM_OFFSET = 0.2, 0.5, -0.03
RMSE = [VELOCITY_OFFSET, MASS_OFFSET, *[-100.0 * COM_OFFSET] * 3]


@pytest.fixture(scope="module")
def vec_env(make_env) -> AmpVaeVecEnv:
    return AmpVaeVecEnv(make_env(ROBOTS, edit=arena_env_cfg))


def evaluate(vec_env: AmpVaeVecEnv, cfg: EvaluationCfg = CFG) -> Section:
    """What is found about a policy that is wrong by constants."""
    policy = OffsetBeliever(
        vec_env.observation_layout,
        vec_env.num_actions,
        velocity=VELOCITY_OFFSET,
        mass=MASS_OFFSET,
        com=COM_OFFSET,
    )
    return estimation(Arena(vec_env, policy), cfg)


@pytest.fixture(scope="module")
def section(vec_env) -> Section:
    return evaluate(vec_env)


def table(section: Section, title: str) -> Table:
    return next(table for table in section.tables if table.title.startswith(title))


def rows(table: Table) -> dict[str, list[float | None]]:
    return {row.label: [cell.mean if cell else None for cell in row.cells] for row in table.rows}


@pytest.mark.parametrize(("axis", "groups"), [("terrain", 1), ("load", 4), ("actual speed", 3)])
def test_a_constant_error_is_found_in_every_group(section, axis, groups):
    found = rows(table(section, f"RMSE of the estimates by {axis}"))
    assert len(found) == groups
    for values in found.values():
        # Perhaps nobody was that fast.
        assert values == [None] * len(RMSE) or values == pytest.approx(RMSE, rel=1e-3)


def test_baselines_stand_beside_the_estimator(section):
    found = rows(table(section, "RMSE of the estimates beside baselines"))
    assert found["the policy's estimator"] == pytest.approx(RMSE, rel=1e-3)
    # Loads of 0, 2, 4, 6 kg alone spread by 2.2 kg.
    mean = found["predicting the mean"]
    assert 2.0 < mean[1] < 4.0
    assert found["regression on the privileged state"][0] < mean[0]
    # Forces say nothing of velocities.
    for method in METHODS:
        for label in (method.NAME, f"{method.NAME}, calibrated"):
            velocity, *load = found[label]
            assert velocity is None and None not in load


def test_why_nothing_tells_loads_without_learning_is_told(vec_env, monkeypatch):
    robot = vec_env.cfg.robot
    legs = tuple(
        replace(leg, hip_joint=leg.calf_joint, calf_joint=leg.hip_joint) for leg in robot.legs
    )
    monkeypatch.setattr(vec_env.cfg, "robot", replace(robot, legs=legs))
    without = evaluate(vec_env, replace(CFG, seconds=0.1, load_steps=0))
    assert "Nothing tells loads without learning here: " in without.method
    assert "leg kinematics" in without.method
    assert "forces under the feet" not in rows(table(without, "RMSE of the estimates beside"))


def test_calibration_finds_the_constant(section):
    found = rows(table(section, "Calibration"))
    assert found["extra mass [kg]"] == pytest.approx([1.0, -MASS_OFFSET], abs=1e-3)
    assert found["CoM x [cm]"] == pytest.approx([1.0, -100.0 * COM_OFFSET], abs=1e-2)
    plot = next(plot for plot in section.plots if plot.name == "calibration_mass")
    curve, diagonal = plot.series
    assert diagonal.x == diagonal.y
    # The truth does not vary much within a bin of half a kilogram.
    for x, y in zip(curve.x, curve.y, strict=True):
        assert y == pytest.approx(x + MASS_OFFSET, abs=1e-3)


def test_an_estimate_that_is_told_the_truth_follows_a_step_of_the_load_at_once(section):
    found = rows(table(section, "Mass estimate after a step"))
    assert tuple(found) == ("0 to 6 kg", "6 to 0 kg")
    for (rise, followed, *times, error, tared), step in zip(
        found.values(), (6.0, -6.0), strict=True
    ):
        assert followed == 100.0
        assert rise == pytest.approx(step, abs=1e-2)
        # The observation shows the load one step after it was hung on.
        assert times == pytest.approx([0.02] * 3, abs=1e-3)
        # What it always says too much is what a tare takes off.
        assert (error, tared) == pytest.approx((MASS_OFFSET, 0.0), abs=1e-3)


def test_errors_are_told_apart_by_the_age_of_the_episode(section):
    found = rows(table(section, "RMSE of the estimates by time since"))
    assert tuple(found) == ("0 to 0.2 s", "0.2 to 1 s", "1 to 3 s", "after 3 s")
    assert found["0 to 0.2 s"] == pytest.approx(RMSE, rel=1e-3)


def test_the_response_is_drawn_beside_the_truth(section):
    plot = next(plot for plot in section.plots if plot.name == "load_step")
    series = {line.label: torch.tensor(line.y) for line in plot.series}
    assert torch.allclose(series["estimate"], series["truth"] + MASS_OFFSET, atol=1e-3)


def test_the_same_seeds_give_the_same_figures(vec_env, section):
    again = evaluate(vec_env, replace(CFG, load_steps=0))
    title = "RMSE of the estimates by terrain"
    # As text, for the spread of a single seed is no number.
    assert repr(table(again, title)) == repr(table(section, title))
