"""Linear predictions judged from second moments alone: no sample is kept."""

from __future__ import annotations

from collections.abc import Sequence

import torch

PENALTIES = tuple(10.0**exponent for exponent in range(-6, 1))
"""Ridge penalties to choose from, in units of an input's variance."""

_LEAST_VARIANCE = 1e-12
"""An input that varies less than this counts as constant."""


class Moments:
    """Second moments of some columns, in double precision.

    The first column is to be 1 everywhere, so that counts and sums are among them.

    Args:
        groups: Numbers of groups of samples that are kept apart, say halves and seeds.
        num_columns: Number of columns.
        device: Where they are summed up.
    """

    def __init__(self, groups: Sequence[int], num_columns: int, device: str) -> None:
        shape = (*groups, num_columns, num_columns)
        self.sums = torch.zeros(shape, dtype=torch.double, device=device)
        """Sums of products, shape (*groups, num_columns, num_columns)."""

    def add(self, group: tuple[int, ...], columns: torch.Tensor) -> None:
        """Take in samples of one group, shape (num_samples, num_columns)."""
        columns = columns.double()
        self.sums[group].addmm_(columns.T, columns)


def fit(
    moments: torch.Tensor, inputs: Sequence[int], targets: Sequence[int], penalty: float = 0.0
) -> torch.Tensor:
    """Ridge regression on standardised inputs with an intercept.

    Args:
        moments: Sums of products; column 0 is the constant 1. Shape (columns, columns).
        inputs: Columns to predict from; none of them: the mean is predicted.
        targets: Columns to predict.
        penalty: Penalty of a squared weight, in units of an input's variance.

    Returns:
        Weights of all columns, shape (columns, len(targets)).
    """
    inputs, targets = list(inputs), list(targets)
    mean = moments[0] / moments[0, 0]
    covariance = moments / moments[0, 0] - mean.outer(mean)
    weights = torch.zeros_like(moments[:, : len(targets)])
    if inputs:
        variance = covariance.diagonal()[inputs]
        is_constant = variance < _LEAST_VARIANCE
        # A constant input correlates with nothing and gets no weight.
        scale = torch.where(is_constant, torch.inf, variance.sqrt())
        correlation = covariance[inputs][:, inputs] / scale.outer(scale)
        correlation.diagonal().add_(penalty + is_constant.double())
        shared = covariance[inputs][:, targets] / scale[:, None]
        weights[inputs] = torch.linalg.solve(correlation, shared) / scale[:, None]
    weights[0] += mean[targets] - mean @ weights
    return weights


def fit_best(
    moments: torch.Tensor, judge: torch.Tensor, inputs: Sequence[int], targets: Sequence[int]
) -> torch.Tensor:
    """Ridge regression with the penalty that predicts best, each target for itself.

    Args:
        moments: Sums of products of the samples to fit to. Shape (columns, columns).
        judge: The same of other samples, on which the penalty is chosen.
        inputs: Columns to predict from.
        targets: Columns to predict.

    Returns:
        Weights after a fit to both, shape (columns, len(targets)).
    """
    errors = [
        mean_squared_error(judge, fit(moments, inputs, targets, penalty), targets)
        for penalty in PENALTIES
    ]
    fits = [fit(moments + judge, inputs, targets, penalty) for penalty in PENALTIES]
    best = torch.stack(errors).argmin(dim=0)
    return torch.stack(fits)[best, :, torch.arange(len(targets), device=best.device)].T


def mean_squared_error(
    moments: torch.Tensor, weights: torch.Tensor, targets: Sequence[int]
) -> torch.Tensor:
    """Error of linear predictions.

    Args:
        moments: Sums of products of the samples that judge. Shape (..., columns, columns).
        weights: Of all columns. Shape (columns, len(targets)).
        targets: Columns that were to be predicted.

    Returns:
        Shape (..., len(targets)).
    """
    residual = weights - selection(moments, targets)
    return (residual * (moments @ residual)).sum(dim=-2) / moments[..., 0, 0, None]


def selection(moments: torch.Tensor, columns: Sequence[int]) -> torch.Tensor:
    """Weights that give some columns as they are. Shape (columns, len(columns))."""
    num_columns = moments.shape[-1]
    return torch.eye(num_columns, dtype=moments.dtype, device=moments.device)[:, list(columns)]
