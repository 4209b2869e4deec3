from __future__ import annotations

import pytest
import torch

from rl_sim_env.learning.estimate_cfg import velocity_mass_com
from rl_sim_env.learning.estimation import EstimationTargets
from rl_sim_env.learning.layout import GroupLayout, ObservationLayout, TermLayout

TERMS = {
    "base_lin_vel": TermLayout(name="base_lin_vel", width=3, scale=2.0),
    "height_scan": TermLayout(name="height_scan", width=4, scale=5.0),
    "random_com": TermLayout(name="random_com", width=3, scale=5.0),
    "random_mass": TermLayout(name="random_mass", width=1, scale=0.2),
}
SI = {
    "base_lin_vel": torch.tensor([[1.0, -0.5, 0.1]]),
    "height_scan": torch.zeros(1, 4),
    "random_com": torch.tensor([[0.02, -0.01, 0.1]]),
    "random_mass": torch.tensor([[3.0]]),
}


def _observe(order: tuple[str, ...]) -> tuple[EstimationTargets, dict[str, torch.Tensor]]:
    groups = {"critic_obs": GroupLayout(terms=tuple(TERMS[name] for name in order))}
    observed = torch.cat([SI[name] * torch.tensor(TERMS[name].scales) for name in order], dim=-1)
    layout = ObservationLayout(groups=groups)
    return EstimationTargets(layout, velocity_mass_com()), {"critic_obs": observed}


def test_code_is_normalised_as_documented() -> None:
    targets, observed = _observe(tuple(TERMS))
    code = targets.split(targets.truth(observed))
    torch.testing.assert_close(code.velocity, 2.0 * SI["base_lin_vel"])
    torch.testing.assert_close(code.mass, 0.2 * SI["random_mass"])
    torch.testing.assert_close(code.com, 50.0 * SI["random_com"])


def test_code_does_not_depend_on_the_order_of_terms() -> None:
    codes = []
    for order in (tuple(TERMS), tuple(reversed(TERMS))):
        targets, observed = _observe(order)
        codes.append(targets.truth(observed))
    assert torch.equal(codes[0], codes[1])


def test_si_units_come_back() -> None:
    targets, observed = _observe(tuple(TERMS))
    estimate = targets.to_si(targets.truth(observed))
    torch.testing.assert_close(estimate.velocity, SI["base_lin_vel"])
    torch.testing.assert_close(estimate.mass, SI["random_mass"])
    torch.testing.assert_close(estimate.com, SI["random_com"])


def test_rmse_is_the_length_of_the_error_in_si_units() -> None:
    targets, observed = _observe(tuple(TERMS))
    wrong = {"critic_obs": observed["critic_obs"].clone()}
    wrong["critic_obs"][:, 0] += 2.0 * 0.3  # 0.3 m/s along x
    wrong["critic_obs"][:, 1] += 2.0 * 0.4  # 0.4 m/s along y
    wrong["critic_obs"][:, -1] += 0.2 * 1.5  # 1.5 kg
    wrong["critic_obs"][:, 7] += 5.0 * 0.02  # 2 cm
    error = targets.truth(wrong) - targets.truth(observed)
    rmse = targets.rmse(error.square().mean(dim=0))
    expected = {"velocity": 0.5, "mass": 1.5, "com": 0.02}
    assert {name: error.item() for name, error in rmse.items()} == pytest.approx(expected)


def test_a_quantity_that_is_not_estimated_is_named() -> None:
    targets, observed = _observe(tuple(TERMS))
    estimate = targets.to_si(targets.truth(observed))
    with pytest.raises(AttributeError, match="'friction' is not estimated; velocity, mass, com"):
        _ = estimate.friction
