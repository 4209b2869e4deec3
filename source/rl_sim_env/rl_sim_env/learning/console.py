"""What a person sees of a training run: a live panel on a terminal, plain blocks elsewhere."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rl_sim_env.learning.constraint_figures import violated_shares
from rl_sim_env.learning.figure import Figure
from rl_sim_env.learning.reward_faults import reward_faults

WIDTH = 80
"""Columns that the output never exceeds."""

_LONG_S = 24.0 * 3600.0
"""Time above which it is said what makes a training shorter [s]."""

_WARM_UP = 3
"""Iterations until one takes as long as those to come."""

_INTERVAL = 10
"""Iterations from one plain block to the next where the output is no terminal."""

_COLUMNS = 2
_LABEL_WIDTH = 24
_VALUE_WIDTH = (WIDTH - 4) // _COLUMNS - _LABEL_WIDTH - 2

FIGURES = (
    Figure(label="reward", metric="Train/mean_reward", digits=2),
    Figure(label="tracking error", metric="error_vel_xy", unit="m/s"),
    Figure(label="episode length", metric="Train/mean_episode_length", unit="steps", digits=0),
    Figure(label="turning error", metric="error_vel_yaw", unit="rad/s"),
    Figure(label="terrain level", metric="terrain_level/mean", digits=2),
)
"""Figures of every run, in reading order; those of the learners follow."""


@dataclass(frozen=True, kw_only=True)
class IterationSummary:
    """One iteration as it is shown."""

    iteration: int
    """Completed iterations."""
    total_iterations: int
    """Iterations to complete."""
    progress: float
    """Part of this training that is done, 0 to 1."""
    elapsed_s: float
    """Time since this training began [s]."""
    remaining_s: float
    """Expected time to its end [s]."""
    limit_s: float = math.inf
    """Time that this training may take [s]."""
    scalars: Mapping[str, float] = field(default_factory=dict)
    """Everything that is logged of the iteration."""


class TrainingConsole:
    """Shows the progress of training.

    Args:
        title: Name of the run.
        figures: What is shown of each iteration, in reading order.
        stream: Where to write; stdout by default.
    """

    def __init__(
        self, title: str, *, figures: Sequence[Figure] = FIGURES, stream: TextIO | None = None
    ) -> None:
        self._title = title
        self._figures = tuple(figures)
        self._stream = stream or sys.stdout
        console = Console(file=self._stream, markup=False)
        self._num_shown = 0
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def start(self) -> None:
        """Take over the bottom of the terminal."""
        if self._live is not None:
            self._live.start()

    def stop(self) -> None:
        """Give the terminal back, the last panel left standing."""
        if self._live is not None:
            self._live.stop()

    def show(self, summary: IterationSummary) -> None:
        """Show an iteration; as plain text the first, every tenth, the last."""
        last = summary.iteration >= summary.total_iterations
        if self._live is not None:
            self._live.update(render_panel(self._title, summary, self._figures), refresh=True)
        elif last or not self._num_shown or summary.iteration % _INTERVAL == 1:
            self.say(format_block(self._title, summary, self._figures))
        self._num_shown += 1
        if self._num_shown == _WARM_UP and not last:
            self.say(pace(summary))

    def say(self, message: str) -> None:
        """Print a message, above the panel where there is one."""
        if self._live is not None:
            self._live.console.print(message, markup=False, highlight=False)
        else:
            print(message, file=self._stream, flush=True)


def render_panel(title: str, summary: IterationSummary, shown: Sequence[Figure]) -> Panel:
    """Return the panel of an iteration, 80 columns wide."""
    figures = Table.grid(padding=(0, 1))
    for _ in range(_COLUMNS):
        figures.add_column(width=_LABEL_WIDTH, no_wrap=True, style="dim")
        figures.add_column(width=_VALUE_WIDTH, no_wrap=True)
    cells = [(figure.label, _value(figure, summary.scalars)) for figure in shown]
    for start in range(0, len(cells), _COLUMNS):
        figures.add_row(*(text for cell in cells[start : start + _COLUMNS] for text in cell))
    body = Table.grid(expand=True)
    body.add_row(ProgressBar(total=1.0, completed=summary.progress, width=WIDTH - 4))
    for line in _status_lines(summary):
        body.add_row(Text(line, no_wrap=True, overflow="ellipsis"))
    body.add_row()
    body.add_row(figures)
    heading = Text(title, no_wrap=True)
    heading.truncate(WIDTH - 6, overflow="ellipsis")
    return Panel(body, title=heading, width=WIDTH, padding=(0, 1))


def format_block(title: str, summary: IterationSummary, shown: Sequence[Figure]) -> str:
    """Return the same figures as plain lines of at most 80 columns, without control codes."""
    cells = [
        f"{figure.label:<{_LABEL_WIDTH}} {_value(figure, summary.scalars):<{_VALUE_WIDTH}}"
        for figure in shown
    ]
    rows = [" ".join(cells[start : start + _COLUMNS]) for start in range(0, len(cells), _COLUMNS)]
    return "\n".join(map(_cut, (f"--- {title}", *_status_lines(summary), *rows)))


def _cut(line: str) -> str:
    """The part of a line that fits, without control codes."""
    if line.isascii() and line.isprintable():
        # Rich remembers every line that it has measured, thousands of them.
        return line[:WIDTH].rstrip()
    text = Text(line)
    text.truncate(WIDTH)
    return text.plain.rstrip()


def pace(summary: IterationSummary) -> str:
    """Say how long an iteration takes, and what that means for the whole.

    Args:
        summary: An iteration that took as long as those to come will.
    """
    scalars = summary.scalars
    seconds = scalars["Perf/collection_time"] + scalars["Perf/learning_time"]
    left = summary.total_iterations - summary.iteration
    left_s, allowed_s = left * seconds, summary.limit_s - summary.elapsed_s
    line = f"an iteration takes {seconds:.3g} s here; to the end: "
    if allowed_s < left_s:
        return f"{line}{_clock(allowed_s)}, enough for {int(allowed_s / seconds):,} iterations"
    line += f"{left:,} iterations, {_clock(left_s)}"
    if left_s > _LONG_S:
        line += (
            "; a task on a plane (-Flat), fewer robots (--num_envs), --max_minutes or a GPU make "
            "it shorter"
        )
    return line


def _status_lines(summary: IterationSummary) -> list[str]:
    scalars = summary.scalars
    lines = [
        f"iteration {summary.iteration}/{summary.total_iterations}  {summary.progress:.0%}  "
        f"elapsed {_clock(summary.elapsed_s)}  remaining {_clock(summary.remaining_s)}",
        f"{scalars.get('Perf/total_fps', 0.0):,.0f} steps/s  "
        f"collect {scalars.get('Perf/collection_time', 0.0):.2f} s  "
        f"learn {scalars.get('Perf/learning_time', 0.0):.2f} s  "
        f"learning rate {scalars.get('Loss/learning_rate', 0.0):.1e}",
    ]
    worst = next(iter(violated_shares(scalars).items()), None)
    if worst is not None:
        lines.append(f"most violated constraint: {worst[0]}, {worst[1]:.2%} of the robot-steps")
    if faults := reward_faults(scalars):
        terms = ", ".join(f"{name} {share:.2%}" for name, share in faults.items())
        lines.append(f"rewards not finite or absurd: {terms}")
    return lines


def _value(figure: Figure, scalars: Mapping[str, float]) -> str:
    """Return the figure with its unit, or a dash where the run does not measure it."""
    for name, value in scalars.items():
        if figure.matches(name):
            return f"{value * figure.factor:.{figure.digits}f} {figure.unit}".rstrip()
    return "-"


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
