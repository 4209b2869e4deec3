"""Where the scalars of a run go: console, TensorBoard, W&B."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import scalar

from rl_sim_env.errors import UserError
from rl_sim_env.learning.console import IterationSummary, TrainingConsole
from rl_sim_env.learning.constraint_figures import ConstraintWatch, worst_violation

_FILE_VERSION = "brain.Event:2"
"""What TensorBoard's files begin with."""


class ScalarWriter(Protocol):
    """Something that keeps the figures of each iteration."""

    def write(self, scalars: Mapping[str, float], iteration: int) -> None:
        """Keep the figures of one iteration."""

    def close(self) -> None:
        """Write out what is still buffered."""


class TensorBoardWriter:
    """Writes TensorBoard event files, each iteration when it is given.

    torch's own writer leaves that to a thread: an error would come iterations later, with a
    traceback on stderr, and end the curves for good.

    Args:
        log_dir: Folder of the files.
    """

    def __init__(self, log_dir: Path) -> None:
        start, host = time.time(), socket.gethostname()
        self._path = log_dir / f"events.out.tfevents.{start:.6f}.{host}.{os.getpid()}"

    def write(self, scalars: Mapping[str, float], iteration: int) -> None:
        """Keep the figures of one iteration.

        Raises:
            OSError: They could not be written; those of later iterations may be.
        """
        now = time.time()
        records = io.BytesIO()
        writer = RecordWriter(records)
        # Opened anew each time: a file that somebody deleted would swallow the rest of the run.
        end = self._path.stat().st_size if self._path.exists() else 0
        if end == 0:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            writer.write(Event(wall_time=now, file_version=_FILE_VERSION).SerializeToString())
        for name, value in scalars.items():
            event = Event(wall_time=now, step=iteration, summary=scalar(name, value))
            writer.write(event.SerializeToString())
        try:
            with self._path.open("ab") as file:
                file.write(records.getbuffer())
        except OSError:
            # Behind half a record TensorBoard would read nothing more.
            with contextlib.suppress(OSError):
                os.truncate(self._path, end)
            raise

    def close(self) -> None:
        """Do nothing: everything is written."""


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

    What cannot be shown or kept never ends training: it is told once, and the next iteration is
    tried again.

    Args:
        console: What a person sees.
        writers: What is kept.
    """

    def __init__(
        self, console: TrainingConsole | None = None, writers: Iterable[ScalarWriter] = ()
    ) -> None:
        self._console = console
        self._writers = tuple(writers)
        self._failed: set[ScalarWriter] = set()
        self._constraints = ConstraintWatch()

    def __enter__(self) -> RunLog:
        if self._console is not None:
            self._console.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._console is not None:
            with contextlib.suppress(OSError):
                self._console.stop()
        for writer in self._writers:
            self._try(writer, writer.close)

    def record(self, summary: IterationSummary, iteration: int) -> None:
        """Show and keep the figures of one iteration."""
        scalars = {**summary.scalars, **worst_violation(summary.scalars)}
        for writer in self._writers:
            self._try(writer, partial(writer.write, scalars, iteration))
        for line in self._constraints.news(scalars):
            self.say(line)
        if self._console is not None:
            with contextlib.suppress(OSError):
                self._console.show(summary)

    def say(self, message: str) -> None:
        """Print a message."""
        if self._console is not None:
            with contextlib.suppress(OSError):
                self._console.say(message)

    def _try(self, writer: ScalarWriter, action: Callable[[], None]) -> None:
        """Let a writer do something; the first time that it fails is told."""
        try:
            action()
        except Exception as error:  # what W&B raises is no closed list
            if writer not in self._failed:
                self._failed.add(writer)
                self.say(
                    f"warning: curves are not written ({error}); training goes on, and each "
                    "iteration tries again"
                )
