"""Settling times."""

from __future__ import annotations

import math

import pytest
import torch
from offset_believer import OffsetBeliever

from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.evaluation.arena import Arena, arena_env_cfg
from rl_sim_env.evaluation.step_response import (
    StepResponse,
    has_followed,
    load_step,
    settling_times,
    tared_errors,
)

DT = 0.02


def response(signal: torch.Tensor, begin: float) -> StepResponse:
    """A response of one seed, shape (num_steps,), to a true step of as much."""
    time = begin + DT * torch.arange(len(signal))
    step = signal[-1] - signal[0]
    return StepResponse(
        time=time,
        truth=(step * (time >= 0.0))[None],
        means=signal[None],
        spread=torch.zeros(1, len(signal)),
        followed=torch.ones(1),
        settled=torch.zeros(1, 2),
        errors=torch.zeros(1, 2),
        robots=1,
    )


def test_a_first_order_lag_settles_after_its_time_constant_times_log_ten():
    time = -2.0 + DT * torch.arange(800)
    lag = torch.where(time < 0.0, 1.0, 1.0 + 6.0 * (1.0 - torch.exp(-time / 0.8)))
    found = response(lag, begin=-2.0)
    assert float(found.step) == pytest.approx(6.0, rel=1e-3)
    assert float(found.settling_times()) == pytest.approx(0.8 * math.log(10.0), abs=DT)


def test_what_leaves_the_band_again_has_not_settled():
    signal = torch.cat((torch.zeros(100), torch.ones(300)))
    signal[200] = 0.5  # two seconds after the step
    found = response(signal, begin=-2.0)
    assert float(found.settling_times()) == pytest.approx(2.0 + DT, abs=1e-4)


def test_noise_before_the_step_does_not_count():
    signal = torch.cat((torch.zeros(100), torch.ones(300)))
    signal[20] = 5.0
    assert float(response(signal, begin=-2.0).settling_times()) == 0.0


def test_without_a_robot_left_there_is_no_settling_time():
    signal = torch.ones(400)
    signal[300:] = torch.nan
    assert response(signal, begin=-2.0).settling_times().isnan().all()


def test_each_signal_settles_for_itself():
    time = -2.0 + DT * torch.arange(400)
    late = [0.0, 0.5, 3.0]
    signals = torch.stack([(time >= begin).float() for begin in late])
    # The mean of the three is near its final value only when the last one is.
    assert settling_times(signals, time, torch.full((3,), 0.1)).tolist() == pytest.approx(late)


def test_a_tare_takes_off_what_was_wrong_before_the_step():
    time = -2.0 + DT * torch.arange(400)
    # One robot believes all along that it is 2 kg heavier; the other is wrong by 1 kg under load.
    errors = torch.stack((torch.full_like(time, 2.0), (time >= 0.0).float()))
    found = tared_errors(errors, time)
    assert found.tolist() == pytest.approx([math.sqrt((4.0 + 1.0) / 2.0), math.sqrt(1.0 / 2.0)])


@pytest.mark.parametrize(
    ("rise", "follows"), [(3.1, True), (2.9, False), (0.0, False), (-6.0, False)]
)
def test_an_estimate_follows_that_moves_by_half_of_the_step_with_it(rise, follows):
    time = -2.0 + DT * torch.arange(400)
    after = (time >= 0.0).float()
    for step in (6.0, -6.0):
        assert bool(has_followed(rise * after * step / 6.0, step * after, time)) == follows


def test_a_mass_that_is_always_guessed_alike_neither_follows_nor_settles(make_env):
    vec_env = AmpVaeVecEnv(make_env(4, edit=arena_env_cfg))

    class Constant(OffsetBeliever):
        def __call__(self, observations, memory, p_boot=1.0):
            output = super().__call__(observations, memory, p_boot)
            output.estimate["mass"].fill_(3.0)
            return output

    policy = Constant(vec_env.observation_layout, vec_env.num_actions)
    found = load_step(Arena(vec_env, policy), (0,), before=0.0, after=6.0)
    assert found.step.tolist() == [0.0] and found.followed.tolist() == [0.0]
    assert found.settling_times().isnan().all() and found.settled.isnan().all()
