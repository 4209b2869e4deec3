"""What falls are put down to."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.evaluation import falls
from rl_sim_env.evaluation.arena import Arena, Scenario, arena_env_cfg
from rl_sim_env.evaluation.evaluator import EvaluationStep
from rl_sim_env.evaluation.falls import SITUATIONS, FallMeter
from rl_sim_env.evaluation.report import Table
from small_policy import small_policy

ROBOTS = 4
PUSHED, BEGUN, TOLD_ANEW, NONE = SITUATIONS


@pytest.fixture(scope="module")
def arena(make_env) -> Arena:
    vec_env = AmpVaeVecEnv(make_env(ROBOTS, edit=arena_env_cfg))
    return Arena(vec_env, small_policy(vec_env))


@pytest.fixture
def step(arena, monkeypatch) -> EvaluationStep:
    """A step after which nothing has happened; what happened two steps ago counts."""
    monkeypatch.setattr(falls, "BEFORE", 2.5 * arena.step_dt)
    load = torch.tensor([0.0, 1.0, 3.0, 6.0])
    step = next(arena.rollout(Scenario(load=load), seconds=1.0, seed=0))
    nobody = torch.zeros(ROBOTS, dtype=torch.bool)
    return replace(step, dones=nobody, time_outs=nobody)


def falling(step: EvaluationStep, *robots: int) -> EvaluationStep:
    fell = torch.zeros(ROBOTS, dtype=torch.bool)
    fell[list(robots)] = True
    return replace(step, dones=fell)


def cells(table: Table, label: str) -> list[float | None]:
    (row,) = (row for row in table.rows if row.label == label)
    return [cell and cell.mean for cell in row.cells]


def test_falls_belong_to_the_first_thing_that_came_shortly_before(arena, step):
    meter = FallMeter(arena, num_seeds=1)
    meter.begin(0)
    told = replace(step, command=step.command + 1.0)
    for now in (step, step, step, step, told):
        meter.add(now)
    # Robot 0 was told anew, robot 1 was pushed as well, robots 2 and 3 fall later.
    meter.pushed(torch.tensor([False, True, False, False]))
    meter.add(falling(told, 0, 1))
    meter.add(told)
    meter.add(falling(told, 0, 2))
    table = meter.table()
    assert [cells(table, name)[2] for name in SITUATIONS] == pytest.approx([25, 25, 25, 25])
    time = [cells(table, name)[0] for name in SITUATIONS]
    assert sum(time) == pytest.approx(100.0)
    assert time[2] == pytest.approx(100.0 * (4 + 3 + 2) / (8 * ROBOTS))
    everything = cells(table, "all")
    assert everything == pytest.approx([100.0, 1000.0 * 4 / (8 * ROBOTS * arena.step_dt), 100.0])


def test_falls_belong_to_the_load_that_the_robot_carried(arena, step):
    meter = FallMeter(arena, num_seeds=1)
    meter.begin(0)
    for now in (step, falling(step, 1, 2), falling(step, 2)):
        meter.add(now)
    shares = [
        cells(meter.table(), f"load {of}")[2] for of in ("below 2 kg", "2 to 4 kg", "from 4 kg")
    ]
    assert shares == pytest.approx([100.0 / 3.0, 200.0 / 3.0, 0.0])


def test_walks_without_falls_have_no_shares_of_them(arena, step):
    meter = FallMeter(arena, num_seeds=1)
    meter.begin(0)
    meter.add(step)
    assert cells(meter.table(), "all") == [100.0, 0.0, None]
    assert cells(meter.table(), PUSHED) == [None, None, None], "nobody was pushed"
