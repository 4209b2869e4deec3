"""What lets a GPU capture the update: no host reads, and tensors that stay where they are."""

from __future__ import annotations

import itertools

import pytest
import torch
from parts import estimator_of, iterate, ppo_of, roll_out
from toy_env import ToyEnv, ToyExpert, toy_cfg

from rl_sim_env.cuda_graphs import HostReads
from rl_sim_env.learning.algorithm import Algorithm
from rl_sim_env.learning.update_step import MiniBatch


def mirroring() -> tuple[Algorithm, ToyEnv]:
    env, cfg = ToyEnv(), toy_cfg()
    cfg.algorithm.mirror_loss_coef = 0.5
    return Algorithm(env, cfg, ToyExpert(), "cpu"), env


def test_training_on_a_mini_batch_reads_nothing_back_from_the_device() -> None:
    algorithm, env = mirroring()
    roll_out(algorithm, env)
    own = zip(*(each.batches(4) for each in algorithm.learners.values()), strict=True)
    reads = HostReads()
    for indices, brought in zip(algorithm.rollout.draw(2, 2), own, strict=True):
        with reads:
            algorithm.update_step(MiniBatch(indices, brought))
    assert reads.places == set()


def test_what_the_update_reads_and_writes_stays_where_it_is() -> None:
    def places(algorithm: Algorithm) -> list[int]:
        estimator, ppo = estimator_of(algorithm), ppo_of(algorithm)
        fields = [algorithm.rollout[name] for name in ("latent", "returns", "advantages", "valid")]
        rates = [each.optimizer.param_groups[0]["lr"] for each in (estimator, ppo)]
        kept = (estimator.first_memory, *(each.frames for each in estimator.frames.values()))
        return [tensor.data_ptr() for tensor in (*fields, *rates, *kept, ppo.learning_rate)]

    algorithm, env = mirroring()
    iterate(algorithm, env)
    before = places(algorithm)
    algorithm.set_progress(0.5)
    iterate(algorithm, env)
    assert places(algorithm) == before


@pytest.mark.gpu
def test_recorded_training_gives_the_numbers_of_training_that_runs() -> None:
    def train(capture: bool) -> dict[str, float]:
        torch.manual_seed(0)
        env = ToyEnv(num_envs=64, device="cuda")
        cfg = toy_cfg(capture_update=capture)
        cfg.algorithm.mirror_loss_coef = 0.5
        algorithm = Algorithm(env, cfg, ToyExpert("cuda"), "cuda")
        step = algorithm.update_step._step

        def step_reseeded(mini_batch: MiniBatch) -> torch.Tensor:
            # A replay does not use up random numbers as the running code does.
            torch.manual_seed(next(seeds))
            return step(mini_batch)

        algorithm.update_step._step = step_reseeded
        for _ in range(4):
            torch.manual_seed(next(seeds))
            metrics = iterate(algorithm, env)
        return metrics

    metrics = []
    for capture in (False, True):
        seeds = itertools.count(1)
        metrics.append(train(capture))
    # The order of sums differs from run to run.
    assert metrics[1] == pytest.approx(metrics[0], rel=1e-2, abs=1e-3)
