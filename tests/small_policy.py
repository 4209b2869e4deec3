"""A tiny untrained policy of the task, and a checkpoint that holds it."""

from __future__ import annotations

from pathlib import Path

import torch

from rl_sim_env.configuration import to_plain
from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.learning.checkpoint import Checkpoint
from rl_sim_env.learning.config import ActorCfg, AmpVaeRunnerCfg, ContextVaeCfg
from rl_sim_env.learning.policy import POLICY_STATE, AmpVaePolicy

CFG = AmpVaeRunnerCfg(
    actor=ActorCfg(hidden_dims=(8,)),
    vae=ContextVaeCfg(encoder_dims=(8, 8), decoder_dims=(8,), latent_dim=2),
)
TASK = "Rl-Sim-Env-AmpVae-Grq20-V2d3-Flat-v0"


def small_policy(vec_env: AmpVaeVecEnv) -> AmpVaePolicy:
    torch.manual_seed(0)
    return AmpVaePolicy.build(vec_env.observation_layout, vec_env.num_actions, CFG).eval()


def small_checkpoint(vec_env: AmpVaeVecEnv, task: str = TASK) -> Checkpoint:
    policy = small_policy(vec_env)
    return Checkpoint(
        task=task,
        iteration=3,
        total_steps=0,
        total_seconds=0.0,
        progress=1.0,
        algorithm={POLICY_STATE: policy.state_dict()},
        processes=[{"env": vec_env.training_state()}],
        config=to_plain(CFG),
        layout=vec_env.observation_layout.to_dict(),
        env_cfg=to_plain(vec_env.cfg, classes=True),
    )


def save(checkpoint: Checkpoint, folder: Path) -> Path:
    path = folder / Checkpoint.file_name(checkpoint.iteration)
    checkpoint.save(path)
    return path
