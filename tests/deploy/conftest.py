"""Exported policies: one of wide actions, and one that never moves a joint from its default."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from grq20 import amp_vae_env_cfg
from rl_sim_env.configuration import to_plain
from rl_sim_env.deploy.onnx_export import export_policy
from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.learning.checkpoint import Checkpoint
from rl_sim_env.learning.policy import POLICY_STATE, VARIANCE_STATE
from small_policy import save, small_checkpoint


@pytest.fixture(scope="session")
def vec_env(make_env) -> AmpVaeVecEnv:
    """Three robots whose episodes last half a second."""
    return AmpVaeVecEnv(make_env(3, edit=lambda cfg: setattr(cfg, "episode_length_s", 0.5)))


@pytest.fixture
def checkpoint(vec_env) -> Checkpoint:
    return small_checkpoint(vec_env)


@pytest.fixture(scope="session")
def limited(vec_env, tmp_path_factory) -> Path:
    """Exported policy whose actions are far apart, of a run with limits and scales of its own.

    Loads in its training were from -3 to 11 kg.
    """
    folder = tmp_path_factory.mktemp("limited")
    checkpoint = small_checkpoint(vec_env)
    env_cfg = amp_vae_env_cfg(terrain="flat")
    env_cfg.actions["joint_pos"].scale = {".*_hip_joint": 0.1, ".*": 0.2}
    env_cfg.actions["joint_pos"].clip = {".*": (-0.3, 0.3)}
    checkpoint.env_cfg = to_plain(env_cfg, classes=True)
    policy = checkpoint.algorithm[POLICY_STATE]
    biases = [policy[name] for name in policy if name.startswith("actor.mlp")]
    biases[-1].copy_(torch.linspace(-9.0, 9.0, 12))
    mass_scale = 0.2
    for name, value in (("least", -3.0), ("greatest", 11.0)):
        policy[f"{VARIANCE_STATE}{name}"].fill_(mass_scale * value)
    return export_policy(save(checkpoint, folder), folder)[0]


@pytest.fixture(scope="session")
def standing(vec_env, tmp_path_factory) -> Path:
    """Exported policy whose actions are always zero."""
    folder = tmp_path_factory.mktemp("standing")
    checkpoint = small_checkpoint(vec_env)
    for name, value in checkpoint.algorithm[POLICY_STATE].items():
        if name.startswith("actor."):
            value.zero_()
    return export_policy(save(checkpoint, folder), folder)[0]
