"""What a run leaves behind beside checkpoints: scalars, configuration, the state of the code."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol

import yaml
from torch.utils.tensorboard import SummaryWriter

from rl_sim_env.errors import UserError
from rl_sim_env.learning.checkpoint import to_plain
from rl_sim_env.learning.console import IterationSummary, TrainingConsole

_PARAMS = "params"
_CODE_STATE = "git.diff"
_GIT_COMMANDS = (("rev-parse", "HEAD"), ("status", "--short"), ("diff", "HEAD"))
_SECTION = re.compile(r"^--- git .*$", re.MULTILINE)
"""Heading of what one git command said."""


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


def write_run_files(log_dir: Path, *, env_cfg: Any, agent_cfg: Any) -> dict[str, Any]:
    """Write ``params/env.yaml``, ``params/agent.yaml`` and the state of the code's git repository.

    Returns:
        Both configurations as plain values, under "env" and "agent".
    """
    config = {"env": to_plain(env_cfg), "agent": to_plain(agent_cfg)}
    folder = log_dir / _PARAMS
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in config.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    code_state = _git_state()
    if code_state is not None:
        (log_dir / _CODE_STATE).write_text(code_state)
    return config


@dataclass(frozen=True, kw_only=True)
class RunFiles:
    """What :func:`write_run_files` left in the folder of a run, as far as it is there."""

    env: dict[str, Any] | None
    """The environment's configuration as plain values; None where it is missing."""

    agent: dict[str, Any] | None
    """The trainer's configuration as plain values; None where it is missing."""

    commit: str
    """Commit of the code that trained, with "+ changes" where there were any; empty where it was
    not recorded."""

    @staticmethod
    def read(log_dir: Path) -> RunFiles:
        """Read the files of a run.

        Raises:
            UserError: A file is there and cannot be read.
        """
        code_state = log_dir / _CODE_STATE
        try:
            env, agent = (_read_params(log_dir, name) for name in ("env", "agent"))
            code = code_state.read_text(errors="replace") if code_state.is_file() else ""
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise UserError(
                f"{log_dir}: {_PARAMS} or {_CODE_STATE} cannot be read ({error}); restore them, "
                "or move the checkpoint away from them"
            ) from error
        return RunFiles(env=env, agent=agent, commit=_commit(code))


def _read_params(log_dir: Path, name: str) -> dict[str, Any] | None:
    path = log_dir / _PARAMS / f"{name}.yaml"
    return yaml.safe_load(path.read_text()) if path.is_file() else None


def code_commit() -> str:
    """Commit of the code that runs, with "+ changes" where there are any; empty without one."""
    return _commit(_git_state() or "")


def _commit(code_state: str) -> str:
    """Commit in what :func:`_git_state` returned, and whether there were changes to it."""
    sections = _SECTION.split(code_state)
    if len(sections) <= len(_GIT_COMMANDS):
        return ""
    _, commit, status, *_ = (section.strip() for section in sections)
    return f"{commit} + changes" if status else commit


def _git_state() -> str | None:
    """Return commit, status and changes of the package's repository; None without one."""
    sections = []
    for command in _GIT_COMMANDS:
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


def mean_metrics(sums_by_process: Iterable[Mapping[str, tuple[float, int]]]) -> dict[str, float]:
    """Return the mean of each metric over all samples of all processes."""
    totals: dict[str, tuple[float, int]] = {}
    for sums in sums_by_process:
        for name, (part, number) in sums.items():
            total, count = totals.get(name, (0.0, 0))
            totals[name] = (total + part, count + number)
    return {name: total / count for name, (total, count) in totals.items()}
