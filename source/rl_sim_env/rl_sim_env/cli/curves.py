"""Draw the training curves of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import tyro

from rl_sim_env.cli.program import run_program
from rl_sim_env.errors import UserError

PANELS: dict[str, tuple[str, float]] = {
    "reward of an episode": ("Train/mean_reward", 1.0),
    "velocity error [m/s]": ("Metrics/velocity/error_vel_xy", 1.0),
    "episode length [steps]": ("Train/mean_episode_length", 1.0),
    "style reward": ("Train/style_reward", 1.0),
    "mass error [kg]": ("Estimation/mass_rmse", 1.0),
    "centre of mass error [cm]": ("Estimation/com_rmse", 100.0),
}
"""Curve and factor by title."""

COLUMNS = 3


@dataclass(kw_only=True)
class CurvesOptions:
    """Draw reward, tracking, style and estimation over training time."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Folder of the run, and of those that resumed it, in order."""

    output: Path = Path("curves.png")
    """Picture to write."""

    def __post_init__(self) -> None:
        if not self.runs:
            raise UserError("no run given; give the folder of a run")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    run_program(CurvesOptions, draw, argv)


def draw(options: CurvesOptions) -> None:
    """Draw the curves.

    Raises:
        UserError: The folder holds no curves.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for run in options.runs:
        if not list(run.glob("events.out.tfevents.*")):
            raise UserError(f"{run}: no TensorBoard curves here; give the folder of a run")
    parts = [
        EventAccumulator(str(run), size_guidance={"scalars": 0}).Reload() for run in options.runs
    ]
    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = -(-len(PANELS) // COLUMNS)
    figure, axes = pyplot.subplots(rows, COLUMNS, figsize=(4 * COLUMNS, 2.6 * rows), sharex=True)
    for axis, (title, (tag, factor)) in zip(axes.flat, PANELS.items(), strict=True):
        axis.set_title(title, fontsize=10)
        axis.grid(alpha=0.3)
        minutes, values = [0.0], []
        for part in parts:
            curve = part.Scalars(tag) if tag in part.Tags()["scalars"] else []
            begin = minutes[-1]
            minutes += [begin + (point.wall_time - curve[0].wall_time) / 60.0 for point in curve]
            values += [point.value * factor for point in curve]
        axis.plot(minutes[1:], values)
    for axis in axes[-1]:
        axis.set_xlabel("training time [min]")
    figure.tight_layout()
    figure.savefig(options.output, dpi=100)
    print(f"curves: {options.output}")
