"""Small players, and a page that nobody opens."""

from __future__ import annotations

import contextlib
import io

import mujoco
import pytest
import viser

from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.evaluation import Evaluator
from rl_sim_env.motions.clip_set import CLIP_SET
from rl_sim_env.motions.generator import generate_clip
from rl_sim_env.motions.kinematics import LegKinematics
from rl_sim_env.robots.grq20_v2d3 import GRQ20_V2D3
from rl_sim_env.viewer.clip_viewer import ClipPlayer
from small_policy import small_policy

SHOWN = ("turn_left_1.0", "start_stop_0.5")


@pytest.fixture(scope="module")
def policy_player(make_env) -> Evaluator:
    vec_env = AmpVaeVecEnv(make_env(2, play=True))
    return Evaluator(vec_env, small_policy(vec_env))


@pytest.fixture(scope="session")
def clips():
    legs = LegKinematics.from_robot(GRQ20_V2D3)
    return [generate_clip(cfg, GRQ20_V2D3, legs) for cfg in CLIP_SET if cfg.name in SHOWN]


@pytest.fixture
def clip_player(make_env, clips) -> ClipPlayer:
    return ClipPlayer(AmpVaeVecEnv(make_env(1, play=True)), clips)


@pytest.fixture
def server():
    with contextlib.redirect_stdout(io.StringIO()):
        server = viser.ViserServer(host="localhost", port=18080, verbose=False)
        yield server
        server.stop()


@pytest.fixture(scope="session")
def opengl() -> None:
    """Skips what renders where nothing can."""
    try:
        mujoco.Renderer(mujoco.MjModel.from_xml_string("<mujoco/>"), 16, 16).close()
    except Exception as error:
        pytest.skip(f"no OpenGL here: {error}")
