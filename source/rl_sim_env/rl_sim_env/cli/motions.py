"""Motion clips from the command line."""

from __future__ import annotations

from collections.abc import Sequence

from rl_sim_env.cli.program import run_program
from rl_sim_env.motions.cli import MotionsCommand


def main(argv: Sequence[str] | None = None) -> None:
    """Make, inspect, import or replay motion clips."""
    run_program(MotionsCommand, lambda command: command.run(), argv)
