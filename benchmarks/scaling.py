"""How training scales with the processes of one host; ``--help`` lists the options."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from record import leave_record, prepare_output
from rl_sim_env.cli.options import LOG_ROOT, TaskOptions
from rl_sim_env.cli.program import check_counts, run_program
from rl_sim_env.configuration import AGENT, ENV
from rl_sim_env.errors import UserError
from rl_sim_env.learning.distributed import resolve_device
from rl_sim_env.tasks import find_task

TRAIN = Path(__file__).resolve().parents[1] / "scripts" / "rsl_rl" / "train.py"
LAST_LINES = 12
"""Lines that are shown of what a failed run printed, where none is an error of ours."""


@dataclass(kw_only=True)
class ScalingOptions(TaskOptions):
    """Measure training under torchrun with 1, 2, 4, ... processes."""

    num_envs: int = 4096
    """Robots per process where scaling is weak; where it is strong, of all processes together."""

    processes: tuple[int, ...] = (1, 2)
    """Numbers of processes, each a run; the first is what the others are compared with."""

    kinds: tuple[Literal["weak", "strong"], ...] = ("weak", "strong")
    """Scaling: weak holds the robots of a process, strong those of all processes together."""

    iterations: int = 15
    """Iterations that count."""

    warm_up: int = 5
    """Iterations before them, at least 1: the first ones load kernels, capture graphs and save."""

    output: Path = Path("scaling.json")
    """Where the record goes."""

    settable: ClassVar[tuple[str, ...]] = (ENV, AGENT)


@dataclass(frozen=True)
class Case:
    """One run."""

    processes: int
    """Processes."""

    num_envs: int
    """Robots of each."""

    @property
    def name(self) -> str:
        """Its column of the table."""
        return f"{self.processes} x {self.num_envs}"


def cases_of(options: ScalingOptions) -> tuple[Case, ...]:
    """What has to run, the run that the others are compared with first.

    Raises:
        UserError: The robots cannot be dealt out evenly.
    """
    base, *more = options.processes
    cases = [Case(base, options.num_envs)]
    if "weak" in options.kinds:
        cases += [Case(number, options.num_envs) for number in more]
    if "strong" in options.kinds:
        total = base * options.num_envs
        for number in more:
            if total % number:
                raise UserError(
                    f"--num_envs {options.num_envs}: {total} robots in all are not a multiple of "
                    f"{number} processes; give another number, or --kinds weak"
                )
            cases.append(Case(number, total // number))
    return tuple(dict.fromkeys(cases))


def command_of(case: Case, options: ScalingOptions) -> tuple[str, ...]:
    """The users' own command, with this python for the name ``torchrun``."""
    launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone")
    device = () if options.device is None else ("--device", options.device)
    return (
        *(*launcher, f"--nproc_per_node={case.processes}", str(TRAIN), "--distributed"),
        *("--headless", "--task", options.task, "--num_envs", str(case.num_envs), *device),
        *("--max_iterations", str(options.warm_up + options.iterations), *options.settings),
    )


def measure(case: Case, options: ScalingOptions) -> dict[str, Any]:
    """Train, and read the figures from the curves of the run.

    Raises:
        UserError: The run failed; the message says why.
    """
    with tempfile.TemporaryDirectory(prefix="scaling_") as folder:
        begin = time.perf_counter()
        run = subprocess.run(
            command_of(case, options),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        run_s = time.perf_counter() - begin
        if run.returncode:
            lines = run.stdout.splitlines()
            # torchrun's report, which comes last, does not hold the reason.
            told = [line for line in lines if line.startswith("error: ")] or lines[-LAST_LINES:]
            reason = "\n".join(dict.fromkeys(told))
            raise UserError(f"{case.name}: the run failed with code {run.returncode}:\n{reason}")
        (events,) = Path(folder, LOG_ROOT).glob("*/*/events.out.tfevents.*")
        curves = EventAccumulator(str(events), size_guidance={"scalars": 0}).Reload()
        times = [point.wall_time for point in curves.Scalars("Perf/total_steps")]
        # Of the first iteration: later sums are beyond the precision of a curve.
        transitions = round(curves.Scalars("Perf/total_steps")[0].value)
        parts = {
            name: [point.value for point in curves.Scalars(f"Perf/{tag}")[options.warm_up :]]
            for name, tag in (("collection_s", "collection_time"), ("learning_s", "learning_time"))
        }
    ends = times[options.warm_up - 1 :]
    # From end to end, so that exchange and log between the parts count, too.
    iterations = [end - begin for begin, end in pairwise(ends)]
    iteration_s = statistics.median(iterations)
    return {
        "processes": case.processes,
        "num_envs": case.num_envs,
        "transitions_per_iteration": transitions,
        "iteration_s": iteration_s,
        **{name: statistics.median(seconds) for name, seconds in parts.items()},
        "transitions_per_s": transitions / iteration_s,
        "start_and_end_s": run_s - (times[-1] - times[0]),
        "iterations_s": iterations,
    }


def main(argv: Sequence[str] | None = None) -> None:
    run_program(ScalingOptions, benchmark, argv)


def benchmark(options: ScalingOptions) -> None:
    """Measure as the options say, print the table and write the record."""
    check_counts(
        num_envs=options.num_envs,
        iterations=options.iterations,
        warm_up=options.warm_up,
        processes=min(options.processes, default=0),
    )
    find_task(options.task)
    most = max(options.processes)
    device = resolve_device(options.device)
    if device != "cpu" and most > torch.cuda.device_count():
        raise UserError(
            f"--processes {most}: torch sees {torch.cuda.device_count()} CUDA device(s) here; "
            "each process needs one of its own"
        )
    cases = cases_of(options)
    prepare_output(options.output)
    subjects: dict[str, dict[str, Any]] = {}
    for case in cases:
        print(f"training {case.name} robots of {options.task}", flush=True)
        subjects[case.name] = measure(case, options)
    base = subjects[cases[0].name]
    for figures in subjects.values():
        figures["speedup"] = figures["transitions_per_s"] / base["transitions_per_s"]
        figures["efficiency"] = figures["speedup"] * base["processes"] / figures["processes"]
    leave_record(f"Scaling of {options.task}", options, device, subjects)


if __name__ == "__main__":
    main()
