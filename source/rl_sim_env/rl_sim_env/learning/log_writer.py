"""Where the scalars of a run go: console, TensorBoard, W&B."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol

from torch.utils.tensorboard import SummaryWriter

from rl_sim_env.errors import UserError
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
        """Show and keep the figures of one iteration."""
        for writer in self._writers:
            writer.write(summary.scalars, iteration)
        if self._console is not None:
            self._console.show(summary)

    def say(self, message: str) -> None:
        """Print a message."""
        if self._console is not None:
            self._console.say(message)


def mean_metrics(sums_by_process: Iterable[Mapping[str, tuple[float, int]]]) -> dict[str, float]:
    """Return the mean of each metric over all samples of all processes."""
    totals: dict[str, tuple[float, int]] = {}
    for sums in sums_by_process:
        for name, (part, number) in sums.items():
            total, count = totals.get(name, (0.0, 0))
            totals[name] = (total + part, count + number)
    return {name: total / count for name, (total, count) in totals.items()}
