"""Gaussians of touchdowns that are as wide as what they are learned from."""

from __future__ import annotations

import pytest
import torch

from rl_sim_env.learning.foothold_predictor import (
    Foothold,
    FootholdPredictor,
    expected,
    likelihood_loss,
)
from rl_sim_env.learning.footholds_cfg import FootholdsCfg
from rl_sim_env.learning.footing import Footing

FEET = 2


def feet_at_origin(num: int) -> Footing:
    zeros = torch.zeros(num)
    xy = torch.zeros(num, FEET, 2)
    return Footing(xy, xy[..., 0] > 0, xy[:, 0], zeros, zeros, zeros == 0)


def test_deviations_are_those_of_a_known_gaussian():
    torch.manual_seed(0)
    predictor = FootholdPredictor(1, FEET, FootholdsCfg(hidden_dims=(32,)))
    optimizer = torch.optim.Adam(predictor.parameters(), lr=5e-3)
    feet = feet_at_origin(2048)

    def draw() -> tuple[torch.Tensor, torch.Tensor]:
        seen = torch.rand(2048, 1)
        # The second foot is twice as hard to tell, both the more the greater what is seen.
        sigma = (0.02 + 0.04 * seen) * torch.tensor([1.0, 2.0])
        mean = torch.stack((seen * 0.2, 0.1 - seen * 0.1), dim=-1)
        return seen, mean + sigma[..., None] * torch.randn(2048, FEET, 2)

    for _ in range(400):
        seen, xy = draw()
        loss = likelihood_loss(predictor(seen, feet), xy, torch.ones(2048, FEET))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    seen, xy = draw()
    with torch.no_grad():
        found = predictor(seen, feet)
    distance = (xy - found.mean).norm(dim=-1)
    for sigmas, share in ((1.0, 0.393), (2.0, 0.865)):
        inside = (distance <= sigmas * found.sigma).float().mean(dim=0)
        assert inside.tolist() == pytest.approx([share] * FEET, abs=0.05)
    middle = found.sigma[(seen > 0.45).flatten() & (seen < 0.55).flatten()].mean(dim=0)
    assert middle.tolist() == pytest.approx([0.04, 0.08], rel=0.15)


def test_what_is_not_known_teaches_nothing():
    predictor = FootholdPredictor(1, FEET, FootholdsCfg(hidden_dims=(8,)))
    feet, seen = feet_at_origin(4), torch.zeros(4, 1)
    xy = torch.full((4, FEET, 2), 1e6)
    likelihood_loss(predictor(seen, feet), xy, torch.zeros(4, FEET)).backward()
    assert all(not each.grad.any() for each in predictor.parameters() if each.grad is not None)


def test_predictions_move_with_the_foot():
    predictor = FootholdPredictor(1, FEET, FootholdsCfg(hidden_dims=(8,)))
    for parameter in predictor.parameters():
        torch.nn.init.zeros_(parameter)
    feet = feet_at_origin(3)
    feet = feet._replace(foot_xy=torch.randn(3, FEET, 2))
    assert torch.equal(predictor(torch.zeros(3, 1), feet).mean, feet.foot_xy)


def test_expectation_of_a_half_plane_is_a_half_and_of_a_plane_its_middle():
    foothold = Foothold(torch.tensor([[[0.3, -0.2]]]), torch.tensor([[0.05]]))
    linear = expected(lambda xy: 2.0 * xy[..., 0] - xy[..., 1], foothold)
    assert linear.item() == pytest.approx(0.8)
    far = expected(lambda xy: (xy[..., 0] > 0.5).float(), foothold)
    assert far.item() == 0.0
    near = expected(lambda xy: (xy[..., 0] > 0.31).float(), foothold)
    assert 0.2 < near.item() < 0.5
