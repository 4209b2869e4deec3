"""Where walks begin: on the feature of each family, at random, on free feet, as a robot stands."""

from __future__ import annotations

from math import pi

import mujoco
import pytest
import torch
from offset_believer import OffsetBeliever

from rl_sim_env.cuda_graphs import HostReads
from rl_sim_env.envs import AmpVaeEnvCfg, AmpVaeVecEnv
from rl_sim_env.evaluation.arena import Arena, EvaluationCfg, Scenario, arena_env_cfg
from rl_sim_env.evaluation.ground_under import ground_under
from rl_sim_env.evaluation.robustness import survival
from rl_sim_env.evaluation.starts import ROOM
from rl_sim_env.terrains.presets import PIT_FAMILIES, TILE_SIZE, perceptive_terrain_cfg

EACH = 8
"""Robots on each family."""
FAMILIES = 9
ROBOTS = EACH * FAMILIES
EASIEST, HALFWAY, HARDEST = 0, 1, 2
"""Levels of a grid of three."""


@pytest.fixture(scope="module")
def arena(make_env) -> Arena:
    """Robots that differ in nothing, carry nothing and stand without balancing."""

    def edit(cfg: AmpVaeEnvCfg) -> None:
        cfg.scene.terrain = perceptive_terrain_cfg(play=True)
        cfg.scene.terrain.terrain_generator.num_rows = HARDEST + 1
        cfg.height_map_resolution = AmpVaeEnvCfg.height_map_resolution
        ranges = cfg.commands["velocity"].terrains
        ranges |= dict.fromkeys(PIT_FAMILIES, ranges["boxes"])
        cfg.events["load"].params["mass"] = (0.0, 0.0)
        arena_env_cfg(cfg)

    vec_env = AmpVaeVecEnv(make_env(ROBOTS, terrain="rough", play=True, edit=edit))
    return Arena(vec_env, OffsetBeliever(vec_env.observation_layout, vec_env.num_actions))


def on(level: int, **options) -> Scenario:
    """Robots on all families, told to stand."""
    return Scenario(
        family=torch.arange(ROBOTS) % FAMILIES,
        row=torch.full((ROBOTS,), level),
        command=torch.zeros(ROBOTS, 3),
        **options,
    )


def begin(arena: Arena, scenario: Scenario, seed: int = 0) -> torch.Tensor:
    """Begin walks. Returns positions of robots from the middle of their tiles and headings."""
    next(arena.rollout(scenario, seconds=arena.step_dt, seed=seed))
    arena.reset()
    offset = arena.env.robot.data.root_link_pos_w - arena.env.scene.env_origins
    return torch.cat((offset, arena.env.robot_heading()[:, None]), dim=-1)


def families(arena: Arena, *names: str) -> torch.Tensor:
    """Which robots are on those families."""
    ids = torch.tensor([arena.env.terrain_types.names.index(name) for name in names])
    return torch.isin(arena.env.terrain_types.ids, ids)


@pytest.mark.parametrize("level", [HALFWAY, HARDEST])
def test_robots_begin_on_the_feature_wherever_there_is_one(arena, level):
    start = begin(arena, on(level))
    is_flat = families(arena, "plane_run")
    assert torch.equal(ground_under(arena.env) == 0, is_flat)
    assert (start[:, :2].abs() <= TILE_SIZE / 2 - ROOM).all()
    # All of the tile is alike there: nothing draws robots out of its middle.
    in_middle = is_flat | families(arena, "random_rough")
    assert torch.equal((start[:, :2].abs() <= 0.5).all(dim=1), in_middle)


@pytest.mark.parametrize("level", [HALFWAY, HARDEST])
def test_no_part_of_a_robot_begins_inside_the_ground(arena, level):
    begin(arena, on(level))
    model = arena.env.sim.mj_model
    data = mujoco.MjData(model)
    is_ground = model.body_weldid[model.geom_bodyid] == 0
    for robot, qpos in enumerate(arena.env.sim.data.qpos[:ROBOTS].numpy()):
        data.qpos[:] = qpos
        mujoco.mj_forward(model, data)
        touches = is_ground[data.contact.geom].any(axis=1)
        family = arena.env.terrain_types.names[robot % FAMILIES]
        assert (data.contact.dist[touches] > -0.01).all(), family


def test_a_robot_that_only_holds_its_pose_lands_on_its_legs(arena):
    # On higher steps, and for longer, one has to balance.
    for step in arena.rollout(on(EASIEST), seconds=0.8, seed=0):
        assert not step.fell.any()


def test_places_and_headings_differ_and_are_those_of_the_seed(arena):
    first = begin(arena, on(HALFWAY))
    assert torch.equal(first, begin(arena, on(HALFWAY)))
    stairs = families(arena, "pyramid_stairs", "pyramid_stairs_inv")
    other = begin(arena, on(HALFWAY), seed=1)
    assert (first != other)[stairs].any(dim=1).all()
    # All around the middle, and in all directions.
    for values in first[stairs][:, [0, 1, 3]].T:
        assert values.min() < -0.5 and values.max() > 0.5


def test_a_scenario_can_begin_in_the_middle_and_fix_headings(arena):
    heading = torch.full((ROBOTS,), 0.5 * pi)
    start = begin(arena, on(HALFWAY, heading=heading, from_middle=True))
    assert (start[:, :2].abs() <= 0.5).all()
    assert torch.allclose(start[:, 3], heading, atol=1e-5)
    start = begin(arena, on(HALFWAY, heading=heading))
    assert (start[families(arena, "boxes"), :2].abs().amax(dim=1) > 0.5).all()
    assert torch.allclose(start[:, 3], heading, atol=1e-5)


def test_minutes_of_survival_begin_in_the_middle(arena):
    cfg = EvaluationCfg(seeds=(0,), levels=(HALFWAY,), survival_seconds=arena.step_dt)
    survival(arena, cfg)
    arena.reset()
    offset = arena.env.robot.data.root_link_pos_w - arena.env.scene.env_origins
    assert (offset[:, :2].abs() <= 0.5).all()


def test_a_gpu_can_record_it(arena):
    term = arena.env.event_manager.get_term_cfg("start")
    with HostReads() as reads:
        term.func(arena.env, torch.arange(ROBOTS), **term.params)
    assert not reads.places
