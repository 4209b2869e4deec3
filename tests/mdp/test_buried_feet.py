from __future__ import annotations

import pytest
import torch

from grq20 import STANDING_HEIGHT
from rl_sim_env.mdp.buried_feet import BURIED_TIME, STUCK_FEET, BuriedFeet


def _only_blocks(cfg) -> None:
    generator = cfg.scene.terrain.terrain_generator
    generator.num_rows = 1
    generator.sub_terrains = {"boxes": generator.sub_terrains["boxes"]}
    cfg.commands["velocity"].terrains = {"boxes": cfg.commands["velocity"].terrains["boxes"]}
    cfg.style.terrain_scale = {}


def test_a_foot_counts_once_when_it_has_been_below_the_surface_for_too_long(make_env, place):
    env = make_env(num_envs=2, terrain="rough", edit=_only_blocks)
    buried = BuriedFeet(env)
    env.episode_length_buf[:] = 2
    height = float(env.scene.terrain.env_origins[0, 2]) + STANDING_HEIGHT

    def watched() -> list[int]:
        buried.watch()
        return buried.newly.tolist()

    def stand(lower: float, steps: int) -> list[list[int]]:
        place(env, height=height - lower)
        return [watched() for _ in range(steps)]

    limit = round(BURIED_TIME / env.step_dt)
    feet = env.cfg.robot.feet
    assert stand(0.0, 10) == [[0, 0]] * 10
    expected = [[0, 0]] * (limit + 6)
    expected[limit] = [len(feet)] * 2
    assert stand(0.06, limit + 6) == expected
    # Out, and in again: counted again. A robot in the first step of an episode begins anew.
    assert stand(0.0, 1) == [[0, 0]]
    stand(0.06, limit)
    env.episode_length_buf[1] = 1
    assert watched() == [len(feet), 0]
    assert watched() == [0, 0]
    total, robot_steps = buried.read_log()[STUCK_FEET]
    minutes = robot_steps * env.step_dt / 60.0
    assert total / robot_steps == pytest.approx(3 * len(feet) / minutes)
    assert buried.read_log() == {}


def test_a_step_watches_the_feet_of_ground_that_has_height_fields(make_env):
    for terrain, is_watched in (("rough", True), ("flat", False)):
        env = make_env(num_envs=2, terrain=terrain)
        env.step(torch.zeros(2, env.action_manager.total_action_dim))
        assert (STUCK_FEET in env.read_log()) == is_watched
