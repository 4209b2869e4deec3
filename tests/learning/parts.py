"""The three learners of an algorithm, by their kind."""

from __future__ import annotations

from typing import cast

from rl_sim_env.learning.algorithm import Algorithm
from rl_sim_env.learning.amp import DiscriminatorLearner
from rl_sim_env.learning.estimator_learner import EstimatorLearner
from rl_sim_env.learning.ppo import PpoLearner


def ppo_of(algorithm: Algorithm) -> PpoLearner:
    return cast(PpoLearner, algorithm.learners["policy"])


def estimator_of(algorithm: Algorithm) -> EstimatorLearner:
    return cast(EstimatorLearner, algorithm.learners["estimator"])


def style_of(algorithm: Algorithm) -> DiscriminatorLearner:
    return cast(DiscriminatorLearner, algorithm.learners["discriminator"])
