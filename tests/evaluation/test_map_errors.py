"""How far the map of a policy that sees is off: a policy that believes what it sees, no more."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from offset_believer import OffsetBeliever

from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.evaluation.arena import Arena, EvaluationCfg, arena_env_cfg
from rl_sim_env.evaluation.grid import rollout_grid
from rl_sim_env.evaluation.locomotion import footholds
from rl_sim_env.evaluation.map_errors import MapMeter
from rl_sim_env.learning.config import ActorCfg, AmpVaeRunnerCfg, ContextVaeCfg
from rl_sim_env.learning.perceptive_vae import TERRAIN_ESTIMATE
from rl_sim_env.learning.policy import AmpVaePolicy
from rl_sim_env.tasks.grq20_v2d3 import GRQ20_V2D3_WALKING
from rl_sim_env.tasks.perceptive_walking import add_sight

CFG = EvaluationCfg(seeds=(0,), robots=6, seconds=0.3)
RUNNER_CFG = AmpVaeRunnerCfg(
    actor=ActorCfg(hidden_dims=(8,)),
    vae=ContextVaeCfg(
        class_name="rl_sim_env.learning.perceptive_vae:PerceptiveVae",
        settings={"token_width": 8},
        encoder_dims=(8, 8),
        decoder_dims=(8,),
        latent_dim=2,
        memory_dim=8,
    ),
)


@pytest.fixture(scope="module")
def vec_env(make_env) -> AmpVaeVecEnv:
    def edit(cfg: Any) -> None:
        arena_env_cfg(cfg)
        add_sight(cfg, GRQ20_V2D3_WALKING, (0.3, 0.05))

    return AmpVaeVecEnv(make_env(CFG.robots, edit=edit))


def test_of_a_robot_that_sees_nobody_says_that_it_is_blind(vec_env: AmpVaeVecEnv) -> None:
    policy = OffsetBeliever(vec_env.observation_layout, vec_env.num_actions)
    assert "blind" not in footholds(Arena(vec_env, policy), CFG).method


def test_errors_are_of_seen_and_of_unseen_cells(vec_env: AmpVaeVecEnv) -> None:
    # Untrained, it corrects nothing: unseen cells are level ground under a robot that stands.
    torch.manual_seed(0)
    policy = AmpVaePolicy.build(vec_env.observation_layout, vec_env.num_actions, RUNNER_CFG).eval()
    arena = Arena(vec_env, policy)
    meter, seen, errors = MapMeter(arena, CFG), [], []
    for at in rollout_grid(arena, CFG):
        meter.add(at)
        seen.append(at.step.obs["exteroception"][:, 384:].bool())
        believed = at.step.output.reconstructions[TERRAIN_ESTIMATE]
        errors.append((believed - at.step.obs["terrain"]) / 5.0)
    is_seen, error = torch.stack(seen), torch.stack(errors)
    (table,) = meter.tables()
    (row,) = table.rows
    share, rmse, within, rmse_unseen, within_unseen, covered = (cell.mean for cell in row.cells)
    assert 10.0 < share < 90.0 and share == pytest.approx(100.0 * is_seen.float().mean().item())
    for cells, told, near, aim in (
        (is_seen, rmse, within, 0.02),
        (~is_seen, rmse_unseen, within_unseen, 0.04),
    ):
        of_kind = error[cells]
        assert told == pytest.approx(100.0 * of_kind.square().mean().sqrt().item(), rel=1e-4)
        assert near == pytest.approx(100.0 * (of_kind.abs() <= aim).float().mean().item(), abs=1e-3)
    assert 0.0 < rmse < 10.0 and 0.0 <= covered <= 100.0 and meter.description


def test_of_a_policy_that_is_blind_nothing_is_told(vec_env: AmpVaeVecEnv) -> None:
    arena = Arena(vec_env, OffsetBeliever(vec_env.observation_layout, vec_env.num_actions))
    meter = MapMeter(arena, CFG)
    for at in rollout_grid(arena, CFG):
        meter.add(at)
    assert not meter.tables() and not meter.description
