"""Pictures of a walking robot without a window."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.evaluation.arena import Arena, Scenario, arena_env_cfg
from rl_sim_env.viewer.offscreen import COARSE, SIZE, open_renderer, photograph
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


def test_a_cpu_renders_coarsely_and_photographs_finely(make_env, opengl):
    env = make_env(1)
    of_the_env = env.sim.mj_model.vis.quality

    def quality(**options: bool) -> dict[str, int]:
        with open_renderer(env, env.cfg.viewer, **options) as renderer:
            of = renderer.renderer.model.vis.quality
            return {name: getattr(of, name) for name in COARSE}

    usual = {name: getattr(of_the_env, name) for name in COARSE}
    assert quality() == COARSE
    assert quality(fine=True) == usual == {name: getattr(of_the_env, name) for name in COARSE}
    assert all(COARSE[name] < usual[name] for name in COARSE)
