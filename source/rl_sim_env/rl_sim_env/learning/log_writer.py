"""What a run leaves behind beside checkpoints: scalars, configuration, the state of the code."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol

import torch
import yaml
from torch.utils.tensorboard import SummaryWriter

from rl_sim_env.errors import UserError
from rl_sim_env.learning.checkpoint import to_plain
from rl_sim_env.learning.console import IterationSummary, TrainingConsole


class ScalarWriter(Protocol):
    """Something that keeps the figures of each iteration."""

    def write(self, scalars: Mapping[str, float], iteration: int) -> None:
        """Keep the figures of one iteration."""

    def close(self) -> None:
        """Write out what is still buffered."""


class TensorBoardWriter:
    """Writes TensorBoard event files."""

    def __init__(self, log_dir: Path) -> None:
        self._writer = SummaryWriter(str(log_dir), flush_secs=10)

    def write(self, scalars: Mapping[str, float], iteration: int) -> None:
        """Keep the figures of one iteration."""
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, iteration)

    def close(self) -> None:
        """Write out what is still buffered."""
        self._writer.close()


class WandbWriter:
    """Sends the figures to Weights & Biases.

    Raises:
        UserError: The package is missing, or there is no login.
    """

    def __init__(self, log_dir: Path, *, project: str, config: dict[str, Any]) -> None:
        try:
            import wandb
        except ImportError as error:
            raise UserError(
                "--logger wandb: the package is missing; pip install wandb, or leave the flag out "
                "for TensorBoard"
            ) from error
        try:
            self._run = wandb.init(
                project=project, name=log_dir.name, dir=str(log_dir), config=config
            )
        except wandb.Error as error:
            raise UserError(
                f"--logger wandb: {error}; run `wandb login`, set WANDB_MODE=offline, or leave the "
                "flag out for TensorBoard"
            ) from error

    def write(self, scalars: Mapping[str, float], iteration: int) -> None:
        """Keep the figures of one iteration."""
        self._run.log(dict(scalars), step=iteration)

    def close(self) -> None:
        """Wait until everything is sent."""
        self._run.finish()


def open_writers(
    logger: Literal["tensorboard", "wandb"], log_dir: Path, *, project: str, config: dict[str, Any]
) -> list[ScalarWriter]:
    """Open what the scalars go to: TensorBoard always, W&B as well if it is asked for.

    Raises:
        UserError: W&B is asked for and cannot be used.
    """
    writers: list[ScalarWriter] = []
    if logger == "wandb":
        writers.append(WandbWriter(log_dir, project=project, config=config))
    writers.append(TensorBoardWriter(log_dir))
    return writers


class RunLog:
    """Where the figures of a run go: the console and the writers; by default nowhere.

    Args:
        console: What a person sees.
        writers: What is kept.
    """

    def __init__(
        self, console: TrainingConsole | None = None, writers: Iterable[ScalarWriter] = ()
    ) -> None:
        self._console = console
        self._writers = tuple(writers)

    def __enter__(self) -> RunLog:
        if self._console is not None:
            self._console.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._console is not None:
            self._console.stop()
        for writer in self._writers:
            writer.close()

    def record(self, summary: IterationSummary, iteration: int) -> None:
        """Show and keeps the figures of one iteration."""
        for writer in self._writers:
            writer.write(summary.scalars, iteration)
        if self._console is not None:
            self._console.show(summary)

    def say(self, message: str) -> None:
        """Print a message."""
        if self._console is not None:
            self._console.say(message)


def write_run_files(log_dir: Path, *, env_cfg: Any, agent_cfg: Any) -> dict[str, Any]:
    """Write ``params/env.yaml``, ``params/agent.yaml`` and the state of the code's git repository.

    Returns:
        Both configurations as plain values, under "env" and "agent".
    """
    config = {"env": to_plain(env_cfg), "agent": to_plain(agent_cfg)}
    folder = log_dir / "params"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in config.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    code_state = _git_state()
    if code_state is not None:
        (log_dir / "git.diff").write_text(code_state)
    return config


def _git_state() -> str | None:
    """Return commit, status and changes of the package's repository; None without one."""
    commands = (("rev-parse", "HEAD"), ("status", "--short"), ("diff", "HEAD"))
    sections = []
    for command in commands:
        try:
            output = subprocess.run(
                ("git", *command),
                cwd=Path(__file__).parent,
                capture_output=True,
                check=True,
                text=True,
                errors="replace",
            ).stdout
        except (OSError, subprocess.CalledProcessError):
            return None
        sections.append(f"--- git {' '.join(command)}\n{output}")
    return "\n".join(sections)


class MetricSums:
    """Gathers what the environment logs in the steps of an iteration, read from the device once.

    A value that is not finite says that there was nothing to measure in that step.
    """

    def __init__(self) -> None:
        self._names: list[str] = []
        self._values: list[torch.Tensor] = []
        self._host: list[tuple[str, float]] = []

    def add(self, log: Mapping[str, torch.Tensor | float]) -> None:
        """Take the values of one step: scalars, on the device or not. Nothing is read back."""
        on_device = {name: value for name, value in log.items() if torch.is_tensor(value)}
        if on_device:
            self._names += on_device
            # The environment may go on writing to its tensors; stacking them is the copy we need.
            self._values.append(torch.stack([v.float().reshape(()) for v in on_device.values()]))
        self._host += [(name, float(log[name])) for name in log if name not in on_device]

    def read(self) -> dict[str, tuple[float, int]]:
        """Return sum and number of the finite values of each name, and start anew."""
        values = torch.cat(self._values).tolist() if self._values else []
        sums: dict[str, tuple[float, int]] = {}
        for name, value in [*zip(self._names, values, strict=True), *self._host]:
            if math.isfinite(value):
                total, count = sums.get(name, (0.0, 0))
                sums[name] = (total + value, count + 1)
        self._names, self._values, self._host = [], [], []
        return sums


def mean_metrics(sums_by_process: Iterable[Mapping[str, tuple[float, int]]]) -> dict[str, float]:
    """Return the mean of each metric over the steps of all processes that measured it."""
    totals: dict[str, tuple[float, int]] = {}
    for sums in sums_by_process:
        for name, (part, number) in sums.items():
            total, count = totals.get(name, (0.0, 0))
            totals[name] = (total + part, count + number)
    return {name: total / count for name, (total, count) in totals.items()}
