"""Protocols of motion, on robots that only stand."""

from __future__ import annotations

import pytest
import torch
from offset_believer import OffsetBeliever

from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.evaluation.arena import Arena, EvaluationCfg, arena_env_cfg
from rl_sim_env.evaluation.locomotion import GAIT_FIGURES, footholds, gait
from rl_sim_env.evaluation.report import Table

ROBOTS = 14
CFG = EvaluationCfg(seeds=(0, 1), robots=ROBOTS, seconds=0.4)


def make_arena(make_env, terrain: str, *, fixed_shapes: bool = False) -> Arena:
    def edit(cfg):
        cfg.fixed_shapes = fixed_shapes
        arena_env_cfg(cfg)

    vec_env = AmpVaeVecEnv(make_env(ROBOTS, terrain=terrain, edit=edit))
    policy = OffsetBeliever(vec_env.observation_layout, vec_env.num_actions)
    return Arena(vec_env, policy)


@pytest.fixture(scope="module")
def flat(make_env) -> Arena:
    return make_arena(make_env, "flat")


@pytest.fixture(scope="module")
def rough(make_env) -> Arena:
    # As on a GPU, with a padding environment that must not count.
    return make_arena(make_env, "rough", fixed_shapes=True)


def column(table: Table, title: str) -> list[float]:
    index = [column.title for column in table.columns].index(title)
    cells = (row.cells[index] for row in table.rows)
    return [cell.mean for cell in cells if cell is not None]


def labels(table: Table) -> list[str]:
    return [row.label for row in table.rows]


def test_a_robot_that_stands_has_feet_on_the_ground_and_gets_nowhere(flat):
    section = gait(flat, EvaluationCfg(seeds=(0, 1), robots=ROBOTS, seconds=1.0))
    (table,) = section.tables
    assert labels(table)[0] == "0 kg, below 0.4 m/s"
    assert labels(table)[-1] == "all"
    assert column(table, "duty factor")[-1] > 0.5
    assert column(table, "speed")[-1] < 0.3
    (plot,) = section.plots
    assert [series.label for series in plot.series] == ["0 kg", "6 kg"]


def test_gait_figures_follow_from_the_sums():
    sums = {
        "seconds": 10.0,
        "distance": 6.0,
        "weight_distance": 1800.0,
        "work": 1260.0,
        "positive_work": 900.0,
        "foot_seconds": 40.0,
        "slip": 2.2,
        "touchdowns": 80.0,
        "swing_height": 4.8,
        "stuck": 0.05,
        "diagonal": 9.0,
    }
    totals = {name: torch.tensor([value]) for name, value in sums.items()}
    totals["stance"] = torch.tensor([[6.0, 4.0, 6.0, 6.0]])
    totals["mirrored_stance"] = torch.tensor([[4.0, 6.0, 6.0, 6.0]])
    found = {column.title: float(value(totals)) for column, value in GAIT_FIGURES}
    assert found == pytest.approx(
        {
            "speed": 0.6,
            "cost of transport": 0.7,
            "cost of transport, positive work": 0.5,
            "duty factor": 0.55,
            "steps": 2.0,
            "foot clearance": 6.0,
            "left-right asymmetry": 20.0,
            "diagonal sync": 90.0,
            "foot slip": 0.1,
            "stuck feet": 0.3,
        }
    )


def test_each_terrain_has_its_row(rough):
    _, by_terrain = gait(rough, CFG).tables
    assert "stairs up" in labels(by_terrain)
    assert labels(by_terrain)[-1] == "all"


def test_footholds_are_judged_where_there_are_edges(flat, rough):
    section = footholds(rough, CFG)
    assert labels(section.tables[0]) == ["stairs up", "stairs down", "discrete obstacles"]
    families = rough.env.terrain_types.ids[:ROBOTS].unique().tolist()
    names = rough.env.terrain_types.names
    assert {names[family] for family in families} == {
        "pyramid_stairs",
        "pyramid_stairs_inv",
        "boxes",
    }
    section = footholds(flat, CFG)
    assert section.tables == ()
    assert "no such ground" in section.method
