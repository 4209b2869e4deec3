"""Command line programs: ``rl-sim-env`` and what the scripts call."""

from rl_sim_env.cli.main import main

__all__ = ["main"]
