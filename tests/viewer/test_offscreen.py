"""Pictures of a walking robot without a window."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.evaluation.arena import Arena, Scenario, arena_env_cfg
from rl_sim_env.viewer.offscreen import SIZE, photograph
from small_policy import small_policy


def test_a_photo_shows_something_and_what_is_measured_afterwards_is_as_without(make_env, opengl):
    def heights(*, with_photo: bool) -> list[float]:
        vec_env = AmpVaeVecEnv(make_env(2, edit=arena_env_cfg))
        arena = Arena(vec_env, small_policy(vec_env))
        if with_photo:
            photo = photograph(arena)
            assert photo is not None
            picture = Image.open(io.BytesIO(photo))
            assert (picture.format, picture.size) == ("JPEG", SIZE)
            assert np.asarray(picture).std() > 10.0
        for _ in arena.rollout(Scenario(), seconds=0.2, seed=3):
            pass
        return arena.env.robot.data.root_link_pos_w[:, 2].tolist()

    assert heights(with_photo=True) == heights(with_photo=False)
