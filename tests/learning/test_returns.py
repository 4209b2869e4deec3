from __future__ import annotations

import pytest
import torch

from rl_sim_env.learning.returns import generalized_returns

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
