"""Managers of our own do what mjlab's do."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from mjlab.managers.reward_manager import RewardManager, RewardTermCfg

from rl_sim_env.envs.managers import DeviceRewardManager
from rl_sim_env.learning.reward_faults import REWARD_FAULTS

DT = 0.02
VALUES = {
    "a": torch.tensor([1.0, 2.0, 3.0]),
    "broken": torch.tensor([math.nan, 1.0, math.inf]),
    "flag": torch.tensor([True, False, True]),
    "off": torch.tensor([5.0, 5.0, 5.0]),
}
WEIGHTS = {"a": 2.0, "broken": -1.0, "flag": 0.5, "off": 0.0}
ENV = SimpleNamespace(num_envs=3, num_robots=3, device="cpu", max_episode_length_s=20.0, scene={})


def terms(values: dict[str, torch.Tensor]) -> dict[str, RewardTermCfg]:
    return {
        name: RewardTermCfg(func=lambda env, value=value: value, weight=WEIGHTS.get(name, 1.0))
        for name, value in values.items()
    }


def both_managers(scale_by_dt: bool) -> tuple[DeviceRewardManager, RewardManager]:
    return (
        DeviceRewardManager(terms(VALUES), ENV, scale_by_dt=scale_by_dt, largest=1e6),
        RewardManager(terms(VALUES), ENV, scale_by_dt=scale_by_dt),
    )


@pytest.mark.parametrize("scale_by_dt", (True, False))
def test_rewards_and_their_sums_are_those_of_mjlab(scale_by_dt):
    ours, theirs = both_managers(scale_by_dt)
    for _ in range(2):
        torch.testing.assert_close(ours.compute(DT), theirs.compute(DT))
    torch.testing.assert_close(ours._step_reward, theirs._step_reward)
    for manager in (ours, theirs):
        manager.reset(torch.tensor([0, 2]))
    for name, total in theirs._episode_sums.items():
        torch.testing.assert_close(ours._episode_sums[name], total)
    assert ours._episode_sums["a"][1] != 0.0


def test_a_changed_weight_counts_from_the_next_step():
    ours, theirs = both_managers(scale_by_dt=True)
    for manager in (ours, theirs):
        manager.compute(DT)
        manager.get_term_cfg("off").weight = 1.0
    torch.testing.assert_close(ours.compute(DT), theirs.compute(DT))


def test_faults_are_counted_by_term_until_they_are_read():
    values = VALUES | {"absurd": torch.tensor([-2e6, 1e6, 0.0])}
    manager = DeviceRewardManager(terms(values), ENV, largest=1e6)
    assert manager.read_faults() == {}
    for _ in range(2):
        reward = manager.compute(DT)
    torch.testing.assert_close(reward, DT * torch.tensor([2.5, 1e6 + 3.0, 6.5]))
    counts = {"a": 0, "broken": 4, "flag": 0, "off": 0, "absurd": 2}
    faults = {f"{REWARD_FAULTS}{name}": (count, 6) for name, count in counts.items()}
    assert manager.read_faults() == faults
    manager.compute(DT)
    assert manager.read_faults()[f"{REWARD_FAULTS}broken"] == (2, 3)


def test_broken_physics_is_no_fault_of_the_terms_and_pays_nothing():
    manager = DeviceRewardManager(terms(VALUES), ENV, largest=1e6)
    reward = manager.compute_where(torch.tensor([False, True, True]), DT)
    assert reward[0] == 0.0 and (reward[1:] != 0.0).all()
    assert manager.read_faults()[f"{REWARD_FAULTS}broken"] == (1, 2)


def test_the_spare_environment_is_not_looked_at():
    env = SimpleNamespace(**{**vars(ENV), "num_robots": 2})
    manager = DeviceRewardManager(terms(VALUES), env, largest=1e6)
    manager.compute(DT)
    assert manager.read_faults()[f"{REWARD_FAULTS}broken"] == (1, 2)
