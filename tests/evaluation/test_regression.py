"""Linear predictions from second moments."""

from __future__ import annotations

import pytest
import torch

from rl_sim_env.evaluation.regression import Moments, fit, fit_best, mean_squared_error, selection

SAMPLES = 400
INPUTS, TARGETS = range(1, 4), range(4, 6)
WEIGHTS = torch.tensor([[2.0, 0.0], [-1.0, 0.5], [0.0, 3.0]], dtype=torch.double)
OFFSETS = torch.tensor([0.7, -4.0], dtype=torch.double)


def columns(seed: int, *, noise: float = 0.0, samples: int = SAMPLES) -> torch.Tensor:
    """A 1, inputs of different scales, far from zero mean, and targets linear in them."""
    draw = torch.Generator().manual_seed(seed)
    scales = torch.tensor([1.0, 100.0, 0.01], dtype=torch.double)
    inputs = 5.0 + scales * torch.randn(samples, 3, generator=draw, dtype=torch.double)
    targets = inputs @ WEIGHTS + OFFSETS
    targets += noise * torch.randn(samples, 2, generator=draw, dtype=torch.double)
    return torch.cat((torch.ones(samples, 1), inputs, targets), dim=1)


def moments(seed: int, *, noise: float = 0.0, samples: int = SAMPLES) -> torch.Tensor:
    """Moments of these columns, taken in piece by piece."""
    summed = Moments((1,), 6, "cpu")
    for rows in columns(seed, noise=noise, samples=samples).split(7):
        summed.add((0,), rows)
    return summed.sums[0]


def test_a_linear_truth_is_found():
    weights = fit(moments(0), INPUTS, TARGETS)
    assert torch.allclose(weights[1:4], WEIGHTS, atol=1e-6)
    assert torch.allclose(weights[0], OFFSETS, atol=1e-4)
    assert (weights[4:] == 0.0).all()


@pytest.mark.parametrize("penalty", [0.0, 0.01, 1.0])
def test_fit_is_the_least_squares_of_penalised_standardised_inputs(penalty):
    samples = columns(0, noise=0.5)
    inputs, targets = samples[:, 1:4], samples[:, 4:]
    std = inputs.std(dim=0, correction=0)
    # A penalty is a further row for each input, which asks for a weight of 0.
    rows = torch.cat(
        ((inputs - inputs.mean(dim=0)) / std, (SAMPLES * penalty) ** 0.5 * torch.eye(3))
    )
    wanted = torch.cat((targets - targets.mean(dim=0), torch.zeros(3, 2)))
    expected = torch.linalg.lstsq(rows, wanted).solution / std[:, None]

    weights = fit(moments(0, noise=0.5), INPUTS, TARGETS, penalty)

    assert torch.allclose(weights[1:4], expected, rtol=1e-6)


def test_error_is_that_on_the_samples_that_judge():
    weights = fit(moments(0), INPUTS, TARGETS)
    error = mean_squared_error(moments(1, noise=0.3, samples=20_000), weights, TARGETS)
    assert error.sqrt().tolist() == pytest.approx([0.3, 0.3], rel=0.03)


def test_without_inputs_the_mean_is_predicted():
    known = moments(0)
    error = mean_squared_error(known, fit(known, [], TARGETS), TARGETS)
    mean = known[0, 4:] / known[0, 0]
    variance = known.diagonal()[4:] / known[0, 0] - mean.square()
    assert torch.allclose(error, variance)


def test_a_constant_input_gets_no_weight():
    known = moments(0)
    known = torch.cat((known, 3.0 * known[:1]))
    known = torch.cat((known, 3.0 * known[:, :1]), dim=1)
    weights = fit(known, [1, 2, 3, 6], TARGETS)
    assert torch.allclose(weights[1:4], WEIGHTS, atol=1e-6)
    assert (weights[6] == 0.0).all()


def test_the_penalty_that_predicts_best_is_chosen():
    # Pure noise: whatever is fitted to few samples predicts others badly.
    draw = torch.Generator().manual_seed(0)
    parts = Moments((3,), 32, "cpu")
    for part in range(3):
        noise = torch.randn(40, 32, generator=draw)
        noise[:, 0] = 1.0
        parts.add((part,), noise)
    train, choose, judge = parts.sums
    inputs, targets = range(1, 31), [31]
    best = fit_best(train, choose, inputs, targets)
    unpenalised = fit(train + choose, inputs, targets)
    assert mean_squared_error(judge, best, targets) < mean_squared_error(
        judge, unpenalised, targets
    )


def test_selected_columns_are_predictions_too():
    known = moments(0, noise=0.5)
    exact = mean_squared_error(known, selection(known, TARGETS), TARGETS)
    assert exact.tolist() == [0.0, 0.0]
