"""Memory of a long training on a CPU: how much it grows; ``--help`` lists the options."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from cases import CaseOptions, our_setup
from record import leave_record, prepare_output
from rl_sim_env.cli.program import check_counts, quiet, run_program
from rl_sim_env.configuration import AGENT, ENV
from rl_sim_env.errors import UserError
from rl_sim_env.experiment import build_trainer, build_vec_env
from rl_sim_env.learning.distributed import resolve_device

MIB = 2.0**20
PER = 1_000
"""Iterations that growth is told for."""


@dataclass(kw_only=True)
class MemoryOptions(CaseOptions):
    """Measure how much resident memory a long training takes, logs and checkpoints included."""

    iterations: int = 10_000
    """Iterations to train."""

    every: int = 100
    """Iterations from one measurement, and checkpoint, to the next."""

    warm_up: int = 2_000
    """Iterations before those that count: replay and windows of figures are filled first."""

    output: Path = Path("memory.json")
    """Where the record goes."""

    settable: ClassVar[tuple[str, ...]] = (ENV, AGENT)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(iterations=self.iterations, every=self.every, warm_up=self.warm_up)
        if self.iterations < self.warm_up + 2 * self.every:
            raise UserError(
                f"--iterations {self.iterations}: two measurements must follow the "
                f"{self.warm_up} of --warm_up; give {self.warm_up + 2 * self.every} or more"
            )


def resident_mib() -> float:
    """Memory of this process that is in RAM [MiB].

    Raises:
        UserError: The system does not tell (it is Linux that does).
    """
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError as error:
        raise UserError(f"resident memory is read on Linux only ({error})") from error
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


def growth(counts: Sequence[int], memory: Sequence[float]) -> float:
    """Slope of the straight line through the measurements [MiB in 1,000 iterations]."""
    return float(np.polyfit(counts, memory, 1)[0]) * PER


def main(argv: Sequence[str] | None = None) -> None:
    run_program(MemoryOptions, benchmark, argv)


def benchmark(options: MemoryOptions) -> None:
    """Train and measure as the options say, print the table and write the record."""
    prepare_output(options.output)
    device = resolve_device(options.device)
    setup, cfg = our_setup(options, device)
    cfg.max_iterations, cfg.max_minutes = options.iterations, None
    cfg.save_interval = options.every
    measured: list[tuple[int, float]] = []

    def measure(checkpoint: Path) -> None:
        measured.append((runner.current_learning_iteration, resident_mib()))
        # As in a run whose owner clears up: a full disk is another matter.
        checkpoint.unlink()

    print(f"training {options.task} for {options.iterations:,} iterations", flush=True)
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as nowhere:
        with quiet():
            env = build_vec_env(setup)
        runner = build_trainer(setup, env, cfg, log_dir=Path(folder), on_save=measure)
        # What quiet() holds back would grow.
        with contextlib.redirect_stdout(nowhere):
            runner.learn(options.iterations)
    figures = {options.task: _figures(measured, options.warm_up, setup.cfg.scene.num_envs)}
    leave_record("Memory", options, device, figures)


def _figures(measured: list[tuple[int, float]], warm_up: int, num_envs: int) -> dict[str, Any]:
    counts, memory = zip(*(each for each in measured if each[0] >= warm_up), strict=True)
    return {
        "num_envs": num_envs,
        "after_warm_up_mib": memory[0],
        "at_the_end_mib": memory[-1],
        "growth_mib_per_1000_iterations": growth(counts, memory),
        "resident_mib": measured,
    }


if __name__ == "__main__":
    main()
