from __future__ import annotations

import torch

from grq20 import STANDING_HEIGHT
from rl_sim_env.mdp.buried_feet import BURIED_TIME, BuriedFeet


def _only_blocks(cfg) -> None:
    generator = cfg.scene.terrain.terrain_generator
    generator.num_rows = 1
    generator.sub_terrains = {"boxes": generator.sub_terrains["boxes"]}
    cfg.commands["velocity"].terrains = {"boxes": cfg.commands["velocity"].terrains["boxes"]}
    cfg.style.terrain_scale = {}


def test_a_foot_counts_once_when_it_has_been_below_the_surface_for_too_long(make_env, place):
    env = make_env(num_envs=2, terrain="rough", edit=_only_blocks)
    buried = BuriedFeet(env)
    env.episode_length_buf[:] = 1
    height = float(env.scene.terrain.env_origins[0, 2]) + STANDING_HEIGHT

    def stand(lower: float, steps: int) -> list[list[int]]:
        place(env, height=height - lower)
        return [buried().tolist() for _ in range(steps)]

    limit = round(BURIED_TIME / env.step_dt)
    feet = env.cfg.robot.feet
    assert stand(0.0, 10) == [[0, 0]] * 10
    expected = [[0, 0]] * (limit + 6)
    expected[limit] = [len(feet)] * 2
    assert stand(0.06, limit + 6) == expected
    # Out, and in again: counted again. A reset robot begins anew.
    assert stand(0.0, 1) == [[0, 0]]
    stand(0.06, limit)
    env.episode_length_buf[1] = 0
    assert buried().tolist() == [len(feet), 0]
    assert torch.equal(buried(), torch.tensor([0, 0]))
