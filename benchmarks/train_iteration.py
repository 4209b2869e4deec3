"""Time of a training iteration and of the start; ``--help`` lists the options."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from mjlab.envs import ManagerBasedRlEnv, ManagerBasedRlEnvCfg
from mjlab.rl import MjlabOnPolicyRunner, RslRlVecEnvWrapper
from mjlab.tasks.registry import load_rl_cfg, load_runner_cls

from cases import (
    CaseOptions,
    build,
    interleaved_rounds,
    our_setup,
    stock_env_cfg,
    stock_task,
)
from profilers import MemoryMeter
from record import leave_record, prepare_output
from rl_sim_env.cli.program import check_counts, quiet, run_program
from rl_sim_env.configuration import AGENT, ENV
from rl_sim_env.experiment import EnvSetup, build_trainer, build_vec_env
from rl_sim_env.learning.config import AmpVaeRunnerCfg
from rl_sim_env.learning.distributed import resolve_device
from rl_sim_env.learning.log_writer import RunLog
from rl_sim_env.learning.runner import AmpVaeRunner

START_FIELD = 19
"""Place of the start time [clock ticks since boot] in /proc/self/stat, counted from behind the
process's name."""


@dataclass(kw_only=True)
class TrainIterationOptions(CaseOptions):
    """Measure training iterations, and the time from the start to the first of them."""

    iterations: int = 5
    """Iterations that count."""

    warm_up: int = 2
    """Iterations before them, at least 1: the first ones load kernels and take memory."""

    output: Path = Path("train_iteration.json")
    """Where the record goes."""

    settable: ClassVar[tuple[str, ...]] = (ENV, AGENT)


class Iteration(NamedTuple):
    """Times of one iteration."""

    collection_s: float
    """The rollout [s]."""

    learning_s: float
    """The update [s]."""


@dataclass(kw_only=True)
class Training:
    """A training that is ready to begin."""

    learn: Callable[[int, bool], None]
    """Trains some iterations more; says whether episodes are given random ages first."""

    env_cfg: ManagerBasedRlEnvCfg
    """Environment."""

    num_steps_per_env: int
    """Control steps of one rollout."""

    iterations: list[Iteration] = field(default_factory=list)
    """Times of the iterations so far."""


class TimedRunner(AmpVaeRunner):
    """Our trainer; its log goes to a function instead of the console."""

    note: Callable[[Iteration], None]
    """Told the times of each iteration."""

    def _open_log(self) -> RunLog:
        return RunLog(writers=(self,))

    def write(self, scalars: Mapping[str, float], iteration: int) -> None:
        """Pass the times of an iteration on."""
        self.note(Iteration(scalars["Perf/collection_time"], scalars["Perf/learning_time"]))

    def close(self) -> None:
        """Nothing is open."""


def our_training(setup: EnvSetup, cfg: AmpVaeRunnerCfg) -> Training:
    """Training of a task, as the training program sets it up."""
    runner = build_trainer(setup, build_vec_env(setup), cfg, kind=TimedRunner)
    assert isinstance(runner, TimedRunner)
    training = Training(
        learn=runner.learn, env_cfg=setup.cfg, num_steps_per_env=cfg.num_steps_per_env
    )
    runner.note = training.iterations.append
    return training


def stock_training(task_id: str, env_cfg: ManagerBasedRlEnvCfg, device: str) -> Training:
    """Training of one of mjlab's tasks: its own trainer and configuration, nothing written."""
    cfg = load_rl_cfg(task_id)
    env = RslRlVecEnvWrapper(ManagerBasedRlEnv(env_cfg, device), clip_actions=cfg.clip_actions)
    runner = (load_runner_cls(task_id) or MjlabOnPolicyRunner)(env, asdict(cfg), None, device)
    training = Training(
        learn=runner.learn, env_cfg=env_cfg, num_steps_per_env=cfg.num_steps_per_env
    )

    def note(*, collect_time: float, learn_time: float, **_: Any) -> None:
        training.iterations.append(Iteration(collect_time, learn_time))

    runner.logger.log = note  # type: ignore[method-assign]
    return training


class TrainIterationCase:
    """A training that runs iteration by iteration.

    Args:
        name: Name of the task.
        make: Sets it up.
        device: Torch device.
    """

    def __init__(self, name: str, make: Callable[[], Training], device: str) -> None:
        self._memory = MemoryMeter(device)
        self._training, self._build_s = build(name, make, device, self._memory)
        self.startup_s = seconds_since_start()
        """Time from the start of the process until the first iteration can begin [s]."""

    def iterate(self) -> None:
        """Run one iteration."""
        is_first = not self._training.iterations
        with quiet(), self._memory:
            self._training.learn(1, is_first)

    def figures(self, warm_up: int) -> dict[str, Any]:
        """Medians over the iterations after the warm-up."""
        first, counted = self._training.iterations[0], self._training.iterations[warm_up:]
        iteration_s = statistics.median(sum(iteration) for iteration in counted)
        learning_s = statistics.median(iteration.learning_s for iteration in counted)
        num_envs = self._training.env_cfg.scene.num_envs
        return {
            "build_s": self._build_s,
            "first_iteration_s": sum(first),
            "num_envs": num_envs,
            "decimation": self._training.env_cfg.decimation,
            "num_steps_per_env": self._training.num_steps_per_env,
            "collection_s": statistics.median(iteration.collection_s for iteration in counted),
            "learning_s": learning_s,
            "iteration_s": iteration_s,
            "transitions_per_s": num_envs * self._training.num_steps_per_env / iteration_s,
            "learning_per_iteration": learning_s / iteration_s,
            "memory_gib": self._memory.gib,
            "iterations": [iteration._asdict() for iteration in counted],
        }


def seconds_since_start() -> float | None:
    """Age of this process [s]; None where the system does not tell (it is Linux that does)."""
    try:
        # The name before it, in parentheses, may hold blanks.
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    start_s = int(fields[START_FIELD]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - start_s


def main(argv: Sequence[str] | None = None) -> None:
    run_program(TrainIterationOptions, benchmark, argv)


def benchmark(options: TrainIterationOptions) -> None:
    """Measure as the options say, print the table and write the record."""
    check_counts(iterations=options.iterations, warm_up=options.warm_up)
    prepare_output(options.output)
    device = resolve_device(options.device)
    torch.set_float32_matmul_precision("high")
    setup, cfg = our_setup(options, device)
    stock = stock_task(options, setup.cfg, device)
    # Ours first: the time from the start of the process to its first iteration is a figure.
    make = {options.task: partial(our_training, setup, cfg)}
    if stock is not None:
        make[stock] = partial(stock_training, stock, stock_env_cfg(stock, setup.cfg), device)
    cases = {name: TrainIterationCase(name, of, device) for name, of in make.items()}
    for _ in interleaved_rounds(options.warm_up + options.iterations, "iteration"):
        for case in cases.values():
            case.iterate()
    figures = {name: case.figures(options.warm_up) for name, case in cases.items()}
    startup_s = cases[options.task].startup_s
    figures[options.task] = {"startup_s": startup_s, **figures[options.task]}
    leave_record("Training iteration", options, device, figures)


if __name__ == "__main__":
    main()
