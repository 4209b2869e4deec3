"""Shares, walks and percentiles of violations, on known margins and on robots that stand."""

from __future__ import annotations

import pytest
import torch
from offset_believer import OffsetBeliever

from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.evaluation.arena import Arena, EvaluationCfg, arena_env_cfg
from rl_sim_env.evaluation.grid import report_terrains
from rl_sim_env.evaluation.report import Table
from rl_sim_env.evaluation.violations import Walks, violation_tables, violations

ROBOTS = 14
CFG = EvaluationCfg(seeds=(0, 1), robots=ROBOTS, seconds=0.4)


def means(table: Table) -> dict[str, list[float]]:
    """Cells of each column by its title."""
    columns = zip(*(row.cells for row in table.rows), strict=True)
    return {
        column.title: [cell.mean for cell in cells if cell is not None]
        for column, cells in zip(table.columns, columns, strict=True)
    }


def test_figures_of_known_margins():
    # One seed, 100 steps, three robots, two constraints; the third robot is in no row.
    margins = torch.full((1, 100, 3, 2), -0.5)
    margins[0, :3, 0, 0] = torch.tensor([0.1, 0.2, 1.0])
    margins[0, 7, 1, 1] = 0.25
    margins[0, :, 2] = 5.0
    walks = Walks(
        margins=margins,
        walked=torch.tensor([[8.0, 2.0, 0.0]]),
        commanded=torch.tensor([[10.0, 10.0, 10.0]]),
    )
    groups = {"both": torch.tensor([0, 1]), "second": torch.tensor([1])}
    steps, of_walks, high, most = map(means, violation_tables(walks, groups, ("a", "b")))
    assert steps["a"] == pytest.approx([1.5, 0.0]) and steps["b"] == pytest.approx([0.5, 1.0])
    assert steps["walks without any"] == [0.0, 0.0]
    assert steps["distance walked"] == pytest.approx([50.0, 20.0])
    assert of_walks == {"a": [50.0, 0.0], "b": [50.0, 100.0]}
    # Of 200 steps two are beyond the percentile.
    assert high["a"] == pytest.approx([110.0, 50.0])
    assert most["a"] == pytest.approx([200.0, 50.0]) and most["b"] == pytest.approx([125.0] * 2)


@pytest.fixture(scope="module", params=["flat", "rough"])
def arena(request, make_env) -> Arena:
    def edit(cfg):
        # As on a GPU, with a padding environment that must not count.
        cfg.fixed_shapes = request.param == "rough"
        # With joints that believe to be elsewhere than they are, robots settle for a while.
        cfg.sensors = "ideal"
        arena_env_cfg(cfg)

    vec_env = AmpVaeVecEnv(make_env(ROBOTS, terrain=request.param, edit=edit))
    return Arena(vec_env, OffsetBeliever(vec_env.observation_layout, vec_env.num_actions))


def test_robots_that_stand_violate_nothing_and_walk_nowhere(arena):
    section = violations(arena, CFG)
    terrains = report_terrains(arena.env.terrain_types.names)
    for table in section.tables:
        labels = [f"{terrain}, {load} kg" for terrain in terrains for load in (0, 6)]
        assert [row.label for row in table.rows] == labels
    steps = means(section.tables[0])
    # On a slope or on steps they tumble.
    empty, loaded = (labels.index(f"flat, {load} kg") for load in (0, 6))
    for title in ("joint speed", "target rate"):
        assert steps[title][empty] == steps[title][loaded] == 0.0, title
    assert abs(steps["distance walked"][empty]) < 30.0
    cell = section.tables[0].rows[0].cells[0]
    assert cell is not None
    groups = max(len(labels) - 2, 2)  # the last two are of all terrains together
    assert (cell.seeds, cell.robots) == (2, ROBOTS // groups)
