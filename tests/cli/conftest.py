"""A policy and a run folder for the programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from rl_sim_env.cli.options import LOG_ROOT
from rl_sim_env.envs import AmpVaeVecEnv
from small_policy import save, small_checkpoint


@pytest.fixture(scope="module")
def vec_env(make_env) -> AmpVaeVecEnv:
    return AmpVaeVecEnv(make_env(1))


@pytest.fixture
def run_folder(vec_env, tmp_path, monkeypatch) -> Path:
    """A working directory with one run of the flat experiment."""
    monkeypatch.chdir(tmp_path)
    folder = LOG_ROOT / "grq20_v2d3_amp_vae_flat" / "2026-01-02_03-04-05"
    save(small_checkpoint(vec_env), folder)
    return folder
