"""Native and Warp physics under one unmodified mjlab task, the Go1 on a plane."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from mjlab.envs import ManagerBasedRlEnv, ManagerBasedRlEnvCfg
from mjlab.sim.sim import Simulation
from mjlab.tasks.velocity.config.go1.env_cfgs import unitree_go1_flat_env_cfg

from rl_sim_env.errors import UserError
from rl_sim_env.simulation import NativeSimulation, use_simulation

pytestmark = pytest.mark.slow  # compiles Warp's kernels once, about a minute

NUM_ENVS = 16
NUM_STEPS = 10


def _go1_cfg() -> ManagerBasedRlEnvCfg:
    """Mjlab's flat task without its foot height sensor, which casts rays."""
    cfg = unitree_go1_flat_env_cfg()
    cfg.seed = 0
    cfg.scene.num_envs = NUM_ENVS
    cfg.scene.sensors = tuple(s for s in cfg.scene.sensors if s.name != "foot_height_scan")
    for name, reward in list(cfg.rewards.items()):
        if "foot_height_scan" in reward.params.values():
            del cfg.rewards[name]
    for group in cfg.observations.values():
        for name, term in list(group.terms.items()):
            if "foot_height_scan" in term.params.values():
                del group.terms[name]
    return cfg


@contextmanager
def _environment(cls: type[Simulation]) -> Iterator[ManagerBasedRlEnv]:
    with use_simulation(cls):
        env = ManagerBasedRlEnv(_go1_cfg(), device="cpu")
    yield env
    env.close()


def _rollout(cls: type[Simulation]) -> dict[str, torch.Tensor]:
    """Results of all steps, shape (steps, envs, ...), with the same seeds and actions."""
    with _environment(cls) as env:
        env.reset(seed=1)
        actions = torch.Generator().manual_seed(2)
        steps = []
        for _ in range(NUM_STEPS):
            action = 0.5 * torch.randn(NUM_ENVS, 12, generator=actions)
            obs, reward, terminated, _, _ = env.step(action)
            qpos = env.sim.data.qpos[:].clone()
            steps.append({"reward": reward.clone(), "terminated": terminated, "qpos": qpos} | obs)
        model_fields = {
            name: torch.as_tensor(getattr(env.sim.model, name)[:]).clone()
            for name in ("geom_friction", "body_ipos", "body_mass")
        }
    return {name: torch.stack([step[name] for step in steps]) for name in steps[0]} | model_fields


@pytest.fixture(scope="module")
def rollouts() -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    return _rollout(NativeSimulation), _rollout(Simulation)


def _differences(rollouts, name: str) -> torch.Tensor:
    """Largest deviation of each environment, shape (envs,)."""
    native, warp = (rollout[name] for rollout in rollouts)
    return (native - warp).abs().reshape(NUM_STEPS, NUM_ENVS, -1).amax(dim=(0, 2))


def test_randomised_model_fields_are_the_same(rollouts) -> None:
    for name in ("geom_friction", "body_ipos", "body_mass"):
        torch.testing.assert_close(rollouts[0][name], rollouts[1][name], rtol=1e-6, atol=1e-7)


def test_positions_agree(rollouts) -> None:
    assert _differences(rollouts, "qpos").max() < 1e-3


def test_rewards_agree(rollouts) -> None:
    differences = _differences(rollouts, "reward")
    assert differences.max() < 1e-4
    assert differences.median() < 1e-6


@pytest.mark.parametrize("group", ["actor", "critic"])
def test_observations_agree(rollouts, group: str) -> None:
    # A hard contact amplifies the rounding of single precision: bound the typical environment.
    assert _differences(rollouts, group).median() < 1e-3


def test_terminations_agree(rollouts) -> None:
    assert torch.equal(rollouts[0]["terminated"], rollouts[1]["terminated"])


def test_sensors_that_cast_rays_are_refused_by_name() -> None:
    cfg = unitree_go1_flat_env_cfg()
    cfg.scene.num_envs = 1
    with use_simulation(NativeSimulation), pytest.raises(UserError, match="foot_height_scan"):
        ManagerBasedRlEnv(cfg, device="cpu")
