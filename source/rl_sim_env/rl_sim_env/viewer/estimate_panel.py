"""What the policy believes, beside the truth: a table, plots, and a switch between the two."""

from __future__ import annotations

import numpy as np

from rl_sim_env.evaluation import Evaluator
from rl_sim_env.evaluation.inference_policy import accepts_truth
from rl_sim_env.viewer.comparison import BEYOND_TRAINING, Comparison
from rl_sim_env.viewer.history import SECONDS, History
from rl_sim_env.viewer.page import within
from rl_sim_env.viewer.time_plot import time_plot
from rl_sim_env.viewer.view import ESTIMATE_COLOR, PADDED, TRUTH_COLOR, WARNING_COLOR, View

PLOT_POINTS = 100
"""Points of a line: one each tenth of a second."""

_AXES = "x ahead, y to the left, z up"
_COM = "; CoM: centre of mass of robot and load, from the trunk's origin"


class EstimatePanel:
    """The robot in view, as it is and as the policy believes it to be.

    Args:
        view: The page.
        player: The policy at work.
        history: The last seconds of the robot in view.

    Attributes:
        share: Slider of the share of estimates that the policy is fed.
    """

    def __init__(self, view: View, player: Evaluator, history: History) -> None:
        self._view, self._player, self._history = view, player, history
        gui = view.server.gui
        rows = history.compared(view.robot)
        self._every = max(round(SECONDS / player.step_dt / PLOT_POINTS), 1)
        self.table = gui.add_html("")
        self.share = gui.add_slider(
            "policy walks on",
            min=0.0,
            max=1.0,
            step=0.05,
            initial_value=player.p_boot,
            marks=((0.0, "truth"), (1.0, "own")),
            hint="between them a blend, which training never showed it",
            disabled=not accepts_truth(player.policy),
        )
        self.share.on_update(lambda _: self._feed())
        interval = "" if player.output.std is None else ", with its 95 % interval"
        gui.add_html(
            f"<div style='{PADDED}'>last {SECONDS:.0f} s: {_swatch(TRUTH_COLOR)} true "
            f"{_swatch(ESTIMATE_COLOR)} estimated{interval}<br><span style='opacity:.7'>{_AXES}"
            f"{_COM if any(row.title.startswith('CoM') for row in rows) else ''}</span></div>"
        )
        # What is alone is always there, of what has axes one is chosen.
        self.plots = [gui.add_html("")]
        self.choice = None
        if later := tuple(row.title for row in rows[1:]):
            self.choice = gui.add_dropdown("Plot", later, initial_value=later[0])
            self.plots.append(gui.add_html(""))

    def update(self) -> None:
        """Show the robot in view."""
        rows = self._history.compared(self._view.robot)
        self.table.content = table_html(rows)
        if not len(self._history):
            return
        true, estimated, reach = (
            self._history.last(name, every=self._every) for name in ("true", "estimated", "reach")
        )
        steps = len(self._history) - 1 - np.flatnonzero(self._history.last("begun"))
        ages = np.arange(1 - len(true), 1) * self._every * self._player.step_dt
        titles = [row.title for row in rows]
        for place, plot in enumerate(self.plots):
            wanted = self.choice.value if place and self.choice is not None else titles[0]
            # A page may choose what there is not.
            column = titles.index(wanted) if wanted in titles else place
            plot.content = time_plot(
                titles[column],
                rows[column].shown_range,
                SECONDS,
                ages=ages,
                true=true[:, column],
                estimated=estimated[:, column],
                reach=reach[:, column],
                begun=-steps * self._player.step_dt,
            )

    def _feed(self) -> None:
        share = within(self.share.value, 0.0, 1.0)
        if share is not None and accepts_truth(self._player.policy):
            self._player.p_boot = share


def table_html(rows: list[Comparison]) -> str:
    """Table of true and estimated values, each with a bar from the middle of its column."""
    cells = "".join(
        f"<tr><td>{row.label} <span style='opacity:.6'>[{row.unit}]</span>{_warning(row)}</td>"
        f"<td style='text-align:right'>{_number(row.true)}</td>"
        f"<td style='text-align:right;color:{ESTIMATE_COLOR}'>{_number(row.estimated)}"
        f"{'' if row.reach is None else f' ± {row.reach:.2f}'}</td>"
        f"<td style='width:32%'>{_bar(row.true, row, TRUTH_COLOR)}"
        f"{_bar(row.estimated, row, ESTIMATE_COLOR)}</td></tr>"
        for row in rows
    )
    return (
        "<table style='width:100%;font-size:.85em;border-spacing:.5em .1em;padding:0 .4em'>"
        "<tr style='opacity:.6'><td></td><td style='text-align:right'>true</td>"
        f"<td style='text-align:right'>estimated</td><td></td></tr>{cells}</table>"
    )


def _warning(row: Comparison) -> str:
    text = f"<br><b style='color:{WARNING_COLOR}'>{BEYOND_TRAINING}</b>"
    return text if row.beyond_training else ""


def _number(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}"  # the sum has no negative zero


def _bar(value: float, row: Comparison, color: str) -> str:
    low, high = row.shown_range
    half_width = 50.0 * min(abs(value) / (0.5 * (high - low)), 1.0)
    left = 50.0 - half_width if value < 0.0 else 50.0
    return (
        f"<div style='height:5px;margin:1px 0 1px {left:.1f}%;width:{half_width:.1f}%;"
        f"background:{color};border-radius:2px'></div>"
    )


def _swatch(color: str) -> str:
    return (
        f"<span style='display:inline-block;width:1em;height:.3em;background:{color};"
        "vertical-align:middle'></span>"
    )
