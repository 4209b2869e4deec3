"""Falls end the episode, whatever part touches the ground first."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from grq20 import STANDING_HEIGHT
from rl_sim_env.mdp.terminations import in_a_pit, left_terrain, left_tile

NUM_ENVS = 2


@pytest.fixture(scope="module")
def env(make_env):
    return make_env(NUM_ENVS)


@pytest.mark.parametrize(
    ("state", "causes"),
    (
        ({"height": STANDING_HEIGHT}, set()),
        ({"height": 0.5, "pitch": math.radians(60)}, set()),
        ({"height": 1.0, "roll": math.radians(90)}, {"bad_orientation"}),
        ({"height": 0.11, "roll": math.radians(90)}, {"bad_orientation", "body_contact"}),
        ({"height": 0.06}, {"body_contact"}),
        # Boom ahead and nose down: the load touches the ground, the trunk does not.
        ({"height": 0.345, "pitch": math.radians(30), "arm": (0.0, 0.8)}, {"body_contact"}),
        ({"height": 0.385, "pitch": math.radians(30), "arm": (0.0, 0.8)}, set()),
    ),
    ids=(
        "standing",
        "pitched",
        "on its side in the air",
        "on its side",
        "on its belly",
        "load",
        "load above",
    ),
)
def test_what_ends_an_episode(env, place, state, causes):
    env.reset()
    place(env, **state)
    env.termination_manager.compute()
    active = {
        name
        for name in env.termination_manager.active_terms
        if env.termination_manager.get_term(name).all()
    }
    assert active == causes


def test_a_fall_is_no_time_out_and_costs(env, place):
    env.reset()
    place(env, height=1.0, roll=math.radians(90))
    _, reward, terminated, time_outs, _ = env.step(torch.zeros(NUM_ENVS, 12))
    assert terminated.all() and not time_outs.any()
    assert (reward < -0.15).all()


def test_time_out_after_twenty_seconds(env):
    env.reset()
    env.episode_length_buf[:] = torch.tensor((998, 999))
    _, _, terminated, time_outs, _ = env.step(torch.zeros(NUM_ENVS, 12))
    assert time_outs.tolist() == [False, True] and not terminated.any()
    assert env.max_episode_length * env.step_dt == pytest.approx(20.0)


def test_leaving_the_tile_is_a_time_out_in_training(make_env):
    env = make_env(7, terrain="rough")
    origin = env.scene.env_origins[:, :2].clone()
    for distance, leaves in ((4.9, False), (5.1, True)):
        env.episode_length_buf[:] = 10
        env.sim.data.qpos[:, :2] = origin
        env.sim.data.qpos[3, 1] += distance
        _, _, terminated, time_outs, _ = env.step(torch.zeros(7, 12))
        assert time_outs.nonzero().flatten().tolist() == [3] * leaves and not terminated.any()


def test_leaving_the_terrain_is_a_time_out_for_those_who_watch(make_env):
    env = make_env(7, terrain="rough", play=True)
    env.episode_length_buf[:] = 10
    env.sim.data.qpos[2, 0] += 10.0
    env.sim.data.qpos[3, 0] += 500.0
    _, _, _, time_outs, _ = env.step(torch.zeros(7, 12))
    assert time_outs.nonzero().flatten().tolist() == [3]


def test_what_took_the_place_of_mjlabs_terms_says_the_same(make_env):
    # Saved configurations that name those are restored with these.
    from mjlab.tasks.velocity.mdp.terminations import out_of_terrain_bounds, terrain_edge_reached

    env = make_env(7, terrain="rough")
    env.episode_length_buf[:] = 10
    generator, (rows, columns) = (
        env.scene.terrain.cfg.terrain_generator,
        env.scene.terrain.terrain_origins.shape[:2],
    )
    ends = [
        0.5 * number * side + generator.border_width - 0.3
        for number, side in zip((rows, columns), generator.size, strict=True)
    ]
    seen = set()
    for axis in (0, 1):
        for origin, half in (
            (env.scene.env_origins[:, axis], 0.475 * generator.size[axis]),
            (0.0, ends[axis]),
        ):
            for distance in (half - 0.01, half + 0.01, -half - 0.01):
                env.sim.data.qpos[:, :2] = env.scene.env_origins[:, :2]
                env.sim.data.qpos[:, axis] = origin + distance
                env.sim.forward()
                ours = left_tile(env), left_terrain(env)
                theirs = terrain_edge_reached(env), out_of_terrain_bounds(env)
                assert all(map(torch.equal, ours, theirs))
                seen.add(tuple(bool(each.all()) for each in ours))
    assert seen == {(False, False), (True, False), (True, True)}


def test_nobody_leaves_a_tile_where_a_plane_took_the_place_of_tiles(make_env):
    def flatten(cfg) -> None:
        cfg.scene.terrain.terrain_type = "plane"
        cfg.curriculum = {}

    env = make_env(2, terrain="rough", edit=flatten)
    env.sim.data.qpos[1, 0] += 500.0
    env.sim.forward()
    assert not left_tile(env).any() and not left_terrain(env).any()


def test_between_two_banks_is_a_fall_and_before_a_wall_is_none(make_env, place):
    env = make_env(1)
    place(env)
    for ground, is_pit in (
        (lambda x, y: 1.0 * (x.abs() > 0.3), True),
        (lambda x, y: 1.0 * (y.abs() > 0.3), True),
        (lambda x, y: 1.0 * (x > 0.3), False),
        (lambda x, y: 0.4 * (x.abs() > 0.3), False),
        (lambda x, y: 0.0 * x, False),
    ):
        env.height_map = SimpleNamespace(
            heights=lambda xy, ground=ground: ground(xy[..., 0], xy[..., 1])
        )
        on_this_tile = env.terrain_types.names
        assert in_a_pit(env, reach=0.45, families=on_this_tile).tolist() == [is_pit]
        assert not in_a_pit(env, reach=0.45, families=("gaps",)).any()  # a hole between blocks
