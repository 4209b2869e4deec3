from __future__ import annotations

import pytest
import torch

from rl_sim_env.learning.config import AmpVaePpoCfg
from rl_sim_env.learning.returns import generalized_returns, returns_beyond
from rl_sim_env.learning.rollout import Rollout

T, N = 5, 3


def returns_of(continuations: torch.Tensor, lam: float) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(0)
    rewards, values, last = torch.randn(T, N), torch.randn(T, N), torch.randn(N)
    found = generalized_returns(rewards, values, last, continuations, gamma=0.9, lam=lam)
    return rewards, values, last, found


def test_with_lambda_one_it_is_the_discounted_sum_up_to_the_end_of_the_episode() -> None:
    continuations = torch.ones(T, N)
    continuations[2, 1] = 0.0
    rewards, _, last, found = returns_of(continuations, lam=1.0)
    whole = sum(0.9**t * rewards[t] for t in range(T)) + 0.9**T * last
    torch.testing.assert_close(found[0, ::2], whole[::2])
    torch.testing.assert_close(found[0, 1], sum(0.9**t * rewards[t, 1] for t in range(3)))


def test_with_lambda_zero_it_looks_one_step_ahead() -> None:
    rewards, values, last, found = returns_of(torch.ones(T, N), lam=0.0)
    torch.testing.assert_close(found, rewards + 0.9 * torch.cat((values[1:], last[None])))


@pytest.mark.parametrize("lam", [0.0, 0.95])
def test_an_episode_that_ends_with_a_probability_discounts_what_follows(lam: float) -> None:
    halved = returns_of(torch.full((T, N), 0.5), lam)[-1]
    torch.manual_seed(0)
    rewards, values, last = torch.randn(T, N), torch.randn(T, N), torch.randn(N)
    expected = generalized_returns(rewards, values, last, torch.ones(T, N), gamma=0.45, lam=lam)
    torch.testing.assert_close(halved, expected)


def test_beyond_some_ends_the_critic_says_what_would_have_come() -> None:
    rollout = Rollout(num_envs=2, num_steps=2, device="cpu")
    rollout.put("next_seen", torch.tensor([[[3.0], [5.0]], [[7.0], [11.0]]]))
    # Both episodes end with the first step; only the second one's counts on.
    found = returns_beyond(
        torch.tensor([[False, True], [False, False]]),
        rollout,
        lambda observations: observations["seen"].squeeze(-1),
        {"seen": torch.tensor([[100.0], [100.0]])},
        rewards=torch.ones(2, 2),
        values=torch.zeros(2, 2),
        continuations=torch.tensor([[0.0, 0.0], [1.0, 1.0]]),
        groups=("seen",),
        ppo=AmpVaePpoCfg(gamma=0.5, lam=1.0),
    )
    torch.testing.assert_close(found, torch.tensor([[1.0, 1.0 + 0.5 * 5.0], [51.0, 51.0]]))
