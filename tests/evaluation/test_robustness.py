"""Protocols of robustness, on robots that stand, and on robots that cannot."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from offset_believer import OffsetBeliever

from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.evaluation import robustness
from rl_sim_env.evaluation.arena import Arena, EvaluationCfg, arena_env_cfg
from rl_sim_env.evaluation.robustness import (
    load_limits,
    pushes,
    survival,
)
from rl_sim_env.learning.policy import PolicyOutput

ROBOTS = 13
CFG = EvaluationCfg(seeds=(0,), robots=ROBOTS, seconds=1.0, survival_seconds=2.0)
PUSH_SWEEP = (0.0, 0.1, 6.0)
SPRAWLING = 10.0
"""Raw action with which a robot lies on the ground within half a second."""


class Holding(OffsetBeliever):
    """Always gives the same actions."""

    def __init__(self, vec_env: AmpVaeVecEnv, action: float) -> None:
        super().__init__(vec_env.observation_layout, vec_env.num_actions)
        self._action = action

    def __call__(self, observations, memory, p_boot=1.0) -> PolicyOutput:
        output = super().__call__(observations, memory, p_boot)
        return output._replace(actions=torch.full_like(output.actions, self._action))


@pytest.fixture(scope="module")
def vec_env(make_env) -> AmpVaeVecEnv:
    """Robots that differ in nothing and stand without balancing."""

    def edit(cfg):
        cfg.events["load"].params["mass"] = (0.0, 0.0)
        arena_env_cfg(cfg)

    return AmpVaeVecEnv(make_env(ROBOTS, play=True, edit=edit))


@pytest.fixture
def standing(vec_env) -> Arena:
    return Arena(vec_env, Holding(vec_env, 0.0))


@pytest.fixture
def falling(vec_env) -> Arena:
    return Arena(vec_env, Holding(vec_env, SPRAWLING))


def mean(section, table: int = 0, column: int = 0) -> float:
    cell = section.tables[table].rows[0].cells[column]
    assert cell is not None
    return cell.mean


def test_who_never_falls_survives(standing):
    section = survival(standing, CFG)
    assert mean(section) == 100.0
    assert mean(section, column=1) == 0.0
    # No walk has ended: nothing is known of whole ones.
    assert section.tables[0].rows[0].cells[2:] == (None, None)
    (plot,) = section.plots
    assert plot.series[0].x == (0.0, 1.0, 2.0)
    assert plot.series[0].y == (100.0, 100.0, 100.0)


def test_who_falls_has_not_survived_however_often_it_begins_anew(falling):
    section = survival(falling, CFG)
    assert mean(section) == 0.0
    assert mean(section, column=1) > 2 * 1000.0 / CFG.survival_seconds
    assert section.plots[0].series[0].y[0] == 100.0
    # Each of its walks, from the start to the fall, ends by one.
    assert mean(section, column=2) == 0.0
    assert 0.0 < mean(section, column=3) < CFG.survival_seconds / 2


def test_too_short_a_time_tells_nothing_of_whole_walks(falling):
    section = survival(falling, replace(CFG, survival_seconds=0.6))
    # All that ended were falls, and that is because those end first.
    assert mean(section, column=1) > 0.0
    assert section.tables[0].rows[0].cells[2:] == (None, None)


def test_survivors_are_told_by_terrain_and_level(make_env):
    rough = AmpVaeVecEnv(make_env(14, terrain="rough", edit=arena_env_cfg))
    arena = Arena(rough, Holding(rough, SPRAWLING))
    short = replace(CFG, survival_seconds=1.0, levels=(0, 4))
    (table,) = (
        table for table in survival(arena, short).tables if "terrain and level" in table.title
    )
    assert [column.title for column in table.columns] == ["level 0", "level 4"]
    stairs = next(row for row in table.rows if row.label == "stairs")
    assert [cell.robots for cell in stairs.cells if cell] == [2, 2]
    assert all(cell.mean == 0.0 for row in table.rows for cell in row.cells if cell)


def test_the_fall_of_a_robot_that_was_pushed_is_put_down_to_the_push(standing, monkeypatch):
    monkeypatch.setattr(robustness, "PUSH_PERIOD", (1.0, 1.0))
    monkeypatch.setattr(robustness, "PUSH_SPEED", 8.0)
    pushed = survival(standing, CFG).tables[1].rows[0]
    _, rate, share = pushed.cells
    assert rate.mean > 0.0
    assert share.mean == 100.0


def test_survival_pushes_as_often_and_as_hard_as_it_says(standing, monkeypatch):
    period = 0.5
    monkeypatch.setattr(robustness, "PUSH_PERIOD", (period, period))
    given = []
    monkeypatch.setattr(standing, "push", given.append)
    survival(standing, CFG)
    pushes = torch.stack(given)
    pushed = pushes.any(dim=-1)
    steps = round(period / standing.step_dt)
    assert pushed.nonzero()[:, 0].unique().tolist() == [steps * k - 1 for k in (1, 2, 3, 4)]
    assert pushed[steps - 1].all()
    assert 0.8 < float(pushes.abs().max()) <= robustness.PUSH_SPEED


def test_the_same_seed_gives_the_same_pushes(standing, monkeypatch):
    monkeypatch.setattr(robustness, "PUSH_PERIOD", (0.1, 0.2))
    given = []
    monkeypatch.setattr(standing, "push", given.append)
    for _ in range(2):
        survival(standing, replace(CFG, survival_seconds=0.4))
    first, second = torch.stack(given).split(len(given) // 2)
    assert first.any() and torch.equal(first, second)


def test_hard_pushes_fell_a_standing_robot_and_soft_ones_do_not(standing, monkeypatch):
    monkeypatch.setattr(robustness, "STRIDE", 1.0)
    monkeypatch.setattr(robustness, "PUSH_SWEEP", PUSH_SWEEP)
    section = pushes(standing, CFG)
    (series,) = section.plots[0].series
    assert series.x == pytest.approx(PUSH_SWEEP)
    assert series.y == (100.0, 100.0, 0.0)
    assert mean(section) == pytest.approx(0.1 + 0.1 * (PUSH_SWEEP[-1] - 0.1))


def test_robots_that_do_not_stand_are_not_pushed(falling, monkeypatch):
    monkeypatch.setattr(robustness, "STRIDE", 1.0)
    (row,) = pushes(falling, CFG).tables[0].rows
    assert row.cells == (None,)


def test_load_limits_ask_of_each_robot_what_they_say(falling, monkeypatch):
    monkeypatch.setattr(robustness, "LOAD_ROLLOUT", 1.0)
    monkeypatch.setattr(robustness, "LOAD_STEP", 3.0)
    env = falling.env
    asked = []
    rollout = falling.rollout

    def watched(scenario, **kwargs):
        for step in rollout(scenario, **kwargs):
            empty = env.sim.get_default_field("body_mass")[env.index.payload_body_global]
            load = env.sim.model.body_mass[:, env.index.payload_body_global] - empty
            asked.append((load, env.robot.data.joint_pos[:, env.index.boom_joints[1]].clone()))
            yield step

    monkeypatch.setattr(falling, "rollout", watched)
    section = load_limits(falling, CFG)
    load, boom = asked[0]
    loads = [3.0 * step for step in range(8)]
    assert load[:8].tolist() == pytest.approx(loads, abs=1e-5)
    assert load[8:].tolist() == pytest.approx([6.0] * 5, abs=1e-5)
    assert boom[:8].tolist() == pytest.approx([0.6] * 8, abs=0.01)
    assert boom[8:].tolist() == pytest.approx([0.4, 0.5, 0.6, 0.7, 0.8], abs=0.01)
    assert "or less" in section.tables[0].rows[0].label
    assert "or less" in section.tables[1].rows[0].label


def test_the_longest_boom_is_told_where_all_survive(standing, monkeypatch):
    monkeypatch.setattr(robustness, "LOAD_ROLLOUT", 1.0)
    robot = standing.env.cfg.robot
    unladen = replace(robot, payload=replace(robot.payload, max_load=1e-6))
    monkeypatch.setattr(standing.env.cfg, "robot", unladen)
    section = load_limits(standing, CFG)
    assert mean(section, table=1) == pytest.approx(0.8)
    assert "or more" in section.tables[1].rows[0].label
