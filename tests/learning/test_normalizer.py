from __future__ import annotations

import numpy as np
import torch

from rl_sim_env.learning.normalizer import RunningNormalizer


def _samples(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    spread = torch.tensor([1.0, 5.0, 0.1])
    return torch.randn(count, 3, generator=generator) * spread + torch.tensor([0.0, 100.0, -3.0])


def test_batches_add_up_to_mean_and_variance_of_all_samples() -> None:
    samples = _samples(1000)
    normalizer = RunningNormalizer(3, clip=10.0, memory=1e6)
    for batch in samples.split((100, 350, 550)):
        normalizer.update(batch)
    np.testing.assert_allclose(normalizer.mean, samples.double().numpy().mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(normalizer.var, samples.double().numpy().var(axis=0), rtol=1e-7)
    assert normalizer.count == 1000


def test_normalised_values_are_standard_and_clipped() -> None:
    samples = _samples(5000)
    normalizer = RunningNormalizer(3, clip=2.0, memory=1e6)
    normalizer.update(samples)
    normalized = normalizer(samples)
    assert normalized.abs().max() == 2.0
    assert normalized.dtype == torch.float32
    assert normalized.mean(dim=0).abs().max() < 0.02


def test_old_samples_fade_beyond_the_memory() -> None:
    normalizer = RunningNormalizer(1, clip=10.0, memory=100.0)
    normalizer.update(torch.zeros(100_000, 1))
    for _ in range(5):
        normalizer.update(torch.ones(100, 1))
    assert normalizer.mean > 0.9
