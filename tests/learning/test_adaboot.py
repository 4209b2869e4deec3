from __future__ import annotations

import math

import pytest
import torch

from rl_sim_env.errors import UserError
from rl_sim_env.learning.adaboot import AdaBoot
from rl_sim_env.learning.config import AdaBootCfg
from rl_sim_env.learning.episodes import EpisodeSums, ReturnMeter


def _adaboot(num_envs: int = 4, **settings: float) -> AdaBoot:
    return AdaBoot(num_envs, AdaBootCfg(**settings), "cpu")  # type: ignore[arg-type]


def _sums(returns: torch.Tensor) -> EpisodeSums:
    count = len(returns)
    return EpisodeSums(count, returns.sum().item(), returns.square().sum().item(), count)


def test_p_follows_the_variation_of_returns() -> None:
    adaboot = _adaboot(window=1)
    returns = 5.0 + torch.randn(500, generator=torch.Generator().manual_seed(0)).double() * 4.0
    adaboot.observe(_sums(returns))
    variation = returns.std(correction=0).item() / returns.mean().item()
    assert adaboot.p == pytest.approx(1.45 * (1.0 - math.tanh(variation)))


def test_steady_returns_give_estimates_and_scattered_returns_the_truth() -> None:
    for returns, p in ((torch.full((40,), 3.0), 1.0), (torch.tensor([1.0, -1.0] * 20), 0.0)):
        adaboot = _adaboot(window=1)
        adaboot.observe(_sums(returns))
        assert adaboot.p == p


def test_p_is_averaged_over_the_window() -> None:
    adaboot = _adaboot(window=4)
    for expected in (0.25, 0.5, 0.75, 1.0, 1.0):
        adaboot.observe(_sums(torch.full((30,), 2.0)))
        assert adaboot.p == expected


def test_few_episodes_wait_for_more() -> None:
    adaboot = _adaboot(window=1, min_episodes=30)
    adaboot.observe(_sums(torch.full((20,), 2.0)))
    assert adaboot.p == 0.0
    adaboot.observe(_sums(torch.full((20,), 2.0)))
    assert adaboot.p == 1.0


def test_schedule_raises_p_to_one_for_the_last_part() -> None:
    adaboot = _adaboot(final_fraction=0.4, ramp_fraction=0.2)
    ps = []
    for fraction in (0.0, 0.4, 0.5, 0.6, 0.8, 1.0):
        adaboot.set_progress(fraction)
        ps.append(adaboot.p)
    assert ps == pytest.approx([0.0, 0.0, 0.5, 1.0, 1.0, 1.0])
    adaboot.set_progress(0.1)
    assert adaboot.p == 1.0, "a prolonged training must not fall back to the truth"


def test_draw_holds_for_an_episode_and_only_ended_ones_are_drawn_anew() -> None:
    torch.manual_seed(0)
    adaboot = _adaboot(num_envs=1000)
    adaboot.set_progress(0.5)
    adaboot.redraw(torch.ones(1000))
    drawn = adaboot.uses_estimate.clone()
    assert 400 < drawn.sum() < 600
    adaboot.redraw(torch.zeros(1000))
    assert torch.equal(adaboot.uses_estimate, drawn)
    ended = torch.arange(1000) % 2
    adaboot.redraw(ended)
    changed = adaboot.uses_estimate != drawn
    assert changed[ended == 1].any()
    assert not changed[ended == 0].any()


def test_everything_is_restored() -> None:
    torch.manual_seed(0)
    adaboot, restored = _adaboot(window=3), _adaboot(window=3)
    adaboot.observe(_sums(torch.full((30,), 2.0)))
    adaboot.observe(_sums(torch.full((29,), 2.0)))
    adaboot.set_progress(0.45)
    restored.load_state_dict(adaboot.state_dict())
    assert restored.p == adaboot.p
    for each in (adaboot, restored):
        each.observe(_sums(torch.full((1,), 2.0)))
    assert restored.p == adaboot.p == pytest.approx(2.0 / 3.0)


def test_meter_sums_returns_and_lengths_of_finished_episodes() -> None:
    meter = ReturnMeter(2, "cpu")
    rewards = torch.tensor([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0], [4.0, 40.0]])
    dones = torch.tensor([[0, 0], [0, 1], [1, 0], [0, 1]])
    # Episodes go on from one rollout to the next.
    for steps in (slice(0, 1), slice(1, 4)):
        meter.add(rewards[steps], dones[steps])
    returns = torch.tensor([6.0, 30.0, 70.0])
    expected = EpisodeSums(3, returns.sum().item(), returns.square().sum().item(), 3 + 2 + 2)
    assert EpisodeSums(*meter.sums.tolist()) == expected


def test_returns_and_lengths_of_different_numbers_of_robots_are_refused() -> None:
    state = ReturnMeter(2, "cpu").state_dict()
    with pytest.raises(UserError, match=r"episodes\.lengths"):
        ReturnMeter(2, "cpu").load_state_dict({**state, "lengths": torch.zeros(1)})


@pytest.mark.parametrize(("name", "value"), [("floor", -3.0), ("measured", [0.5, 1.5])])
def test_saved_probabilities_that_are_none_are_refused(name: str, value: object) -> None:
    saved = _adaboot().state_dict()
    with pytest.raises(UserError, match=rf"adaboot\.{name} is .*; it must be between 0 and 1"):
        _adaboot().load_state_dict({**saved, name: value})


@pytest.mark.parametrize(
    "sums", [(0.0, -1e30, 0.0, 0.0), (2.0, 5.0, 12.0, 100.0), (1.5, 0.0, 0.0, 100.0)]
)
def test_saved_sums_of_no_episodes_are_refused(sums: tuple[float, ...]) -> None:
    saved = _adaboot().state_dict()
    with pytest.raises(UserError, match=r"adaboot\.pending is .*; it must be the sums of episodes"):
        _adaboot().load_state_dict({**saved, "pending": list(sums)})
