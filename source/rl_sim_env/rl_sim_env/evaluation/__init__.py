"""Evaluation of trained policies."""

from rl_sim_env.evaluation.walking import (
    PolicyPlayer,
    WalkingReport,
    evaluate_walking,
    evaluation_env_cfg,
    print_reports,
)

__all__ = [
    "PolicyPlayer",
    "WalkingReport",
    "evaluate_walking",
    "evaluation_env_cfg",
    "print_reports",
]
