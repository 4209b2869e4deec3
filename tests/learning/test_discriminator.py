from __future__ import annotations

import torch

from rl_sim_env.learning.config import AmpCfg
from rl_sim_env.learning.discriminator import Discriminator

WIDTH = 3


def _discriminator(**settings: float) -> Discriminator:
    torch.manual_seed(0)
    return Discriminator(WIDTH, AmpCfg(hidden_dims=(32, 16), **settings))  # type: ignore[arg-type]


def test_style_reward_is_one_at_the_expert_target_and_zero_at_the_policy_target() -> None:
    discriminator = _discriminator()
    states = torch.randn(2, 4, WIDTH)
    torch.nn.init.zeros_(discriminator.head.weight)
    for score, reward in ((1.0, 1.0), (0.0, 0.75), (-1.0, 0.0), (-2.0, 0.0), (2.0, 0.75)):
        torch.nn.init.constant_(discriminator.head.bias, score)
        torch.testing.assert_close(discriminator.style_reward(*states), torch.full((4,), reward))


def test_learns_to_tell_transitions_apart_that_share_their_states() -> None:
    discriminator = _discriminator(gradient_penalty=0.1)
    optimizer = discriminator.make_optimizer()
    for group in optimizer.param_groups:
        group["lr"] = 3e-3
    state, step = torch.randn(256, WIDTH), torch.full((256, WIDTH), 0.5)
    expert, policy = (state, state + step), (state, state - step)
    discriminator.update_normalizer(policy, expert)
    for _ in range(150):
        loss = discriminator.loss(
            discriminator.normalize(policy), discriminator.normalize(expert)
        ).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert discriminator.style_reward(*expert).mean() > 0.8
    assert discriminator.style_reward(*policy).mean() < 0.3


def test_normaliser_sees_both_states_of_a_pair() -> None:
    discriminator = _discriminator()
    first, second = torch.randn(50, WIDTH), torch.randn(50, WIDTH) + 10.0
    discriminator.update_normalizer((first, second))
    both = torch.cat((first, second)).double()
    torch.testing.assert_close(discriminator.normalizer.mean, both.mean(dim=0))
    torch.testing.assert_close(discriminator.normalizer.var, both.var(dim=0, correction=0))


def test_scoring_leaves_the_normaliser_alone() -> None:
    discriminator = _discriminator()
    before = {k: v.clone() for k, v in discriminator.state_dict().items()}
    discriminator.style_reward(torch.randn(4, WIDTH), torch.randn(4, WIDTH))
    torch.testing.assert_close(discriminator.state_dict(), before, rtol=0, atol=0)
    assert "normalizer.mean" in before


def test_gradient_penalty_is_the_squared_slope_at_expert_pairs() -> None:
    discriminator = _discriminator()
    policy, expert = torch.randn(2, 8, 2 * WIDTH)
    losses = discriminator.loss(policy, expert)
    step = 1e-3 * torch.eye(2 * WIDTH)
    slopes = [(discriminator(expert + d) - discriminator(expert - d)) / 2e-3 for d in step]
    expected = torch.stack(slopes).square().sum(dim=0).mean()
    torch.testing.assert_close(losses.scalars["Loss/grad_pen_loss"], expected, rtol=1e-2, atol=1e-6)
