"""Evaluation of trained policies."""

from rl_sim_env.evaluation.evaluator import Evaluator, Step
from rl_sim_env.evaluation.walking_metrics import (
    WalkingMeter,
    WalkingMetrics,
    evaluate_walking,
    evaluation_env_cfg,
    print_metrics,
)

__all__ = [
    "Evaluator",
    "Step",
    "WalkingMeter",
    "WalkingMetrics",
    "evaluate_walking",
    "evaluation_env_cfg",
    "print_metrics",
]
