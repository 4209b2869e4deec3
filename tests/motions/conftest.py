from __future__ import annotations

from collections.abc import Callable

import pytest

from rl_sim_env.motions.clip import MotionClip
from rl_sim_env.motions.clip_set import CLIP_SET
from rl_sim_env.motions.generator import generate_clip
from rl_sim_env.motions.kinematics import LegKinematics
from rl_sim_env.robots.grq20_v2d3 import GRQ20_V2D3


@pytest.fixture(scope="session")
def legs() -> LegKinematics:
    return LegKinematics.from_robot(GRQ20_V2D3)


@pytest.fixture(scope="session")
def clips(legs: LegKinematics) -> dict[str, MotionClip]:
    return {cfg.name: generate_clip(cfg, GRQ20_V2D3, legs) for cfg in CLIP_SET}


@pytest.fixture
def clip(clips: dict[str, MotionClip]) -> MotionClip:
    return clips["trot_0.6"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RL_SIM_ENV_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def message() -> Callable[[pytest.ExceptionInfo], str]:
    """The error's text, after checking that it is one line."""

    def text(error: pytest.ExceptionInfo) -> str:
        assert "\n" not in str(error.value)
        return str(error.value)

    return text
