"""How often the truth lies where the policy says, and who is flagged."""

from __future__ import annotations

from typing import Any

import pytest
from offset_believer import OffsetBeliever

from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.evaluation.arena import Arena, EvaluationCfg, arena_env_cfg
from rl_sim_env.evaluation.coverage import CoverageMeter, describe_coverage
from rl_sim_env.evaluation.grid import rollout_grid

CFG = EvaluationCfg(seeds=(0,), robots=24, seconds=0.1)
OFFSETS = {"velocity": 0.2, "mass": 0.5, "com": -0.03}
STD = {"velocity": 0.2, "mass": 0.3, "com": 0.01}


@pytest.fixture(scope="module")
def vec_env(make_env) -> AmpVaeVecEnv:
    def without_other_masses(cfg: Any) -> None:
        arena_env_cfg(cfg)
        cfg.events["trunk"].params["mass"] = (0.0, 0.0)

    return AmpVaeVecEnv(make_env(CFG.robots, edit=without_other_masses))


def measure(vec_env: AmpVaeVecEnv, **told: Any) -> tuple[CoverageMeter, Arena]:
    policy = OffsetBeliever(vec_env.observation_layout, vec_env.num_actions, **OFFSETS, **told)
    arena = Arena(vec_env, policy)
    meter = CoverageMeter(arena, CFG)
    for step in rollout_grid(arena, CFG):
        meter.add(step)
    return meter, arena


def test_shares_are_of_truths_within_1_96_deviations(vec_env: AmpVaeVecEnv) -> None:
    meter, arena = measure(vec_env, std=STD, mass_range=(-3.0, 5.0))
    by_terrain, by_load = meter.tables()
    titles = [column.title for column in by_terrain.columns]
    assert titles == ["velocity", "extra mass", "CoM", "flagged as beyond training"]
    (row,) = by_terrain.rows
    assert [cell.mean for cell in row.cells[:3]] == pytest.approx([100.0, 100.0, 0.0])
    # An interval of plus and minus 0.59 kg about the load and half a kilogram.
    flagged = {row.label: row.cells[-1].mean for row in by_load.rows}
    assert flagged == {"0 kg": 0.0, "2 kg": 0.0, "4 kg": 100.0, "6 kg": 100.0}
    assert "-3.0 to 5.0 kg" in describe_coverage(arena)


def test_a_policy_that_tells_nothing_has_no_tables(vec_env: AmpVaeVecEnv) -> None:
    meter, arena = measure(vec_env)
    assert not meter.tables() and not describe_coverage(arena)


def test_a_policy_that_does_not_know_its_range_flags_nobody(vec_env: AmpVaeVecEnv) -> None:
    meter, arena = measure(vec_env, std=STD)
    assert [column.title for column in meter.tables()[0].columns][-1] == "CoM"
    assert "Flagged" not in describe_coverage(arena) and "1.96" in describe_coverage(arena)
