"""Draw the training curves of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rl_sim_env.cli.options import Folders, Unset
from rl_sim_env.cli.program import run_program
from rl_sim_env.errors import UserError
from rl_sim_env.learning.figure import Figure

if TYPE_CHECKING:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

COLUMNS = 3
PICTURE = "curves.png"


@dataclass(kw_only=True)
class CurvesOptions:
    """Draw reward, tracking and what the learners want to be seen over training time."""

    runs: Folders
    """Folder of the run, and of those that resumed it, in order."""

    output: Unset[Path] = None
    """Picture to write; default: curves.png in the folder of the last run."""

    def __post_init__(self) -> None:
        if not self.runs:
            raise UserError("no run given; give the folder of a run")
        for run in self.runs:
            if not list(run.glob("events.out.tfevents.*")):
                raise UserError(f"{run}: no TensorBoard curves here; give the folder of a run")
        if self.output is not None and (self.output.is_dir() or not self.output.suffix):
            raise UserError(f"--output {self.output}: give a file for the picture, as curves.png")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    run_program(CurvesOptions, draw, argv, prog="rl-sim-env curves")


def draw(options: CurvesOptions) -> None:
    """Draw the curves that there are and say where they are.

    Raises:
        UserError: There are none of those that are drawn, or the picture cannot be written.
    """
    # Only here: these imports take seconds, and a slip in the options should be told at once.
    import matplotlib
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    parts = [
        EventAccumulator(str(run), size_guidance={"scalars": 0}).Reload() for run in options.runs
    ]
    matplotlib.use("Agg")
    from matplotlib import pyplot

    curves = [(panel, _curve(panel, parts)) for panel in panels_of(options.runs[0])]
    # Flat ground alone has no level, and so on.
    shown = [(panel, curve) for panel, curve in curves if curve[0]]
    if not shown:
        raise UserError(
            f"{options.runs[-1]}: its TensorBoard files hold nothing that is drawn, such as "
            f"{curves[0][0].metric}; give a run that has finished an iteration"
        )
    rows = -(-len(shown) // COLUMNS)
    figure, axes = pyplot.subplots(rows, COLUMNS, figsize=(4 * COLUMNS, 2.6 * rows), sharex=True)
    for axis in axes.flat[len(shown) :]:
        axis.set_axis_off()
    for number, (axis, (panel, curve)) in enumerate(zip(axes.flat, shown, strict=False)):
        axis.set_title(panel.title, fontsize=10)
        axis.grid(alpha=0.3)
        axis.plot(*curve)
        if number + COLUMNS >= len(shown):
            axis.tick_params(labelbottom=True)
            axis.set_xlabel("training time [min]")
    figure.tight_layout()
    output = options.output or options.runs[-1] / PICTURE
    try:
        figure.savefig(output, dpi=100)
    except (OSError, ValueError) as error:
        raise UserError(f"--output {output}: cannot be written ({error})") from error
    print(f"curves: {output}")


def _curve(panel: Figure, parts: Sequence[EventAccumulator]) -> tuple[list[float], list[float]]:
    """Training time [min] and values of a panel, one run after the other."""
    minutes, values = [0.0], []
    for part in parts:
        tags = [tag for tag in part.Tags()["scalars"] if panel.matches(tag)]
        points = part.Scalars(tags[0]) if tags else []
        begin = minutes[-1]
        minutes += [begin + (point.wall_time - points[0].wall_time) / 60.0 for point in points]
        values += [point.value * panel.factor for point in points]
    return minutes[1:], values


def panels_of(run: Path) -> tuple[Figure, ...]:
    """What is drawn of a run: the console's figures, with those of its own learners.

    Args:
        run: Folder of the run. Without ``params/agent.yaml`` in it, the learners are the default.

    Raises:
        UserError: Its configuration cannot be read, or one of its learners cannot be found.
    """
    from rl_sim_env.learning.algorithm import learner_figures
    from rl_sim_env.learning.config import AmpVaeRunnerCfg
    from rl_sim_env.learning.console import FIGURES
    from rl_sim_env.learning.run_files import RunFiles
    from rl_sim_env.learning.saved_config import runner_cfg_from_dict

    agent = RunFiles.read(run).agent
    cfg = AmpVaeRunnerCfg() if agent is None else runner_cfg_from_dict(agent, str(run))
    return (*FIGURES, *learner_figures(cfg))
