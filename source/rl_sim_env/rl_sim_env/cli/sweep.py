"""Sweeps from the command line: a file in, trained and evaluated runs and their comparison out."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import torch

from rl_sim_env.atomic_file import write_atomically
from rl_sim_env.cli.evaluate import check_evaluation
from rl_sim_env.cli.options import LOG_ROOT
from rl_sim_env.cli.program import quiet, run_program
from rl_sim_env.cli.sweep_file import Run, Sweep
from rl_sim_env.cli.sweep_options import SweepOptions
from rl_sim_env.cli.train import trainer_options
from rl_sim_env.errors import UserError, found_in
from rl_sim_env.evaluation.rendering import JSON_NAME
from rl_sim_env.evaluation.report import Report
from rl_sim_env.evaluation.sweep_summary import SweepSummary
from rl_sim_env.experiment import EnvOptions, configure_env, configure_trainer, split_settings
from rl_sim_env.hardware import available_cores
from rl_sim_env.job_queue import Job, JobQueue, Outcome, Place
from rl_sim_env.learning.checkpoint import Checkpoint, resolve_checkpoint
from rl_sim_env.learning.distributed import resolve_device
from rl_sim_env.learning.run_folder import names_of_run
from rl_sim_env.simulation.native import NUM_THREADS_VARIABLE

FILE_NAME = "sweep.yaml"
FAILED = 1
"""Exit status when runs failed."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the sweep program."""
    run_program(SweepOptions, sweep, argv, prog="rl-sim-env sweep")


def sweep(options: SweepOptions) -> None:
    """Run what a sweep file asks for, as far as it is not done, and compare what came out.

    Raises:
        UserError: The file asks for what there is not, or for other runs than an earlier file of
            its name, or another process is at it.
        SystemExit: Runs failed.
    """
    plan = Sweep.read(options.file)
    with found_in(options.file):
        check(plan)
    if options.dry_run:
        for run in plan.runs():
            commands = (plan.train_command(run), plan.evaluate_command(run))
            print(" && ".join(shlex.join(("rl-sim-env", *words)) for words in commands))
        return
    with _alone(plan) as lock:
        places = _places(options.device, plan.file.cores)
        runs = list(plan.runs())
        print(
            f"{plan.name}: {len(runs)} runs, {len(places)} at a time on "
            f"{', '.join(sorted({place.name for place in places}))}; logs in {plan.folder}",
            flush=True,
        )
        jobs = [_job(plan, run) for run in runs]
        outcome = JobQueue(jobs, places, partial(print, flush=True), kept_open=(lock,)).run()
    _compare(plan)
    _tell(outcome, len(runs))


def check(plan: Sweep) -> None:
    """Refuse settings that task, trainer or evaluation do not have, before anything starts.

    Raises:
        UserError: Names the arm and the setting.
    """
    for run in plan.run_of_each_arm():
        with found_in(f"arm '{run.arm.name}'"), quiet():
            given = plan.train_options(run)
            env_settings, agent_settings = split_settings(given.settings)
            configure_trainer(trainer_options(given, agent_settings))
            configure_env(
                EnvOptions(
                    task=plan.file.task,
                    device="cpu",
                    arguments=given.task_arguments(),
                    num_envs=given.num_envs,
                    settings=env_settings,
                )
            )
            with found_in("evaluate"):
                check_evaluation(plan.evaluate_options(run), plan.file.task)


@contextlib.contextmanager
def _alone(plan: Sweep) -> Iterator[int]:
    """Hold the sweep's folder, and keep the file in it.

    Yields:
        Descriptor of the lock. Processes that inherit it hold it as well: where the sweep was
        killed, its runs may still be there.

    Raises:
        UserError: Another process holds it, or the folder is of another sweep.
    """
    kept = plan.folder / FILE_NAME
    try:
        plan.folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(plan.folder / "lock", os.O_CREAT | os.O_RDWR)
    except OSError as error:
        raise UserError(f"{plan.folder}: cannot be written ({error.strerror})") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        earlier = Sweep.read(kept).file if kept.is_file() else None
        write_atomically(kept, plan.merged(earlier).encode())
        yield lock
    except BlockingIOError as error:
        raise UserError(
            f"{plan.folder}: this sweep, or a run that it left, is at work; wait for it or end it"
        ) from error
    finally:
        os.close(lock)


def _places(device: str | None, cores: int) -> list[Place]:
    """One place for each visible GPU, or else for each so many cores."""
    if resolve_device(device) == "cpu":
        threads = {NUM_THREADS_VARIABLE: str(cores), "OMP_NUM_THREADS": str(cores)}
        count = max(1, available_cores() // cores)
        return [Place(name="the CPU", device="cpu", environment=threads) for _ in range(count)]
    count = torch.cuda.device_count()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    ids = visible[:count] if any(visible) else map(str, range(count))
    return [
        Place(name=f"GPU {each}", device="cuda:0", environment={"CUDA_VISIBLE_DEVICES": each})
        for each in ids
    ]


def _job(plan: Sweep, run: Run) -> Job:
    program = (sys.executable, "-m", "rl_sim_env.cli")

    def commands(place: Place) -> Mapping[str, Sequence[str]]:
        device = ("--device", place.device)
        return {words[0]: (*program, *words, *device) for words in left_to_do(plan, run)}

    return Job(name=run.name, commands=commands, log=plan.folder / f"{run.name}.log")


def left_to_do(plan: Sweep, run: Run) -> list[list[str]]:
    """Commands of a run that are not done, by what is in its folders.

    Raises:
        UserError: All its checkpoints are damaged.
    """
    if (plan.reports / run.name / JSON_NAME).is_file():
        return []
    evaluation = plan.evaluate_command(run)
    newest = _newest_checkpoint(plan, run)
    if newest is None:
        return [plan.train_command(run), evaluation]
    progress = newest.progress
    if progress >= 1.0:
        return [evaluation]
    given = plan.train_options(run)
    cfg, _ = configure_trainer(trainer_options(given, split_settings(given.settings)[1]))
    # A time limit is that of one command, whatever went before.
    minutes = None if cfg.max_minutes is None else cfg.max_minutes * (1.0 - progress)
    return [plan.train_command(run, resume_with=f"agent.max_minutes={minutes}"), evaluation]


def _newest_checkpoint(plan: Sweep, run: Run) -> Checkpoint | None:
    """What a run has saved last; None where it has not, or its folder is gone.

    Raises:
        UserError: All its checkpoints are damaged.
    """
    experiment = LOG_ROOT / plan.name
    saved = experiment.glob("*/model_*.pt")
    if not any(names_of_run(path.parent)[1] == run.name for path in saved):
        return None
    return Checkpoint.load(resolve_checkpoint(root=experiment, load_run=run.name))


def _compare(plan: Sweep) -> None:
    """Compare the runs that were evaluated."""
    reports: dict[str, dict[int, Report]] = {}
    seconds: dict[str, dict[int, float]] = {}
    for run in plan.runs():
        folder = plan.reports / run.name
        if (folder / JSON_NAME).is_file():
            reports.setdefault(run.arm.name, {})[run.seed] = Report.read(folder)
            if (newest := _newest_checkpoint(plan, run)) is not None:
                of_iteration = newest.total_seconds / (newest.iteration + 1)
                seconds.setdefault(run.arm.name, {})[run.seed] = of_iteration
    if not reports:
        return
    notes = {arm.name: arm.note for arm in plan.file.arms if arm.note}
    summary = SweepSummary(title=plan.name, reports=reports, notes=notes, iteration_seconds=seconds)
    summary.write(plan.reports)
    print(f"\n{summary.overview()}\n\ncomparison: {plan.reports}/", flush=True)


def _tell(outcome: Outcome, num_runs: int) -> None:
    for name, reason in outcome.retried.items():
        print(f"{name}: {reason}")
    for name in outcome.bad_places:
        print(f"{name}: had failures of its own; look after it")
    for name, reason in outcome.failed.items():
        print(f"{name}: failed: {reason}", file=sys.stderr)
    if outcome.failed:
        print(
            f"error: {len(outcome.failed)} of {num_runs} runs failed; the same command tries them "
            "again",
            file=sys.stderr,
            flush=True,
        )
        raise SystemExit(FAILED)
