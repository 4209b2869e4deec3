"""Exported policies: an untrained one, and one that never moves a joint from its default."""

from __future__ import annotations

from pathlib import Path

import pytest

from rl_sim_env.deploy.onnx_export import export_policy
from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.learning.checkpoint import Checkpoint
from rl_sim_env.learning.policy import POLICY_STATE
from small_policy import save, small_checkpoint


@pytest.fixture(scope="session")
def vec_env(make_env) -> AmpVaeVecEnv:
    """Three robots whose episodes last half a second."""
    return AmpVaeVecEnv(make_env(3, edit=lambda cfg: setattr(cfg, "episode_length_s", 0.5)))


@pytest.fixture
def checkpoint(vec_env) -> Checkpoint:
    return small_checkpoint(vec_env)


@pytest.fixture(scope="session")
def exported(vec_env, tmp_path_factory) -> Path:
    """Folder with the exported files of an untrained policy."""
    folder = tmp_path_factory.mktemp("exported")
    export_policy(save(small_checkpoint(vec_env), folder), folder)
    return folder


@pytest.fixture(scope="session")
def standing(vec_env, tmp_path_factory) -> Path:
    """Exported policy whose actions are always zero."""
    folder = tmp_path_factory.mktemp("standing")
    checkpoint = small_checkpoint(vec_env)
    for name, value in checkpoint.algorithm[POLICY_STATE].items():
        if name.startswith("actor."):
            value.zero_()
    return export_policy(save(checkpoint, folder), folder)[0]
