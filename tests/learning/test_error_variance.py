"""Variances of the estimates: calibrated, and without any say in the estimates themselves."""

from __future__ import annotations

import pytest
import torch
from parts import estimator_of
from tensordict import TensorDict
from toy_env import ToyEnv, ToyExpert, toy_cfg, toy_layout

from rl_sim_env.cli.options import POLICIES
from rl_sim_env.conventions import leaves_range
from rl_sim_env.learning.checkpoint import Checkpoint, resolve_checkpoint
from rl_sim_env.learning.config import ContextVaeCfg
from rl_sim_env.learning.error_variance import ErrorVariance
from rl_sim_env.learning.estimation import EstimationTargets
from rl_sim_env.learning.layout import ObservationLayout
from rl_sim_env.learning.policy import AmpVaePolicy
from rl_sim_env.learning.runner import AmpVaeRunner

LOG_RANGE = (-12.0, 4.0)


def trained(variance_weight: float, mirror_loss_coef: float) -> AmpVaeRunner:
    torch.manual_seed(0)
    cfg = toy_cfg()
    cfg.vae.variance_weight = variance_weight
    cfg.algorithm.mirror_loss_coef = mirror_loss_coef
    runner = AmpVaeRunner(ToyEnv(), cfg, ToyExpert(), None, task_id="Toy-v0")
    runner.learn(3)
    return runner


@pytest.mark.parametrize("mirror_loss_coef", [0.0, 0.5])
def test_nothing_else_is_changed_by_them_to_the_bit(mirror_loss_coef: float) -> None:
    without, with_them = (trained(weight, mirror_loss_coef) for weight in (0.0, 1e3))
    states = [runner.alg.save()["learners"] for runner in (without, with_them)]
    for learner, state in states[0].items():
        for network, tensors in state["modules"].items():
            for name, value in tensors.items():
                assert torch.equal(states[1][learner]["modules"][network][name], value), name
    policy = without.alg.get_inference_policy()
    assert policy.trained_range() is None
    obs = ToyEnv().get_observations()
    assert policy(obs, policy.initial_memory(8)).std is None


def noisy(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Features, and truths about an estimate of zero, off by what the first feature says."""
    features = torch.rand(count, 3)
    spread = torch.stack((0.02 + features[:, 0], torch.full((count,), 0.3)), dim=-1)
    return features, torch.zeros(count, 2), spread * torch.randn(count, 2)


def test_95_percent_of_truths_are_within_the_interval_wherever_the_noise_is_large_or_small() -> (
    None
):
    torch.manual_seed(0)
    variance = ErrorVariance(3, 2, LOG_RANGE)
    optimizer = torch.optim.Adam(variance.parameters(), lr=1e-2)
    for _ in range(1500):
        loss, _ = variance.loss(*noisy(512))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    features, estimate, truth = noisy(100_000)
    _, covered = variance.loss(features, estimate, truth)
    assert ((covered > 0.93) & (covered < 0.97)).all(), covered
    for quiet in (features[:, 0] < 0.5, features[:, 0] > 0.5):
        _, covered = variance.loss(features[quiet], estimate[quiet], truth[quiet])
        assert ((covered > 0.93) & (covered < 0.97)).all(), covered
    std = torch.exp(0.5 * variance(torch.tensor([[0.2, 0.5, 0.5], [0.8, 0.5, 0.5]])))
    torch.testing.assert_close(std[:, 0], torch.tensor([0.22, 0.82]), rtol=0.15, atol=0.0)


def test_they_stay_within_their_limits() -> None:
    variance = ErrorVariance(1, 2, LOG_RANGE)
    torch.nn.init.constant_(variance.head.weight, 1e6)
    extremes = variance(torch.tensor([[-1.0], [1.0]]))
    assert extremes.tolist() == [[LOG_RANGE[0]] * 2, [LOG_RANGE[1]] * 2]


def test_neither_features_nor_estimates_feel_their_loss() -> None:
    variance = ErrorVariance(3, 2, LOG_RANGE)
    features, estimate = torch.rand(4, 3, requires_grad=True), torch.rand(4, 2, requires_grad=True)
    loss, _ = variance.loss(features, estimate, torch.zeros(4, 2))
    loss.backward()
    assert features.grad is None and estimate.grad is None
    assert variance.head.bias.grad is not None and variance.head.bias.grad.any()


def test_training_remembers_between_which_values_the_truth_was() -> None:
    runner = trained(1.0, 0.0)
    ranges = runner.alg.get_inference_policy().trained_range()
    assert ranges is not None
    least, greatest = ranges["mass"].flatten().tolist()
    # Eight robots draw masses up to 6 kg anew after 20 steps at the latest.
    assert 0.0 <= least < 2.0 and 4.0 < greatest <= 6.0
    variance = estimator_of(runner.alg).estimator.variance
    assert variance is not None
    before = variance.seen()
    variance.see(variance.least + 0.5 * (variance.greatest - variance.least))
    assert torch.equal(variance.seen(), before), "a range never shrinks"


def test_deviations_are_in_si_units() -> None:
    layout = toy_layout()
    targets = EstimationTargets(layout, ContextVaeCfg().estimated())
    std = targets.std_in_si(torch.zeros(targets.width))
    scale, com = layout.term("critic_obs", "random_mass"), layout.term("critic_obs", "random_com")
    assert std["mass"].item() == pytest.approx(1.0 / scale.scales[0])
    assert std["com"].tolist() == pytest.approx([1.0 / (10.0 * com.scales[0])] * 3)


@pytest.mark.parametrize(
    ("mean", "std", "leaves"),
    [(4.0, 0.5, False), (5.5, 0.5, True), (5.9, 0.01, False), (0.5, 0.5, True), (8.0, 0.01, True)],
)
def test_an_interval_leaves_the_range_at_either_end(mean: float, std: float, leaves: bool) -> None:
    assert leaves_range(mean, std, 0.0, 6.0) == leaves


@pytest.mark.parametrize(("robot", "tells"), [("grq20_v2d3", True), ("go1", False)])
def test_policies_of_the_checkout_play_with_and_without(robot: str, tells: bool) -> None:
    path = resolve_checkpoint(root=POLICIES / robot)
    checkpoint = Checkpoint.load(path)
    cfg = checkpoint.runner_cfg(path)
    layout = ObservationLayout.from_dict(checkpoint.layout)
    policy = AmpVaePolicy.from_saved(checkpoint.algorithm, layout, 12, cfg, "cpu", path)
    assert (policy.trained_range() is not None) == tells
    obs = {name: torch.zeros(1, layout.width(name)) for name in layout.groups}
    output = policy(TensorDict(obs, batch_size=[1]), policy.initial_memory(1))
    assert (output.std is not None) == tells and output.actions.isfinite().all()
