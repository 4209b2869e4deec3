"""Managers of our own do what mjlab's do."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from mjlab.managers.reward_manager import RewardManager, RewardTermCfg

from rl_sim_env.envs.managers import DeviceRewardManager

DT = 0.02
VALUES = {
    "a": torch.tensor([1.0, 2.0, 3.0]),
    "broken": torch.tensor([math.nan, 1.0, math.inf]),
    "flag": torch.tensor([True, False, True]),
    "off": torch.tensor([5.0, 5.0, 5.0]),
}
WEIGHTS = {"a": 2.0, "broken": -1.0, "flag": 0.5, "off": 0.0}


def both_managers(scale_by_dt: bool) -> tuple[RewardManager, RewardManager]:
    env = SimpleNamespace(num_envs=3, device="cpu", max_episode_length_s=20.0, scene={})
    cfg = {
        name: RewardTermCfg(func=lambda env, value=value: value, weight=WEIGHTS[name])
        for name, value in VALUES.items()
    }
    return tuple(
        kind(cfg, env, scale_by_dt=scale_by_dt) for kind in (DeviceRewardManager, RewardManager)
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
