"""An algorithm on the toy, its rollouts and updates, and its three learners by their kind."""

from __future__ import annotations

from typing import cast

import torch
from toy_env import ToyEnv, ToyExpert, toy_cfg

from rl_sim_env.learning.algorithm import Algorithm
from rl_sim_env.learning.amp import DiscriminatorLearner
from rl_sim_env.learning.config import AmpVaeRunnerCfg
from rl_sim_env.learning.estimator import Estimator, Sequences
from rl_sim_env.learning.estimator_learner import EstimatorLearner
from rl_sim_env.learning.ppo import PpoLearner


def build(env: ToyEnv, cfg: AmpVaeRunnerCfg | None = None, seed: int = 0) -> Algorithm:
    torch.manual_seed(seed)
    return Algorithm(env, cfg or toy_cfg(), ToyExpert(env.device), env.device)


def roll_out(algorithm: Algorithm, env: ToyEnv) -> None:
    with torch.inference_mode():
        obs = env.get_observations()
        for _ in range(algorithm.cfg.num_steps_per_env):
            obs, rewards, dones, extras = env.step(algorithm.act(obs))
            algorithm.process_env_step(obs, rewards, dones, extras)
        algorithm.compute_returns(obs)


def iterate(algorithm: Algorithm, env: ToyEnv) -> dict[str, float]:
    roll_out(algorithm, env)
    return algorithm.update()


def ppo_of(algorithm: Algorithm) -> PpoLearner:
    return cast(PpoLearner, algorithm.learners["policy"])


def estimator_of(algorithm: Algorithm) -> EstimatorLearner:
    return cast(EstimatorLearner, algorithm.learners["estimator"])


def style_of(algorithm: Algorithm) -> DiscriminatorLearner:
    return cast(DiscriminatorLearner, algorithm.learners["discriminator"])


def estimate_rmse(estimator: Estimator, batch: Sequences, estimates: torch.Tensor) -> float:
    """How far estimates are from those of the sequences, SI units, the worst quantity."""
    scalars = estimator.loss(batch._replace(estimate_targets=estimates)).scalars
    return max(scalars[name].item() for name in estimator.rmse(estimates.flatten(0, -2)[0]))
