"""Walks over the grid of terrains, loads and kinds of commands."""

from __future__ import annotations

from itertools import chain

import pytest
import torch

from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.evaluation.arena import Arena, EvaluationCfg, arena_env_cfg
from rl_sim_env.evaluation.grid import (
    BOTH_MODE,
    COMMAND_MODE,
    LOAD,
    TERRAIN,
    VELOCITY_MODE,
    YAW_RATE_MODE,
    report_terrains,
    rollout_grid,
)
from small_policy import small_policy

ROBOTS = 42
LOADS = (0.0, 2.0, 4.0, 6.0)
CFG = EvaluationCfg(seeds=(3, 4), robots=ROBOTS, seconds=0.04, levels=(2, 5))


@pytest.fixture(scope="module")
def arena(make_env) -> Arena:
    env = make_env(ROBOTS, terrain="rough", edit=arena_env_cfg)
    vec_env = AmpVaeVecEnv(env)
    return Arena(vec_env, small_policy(vec_env))


def test_robots_are_where_the_grid_says(arena):
    env = arena.env
    body = env.index.payload_body_global
    empty = env.sim.get_default_field("body_mass")[body]
    seen, begins = torch.zeros(7, 3, 4), []
    for at in rollout_grid(arena, CFG):
        family, mode, load = (at.place[axis] for axis in (TERRAIN, COMMAND_MODE, LOAD))
        assert torch.equal(env.terrain_types.ids, family)
        levels, counts = env.scene.terrain.terrain_levels.unique(return_counts=True)
        assert (levels.tolist(), counts.tolist()) == ([2, 5], [ROBOTS // 2, ROBOTS // 2])
        carried = env.sim.model.body_mass[:, body] - empty
        assert torch.allclose(carried, torch.tensor(LOADS)[load], atol=1e-5)
        command = at.step.command
        assert (command[mode == VELOCITY_MODE][:, 2] == 0.0).all()
        assert (command[mode == VELOCITY_MODE][:, :2] != 0.0).all()
        assert (command[mode == YAW_RATE_MODE][:, :2] == 0.0).all()
        assert (command[mode == YAW_RATE_MODE][:, 2] != 0.0).all()
        assert (command[mode == BOTH_MODE] != 0.0).all()
        begins.append((at.seed, at.begins))
        if at.begins:
            seen.index_put_((family, mode, load), torch.ones(ROBOTS), accumulate=True)
    assert begins == [(0, True), (0, False), (1, True), (1, False)]
    # Two seeds of 42 robots fill the 84 places once each.
    assert (seen == 1.0).all()


def test_stairs_lead_up_out_of_pits_and_down_from_pyramids(arena):
    terrain = arena.env.scene.terrain
    names = arena.env.terrain_types.names
    heights = terrain.terrain_origins[5, :, 2]
    assert heights[names.index("pyramid_stairs_inv")] < -0.5
    assert heights[names.index("pyramid_stairs")] > 0.5
    terrains = report_terrains(names)
    assert terrains["stairs up"] == [names.index("pyramid_stairs_inv")]
    assert sorted(terrains["stairs"]) == sorted(terrains["stairs up"] + terrains["stairs down"])
    single = [families for label, families in terrains.items() if label not in ("stairs", "all")]
    assert sorted(chain.from_iterable(single)) == list(range(len(names))) == terrains["all"]


def test_a_plane_is_flat_and_nothing_else():
    assert report_terrains(("plane_run",)) == {"flat": [0]}
