"""Evaluation of trained policies."""

from rl_sim_env.evaluation.evaluator import EvaluationStep, Evaluator
from rl_sim_env.evaluation.walking_metrics import (
    WalkingMeter,
    WalkingMetrics,
    evaluate_walking,
    evaluation_env_cfg,
    print_metrics,
)

__all__ = [
    "EvaluationStep",
    "Evaluator",
    "WalkingMeter",
    "WalkingMetrics",
    "evaluate_walking",
    "evaluation_env_cfg",
    "print_metrics",
]
