"""What is told to be under a robot, on tiles whose features are where they are."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.evaluation.arena import Arena, EvaluationCfg, arena_env_cfg
from rl_sim_env.evaluation.evaluator import EvaluationStep
from rl_sim_env.evaluation.falls import FallMeter
from rl_sim_env.evaluation.ground_under import GROUND_NAMES, ground_under
from rl_sim_env.evaluation.tracking import tracking
from small_policy import small_policy

ROBOTS = 84
TOP, STEPS = (0.0, 0.0), (2.5, 0.0)
"""Places on a pyramid of stairs, from its middle [m]."""


@pytest.fixture(scope="module")
def arena(make_env) -> Arena:
    vec_env = AmpVaeVecEnv(make_env(ROBOTS, terrain="rough", edit=arena_env_cfg))
    return Arena(vec_env, small_policy(vec_env))


def put(arena: Arena, family: str, places: list[tuple[float, float]]) -> None:
    """Put the first robots onto the middle level of a family."""
    env = arena.env
    column = env.terrain_types.names.index(family)
    state = env.robot.data.default_root_state[: len(places)].clone()
    state[:, :3] += env.scene.terrain.terrain_origins[5, column]
    state[:, :2] += torch.tensor(places)
    env.robot.write_root_state_to_sim(state, env_ids=torch.arange(len(places)))
    env.sim.forward()


@pytest.mark.parametrize("family", ["pyramid_stairs", "pyramid_stairs_inv", "hf_pyramid_slope"])
def test_platforms_are_level_and_what_is_around_them_is_the_feature(arena, family):
    put(arena, family, [TOP, STEPS])
    assert ground_under(arena.env)[:2].tolist() == [0, 1]


def test_tracking_leaves_out_the_time_on_level_ground(arena):
    cfg = EvaluationCfg(seeds=(0,), robots=ROBOTS, seconds=0.1)
    section = tracking(arena, cfg)
    (table,) = (each for each in section.tables if each.title.startswith("On the feature"))
    shares = {row.label: row.cells[0].mean for row in table.rows if row.cells[0]}
    assert shares["rough ground"] == 100.0
    assert shares["flat"] == 0.0 < shares["stairs"]
    whole = next(row for row in section.tables[0].rows if row.label == "rough ground")
    on_it = next(row for row in table.rows if row.label == "rough ground")
    assert on_it.cells[1:] == whole.cells
    assert all(row.cells[1] is None for row in table.rows if row.label == "flat")


def test_a_fall_belongs_to_the_ground_that_the_robot_fell_on(arena):
    step = arena.advance()
    put(arena, "pyramid_stairs", [TOP, STEPS])
    meter = FallMeter(arena, num_seeds=1)
    meter.begin(0)
    nobody = torch.zeros_like(step.dones)
    meter.add(_ended(step, nobody))
    # The robot on the steps falls, and stands on the top again when that is told.
    put(arena, "pyramid_stairs", [TOP, TOP])
    fell = nobody.clone()
    fell[1] = True
    meter.add(_ended(step, fell))
    rows = {row.label: row.cells for row in meter.table().rows}
    shares = [rows[name][2] for name in GROUND_NAMES]
    assert [share and share.mean for share in shares] == [0.0, 100.0]


def _ended(step: EvaluationStep, dones: torch.Tensor) -> EvaluationStep:
    return replace(step, dones=dones, time_outs=torch.zeros_like(dones))
