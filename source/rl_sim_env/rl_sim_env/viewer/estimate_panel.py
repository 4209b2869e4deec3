"""What the policy believes, beside the truth: a table, plots, and a switch between the two."""

from __future__ import annotations

import numpy as np
import viser.uplot

from rl_sim_env.evaluation import Evaluator
from rl_sim_env.evaluation.inference_policy import accepts_truth
from rl_sim_env.viewer.comparison import BEYOND_TRAINING, Comparison, compare
from rl_sim_env.viewer.history import SECONDS, History
from rl_sim_env.viewer.page import within
from rl_sim_env.viewer.view import ESTIMATE_COLOR, PADDED, TRUTH_COLOR, WARNING_COLOR, View

PLOT_HEIGHT = 170
"""[pixels]"""

PLOT_POINTS = 100
"""Points of a line: one each tenth of a second."""

FADED = "rgba(232,89,12,0.18)"
"""Of the estimate's interval."""


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
        rows = compare(player, 0)
        self._every = max(round(SECONDS / player.step_dt / PLOT_POINTS), 1)
        self.table = gui.add_html("")
        self.share = gui.add_slider(
            "policy walks on",
            min=0.0,
            max=1.0,
            step=0.05,
            initial_value=player.p_boot,
            marks=((0.0, "truth"), (1.0, "estimates")),
            hint="between them a blend, which training never showed it",
            disabled=not accepts_truth(player.policy),
        )
        self.share.on_update(lambda _: self._feed())
        gui.add_html(
            f"<div style='{PADDED}'>last {SECONDS:.0f} s: {_swatch(TRUTH_COLOR)} true "
            f"{_swatch(ESTIMATE_COLOR)} estimated, with its 95 % interval</div>"
        )
        titles = tuple(row.title for row in rows)
        # What is alone is always there, of what has axes one is chosen.
        self.plots = [_Plot(view, rows[0])]
        self._choices = [0]
        if len(rows) > 1:
            later = titles[1:]
            self._choice = gui.add_dropdown("Plot", later, initial_value=later[0])
            self.plots.append(_Plot(view, rows[1]))
            self._choices.append(1)

            def choose() -> None:
                if self._choice.value in later:
                    self._choices[1] = 1 + later.index(self._choice.value)
                    self.plots[1].show_scale(rows[self._choices[1]])

            self._choice.on_update(lambda _: choose())

    def update(self) -> None:
        """Show the robot in view."""
        self.table.content = table_html(compare(self._player, self._view.robot))
        series = {
            name: self._history.last(name, every=self._every)
            for name in ("true", "estimated", "reach")
        }
        count = len(series["true"])
        ages = np.arange(1 - count, 1) * self._every * self._player.step_dt
        for plot, column in zip(self.plots, self._choices, strict=True):
            plot.show(ages, *(values[:, column] for values in series.values() if count))

    def _feed(self) -> None:
        share = within(self.share.value, 0.0, 1.0)
        if share is not None and accepts_truth(self._player.policy):
            self._player.p_boot = share


class _Plot:
    """Truth and estimate of one number over time, on a scale that does not run away."""

    def __init__(self, view: View, row: Comparison) -> None:
        empty = np.zeros(0)
        self.handle = view.server.gui.add_uplot(
            data=(empty,) * 5,
            series=(
                viser.uplot.Series(label="time"),
                viser.uplot.Series(label="high", stroke=FADED, width=1),
                viser.uplot.Series(label="low", stroke=FADED, width=1),
                viser.uplot.Series(label="true", stroke=TRUTH_COLOR, width=2),
                viser.uplot.Series(label="estimated", stroke=ESTIMATE_COLOR, width=2),
            ),
            bands=(viser.uplot.Band(series=(1, 2), fill=FADED),),
            axes=(viser.uplot.Axis(label="time [s]", labelSize=18, size=30), viser.uplot.Axis()),
            legend=viser.uplot.Legend(show=False),
            title=row.title,
            height=PLOT_HEIGHT,
            scales=_scales(row),
        )

    def show_scale(self, row: Comparison) -> None:
        """Go over to another number."""
        self.handle.title = row.title
        self.handle.scales = _scales(row)

    def show(self, ages: np.ndarray, *values: np.ndarray) -> None:
        """Draw the last seconds."""
        if not len(ages):
            return
        true, estimated, reach = (each.astype(np.float64) for each in values)
        self.handle.data = (
            ages.astype(np.float64),
            estimated + reach,
            estimated - reach,
            true,
            estimated,
        )


def _scales(row: Comparison) -> dict[str, viser.uplot.Scale]:
    low, high = row.shown_range
    return {
        "x": viser.uplot.Scale(time=False, auto=False, range=(-SECONDS, 0.0)),
        # One that follows the values would let a hundred grams fill the picture.
        "y": viser.uplot.Scale(auto=False, range=(low, high)),
    }


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
