"""Evaluations of robots that carry a box, or nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.evaluation import robustness, step_response
from rl_sim_env.evaluation.arena import Arena, EvaluationCfg, arena_env_cfg
from rl_sim_env.evaluation.estimate_errors import estimation
from rl_sim_env.evaluation.grid import LOAD, grid_axes, grid_loads, rollout_grid
from rl_sim_env.evaluation.locomotion import gait
from rl_sim_env.evaluation.protocols import outside_protocol
from rl_sim_env.evaluation.report import Section
from rl_sim_env.evaluation.robustness import load_limits
from rl_sim_env.evaluation.tracking import tracking
from rl_sim_env.evaluation.violations import violations
from rl_sim_env.mdp import events
from rl_sim_env.tasks.go1 import GO1_WALKING
from shipped import shipped
from small_policy import small_policy

ROBOTS = 12
CFG = EvaluationCfg(seeds=(0,), robots=ROBOTS, seconds=0.2, survival_seconds=1.0, outside_walks=1)
UNLADEN = replace(GO1_WALKING, robot=replace(GO1_WALKING.robot, name="unladen", payload=None))


def make_arena(make_env, walking) -> Arena:
    env = make_env(ROBOTS, walking=walking, edit=arena_env_cfg)
    vec_env = AmpVaeVecEnv(env)
    return Arena(vec_env, small_policy(vec_env))


@pytest.fixture(scope="module")
def boxed(make_env) -> Arena:
    return make_arena(make_env, GO1_WALKING)


@pytest.fixture(scope="module")
def unladen(make_env) -> Arena:
    return make_arena(make_env, UNLADEN)


def labels(section: Section, table: int = 0) -> list[str]:
    return [row.label for row in section.tables[table].rows]


def test_loads_of_the_grid_are_shares_of_the_heaviest(boxed):
    assert grid_loads(boxed) == pytest.approx((0.0, 4.0 / 3.0, 8.0 / 3.0, 4.0))
    loads = torch.tensor(grid_loads(boxed))
    for at in rollout_grid(boxed, replace(CFG, seconds=0.04)):
        torch.testing.assert_close(
            events.get_load(boxed.env), loads[at.place[LOAD]], atol=1e-6, rtol=0.0
        )


def test_limits_of_a_box_are_those_of_its_load_alone(boxed, monkeypatch):
    monkeypatch.setattr(robustness, "LOAD_ROLLOUT", 0.2)
    section = load_limits(boxed, CFG)
    assert [table.title.split(" that")[0] for table in section.tables] == ["Heaviest load"]
    (plot,) = section.plots
    assert plot.series[0].x == pytest.approx(range(12))
    assert "boom" not in section.method


def test_a_step_of_the_load_is_one_to_the_heaviest(boxed, monkeypatch):
    monkeypatch.setattr(step_response, "BEFORE", 0.1)
    monkeypatch.setattr(step_response, "AFTER", 0.1)
    section = estimation(boxed, CFG)
    (step,) = [table for table in section.tables if "step" in table.title]
    assert [row.label for row in step.rows] == [
        "0 to 4 kg",
        "4 to 0 kg",
        "1.33 to 2 kg",
        "2.67 to 1.33 kg",
    ]


def test_who_carries_nothing_walks_without_a_load_alone(unladen):
    assert grid_loads(unladen) == (0.0,)
    assert grid_axes(unladen, CFG)[LOAD] == 1
    section = tracking(unladen, CFG)
    by_load = [table for table in section.tables if table.title.endswith("by load")]
    assert by_load and all([c.title for c in table.columns] == ["0 kg"] for table in by_load)
    assert labels(violations(unladen, CFG)) == ["flat, 0 kg"]
    section = gait(unladen, CFG)
    assert [series.label for plot in section.plots for series in plot.series] == ["0 kg"]


def test_estimates_of_who_carries_nothing_are_not_asked_for_a_step_of_the_load(unladen):
    section = estimation(unladen, CFG)
    assert not [table.title for table in section.tables if "step" in table.title]
    assert "load_step" not in [plot.name for plot in section.plots]
    assert "Step of the load" not in section.method


def test_who_carries_nothing_has_no_load_limits(unladen):
    section = load_limits(unladen, CFG)
    assert not section.tables and not section.plots
    assert "carries nothing" in section.method


def test_who_carries_a_box_walks_in_plain_mujoco(boxed):
    section = outside_protocol(shipped("go1")[0]).run(boxed, CFG)
    assert len(labels(section)) == 4 * len(grid_loads(boxed))
    assert "boom" not in section.method
