"""Evaluation of trained policies, and the reports on them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_OF_STEPS = ("EvaluationStep", "Evaluator")


def __getattr__(name: str) -> Any:
    # These import torch and the simulator: seconds that reading a report must not cost.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "evaluator" if name in _OF_STEPS else "walking_metrics"
    return getattr(import_module(f"{__name__}.{module}"), name)
