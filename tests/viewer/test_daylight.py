"""The look of the scene, and that it is only a look."""

from __future__ import annotations

import mujoco
import numpy as np

from grq20 import MJCF_PATH
from rl_sim_env.viewer.daylight import GROUND, daylight


def scene() -> mujoco.MjSpec:
    spec = mujoco.MjSpec.from_file(str(MJCF_PATH))
    spec.worldbody.add_light(name="old")
    spec.worldbody.add_geom(
        name="tile", type=mujoco.mjtGeom.mjGEOM_BOX, size=(5, 5, 0.1), rgba=(1, 0, 0, 1)
    )
    return spec


def test_physics_does_not_see_it():
    plain, lit = scene(), scene()
    daylight(lit)
    states = []
    for model in (plain.compile(), lit.compile()):
        data = mujoco.MjData(model)
        for _ in range(200):
            mujoco.mj_step(model, data)
        states.append(data.qpos.copy())
    np.testing.assert_array_equal(*states)


def test_sky_and_one_sun_that_follows_the_robot():
    spec = scene()
    daylight(spec)
    model = spec.compile()
    assert model.nlight == 1
    assert model.light_bodyid[0] == model.body("base_link").id
    assert mujoco.mjtTexture.mjTEXTURE_SKYBOX in model.tex_type


def test_ground_is_muted_and_the_robot_is_not():
    spec = scene()
    daylight(spec)
    lit, plain = spec.compile(), scene().compile()
    red, ground = np.array([1.0, 0.0, 0.0]), np.array(GROUND[0])
    color = lit.geom("tile").rgba[:3]
    assert np.linalg.norm(color - ground) < np.linalg.norm(red - ground)
    np.testing.assert_array_equal(lit.geom_rgba[1:], plain.geom_rgba[1:])
