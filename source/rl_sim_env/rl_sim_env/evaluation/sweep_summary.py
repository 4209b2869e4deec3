"""Several arms of a sweep side by side, with intervals over the seeds of their training."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray

from rl_sim_env.atomic_file import write_atomically
from rl_sim_env.evaluation.printed import number_text
from rl_sim_env.evaluation.report import CONFIDENCE, Column, Report
from rl_sim_env.evaluation.wording import in_house_style, split_label

RESAMPLES = 10_000

_PANEL_COLUMNS = 3
_PANEL_SIZE = (4.2, 0.6, 0.35)
"""Width, height without arms and height for each arm [in]."""


def resampled_means(values: Sequence[float], rng: np.random.Generator) -> NDArray[np.float64]:
    """Means of values that are drawn anew out of themselves, with repeats.

    Args:
        values: One for each seed of training.
        rng: What draws.

    Returns:
        Shape (RESAMPLES,).
    """
    stratum = np.asarray(values)
    return stratum[rng.integers(len(stratum), size=(RESAMPLES, len(stratum)))].mean(axis=1)


def interval(means: NDArray[np.float64]) -> tuple[float, float]:
    """Between which of some resampled figures :data:`CONFIDENCE` of them lie.

    With :func:`resampled_means` it is a percentile bootstrap over training seeds, and stratified
    for a difference of two arms, each drawn anew in itself (Agarwal et al., Deep RL at the edge of
    the statistical precipice, NeurIPS 2021; their package is rliable). Figures of one run on
    several terrains are no independent tasks as theirs are: a run is drawn as a whole.
    """
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = np.quantile(means, (tail, 1.0 - tail))
    return float(low), float(high)


@dataclass(frozen=True, kw_only=True)
class ComparedFigure:
    """One figure of the report over arms and seeds."""

    section: str
    row: str
    column: Column
    is_of_all: bool
    """Whether it is of the last row, which is that of everything together."""

    values: Mapping[str, Mapping[int, float]]
    """By arm and seed."""

    @property
    def first(self) -> str:
        """The arm that all are compared with."""
        return next(iter(self.values))

    def mean(self, arm: str) -> float:
        """Mean over seeds; NaN where there are none."""
        return float(np.mean(self._of(arm))) if self._of(arm) else float("nan")

    def interval(self, arm: str) -> tuple[float, float] | None:
        """Interval of the mean over training seeds; None for fewer than two."""
        values = self._of(arm)
        return interval(resampled_means(values, _rng())) if len(values) > 1 else None

    def difference(self, arm: str) -> tuple[float, float] | None:
        """Interval of the arm's mean minus the first arm's; None for fewer than two seeds."""
        ours, theirs = self._of(arm), self._of(self.first)
        if arm == self.first or min(len(ours), len(theirs)) < 2:
            return None
        rng = _rng()
        return interval(resampled_means(ours, rng) - resampled_means(theirs, rng))

    def text(self, arm: str) -> str:
        """The figure of an arm as it is printed, without its unit."""
        if not self._of(arm):
            return "-"
        bounds, difference = self.interval(arm), self.difference(arm)
        text = number_text(self.mean(arm), self.column)
        if bounds is not None:
            text += " ({} to {})".format(*(number_text(end, self.column) for end in bounds))
        differs = difference is not None and not difference[0] <= 0.0 <= difference[1]
        return f"{text} \\*" if differs else text

    def _of(self, arm: str) -> list[float]:
        return list(self.values[arm].values())


@dataclass(frozen=True, kw_only=True)
class SweepSummary:
    """Reports of the runs of a sweep, side by side: of each section its first table."""

    title: str

    reports: Mapping[str, Mapping[int, Report]]
    """By arm, the first of which the others are compared with, and by seed of the training."""

    notes: Mapping[str, str]
    """What is to be said of arms."""

    iteration_seconds: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    """Mean time of an iteration of training [s] by arm and seed, as far as it is known."""

    def figures(self) -> Iterator[ComparedFigure]:
        """The figures, in the order of the reports."""
        by_run = {
            (arm, seed): dict(_cells(in_house_style(report)))
            for arm, seeds in self.reports.items()
            for seed, report in seeds.items()
        }
        columns: dict[tuple[str, str, str], tuple[Column, bool]] = {}
        for cells in by_run.values():
            for key, (column, is_of_all, _) in cells.items():
                columns.setdefault(key, (column, is_of_all))
        for key, (column, is_of_all) in columns.items():
            section, row, _ = key
            values = {
                arm: {seed: by_run[arm, seed][key][2] for seed in seeds if key in by_run[arm, seed]}
                for arm, seeds in self.reports.items()
            }
            yield ComparedFigure(
                section=section, row=row, column=column, is_of_all=is_of_all, values=values
            )
        if self.iteration_seconds:
            yield ComparedFigure(
                section="Training",
                row="all",
                column=Column(title="time of an iteration", unit="s", decimals=3),
                is_of_all=True,
                values={arm: self.iteration_seconds.get(arm, {}) for arm in self.reports},
            )

    def overview(self) -> str:
        """Markdown table of the figures of everything together."""
        rows = [
            (f"{each.section}, {each.row}: {_titled(each.column)}", each)
            for each in self.figures()
            if each.is_of_all
        ]
        return self._table("figure", rows)

    def to_markdown(self) -> str:
        """All of it."""
        first, *others = self.reports
        method = (
            f"Mean over training seeds, with the {100 * CONFIDENCE:g} % interval of the mean by "
            "bootstrap over them. Where seeds are few it is too narrow: that of four normal "
            "values covers the truth in 80 % of cases, of ten in 90 %"
        )
        if others:
            method += (
                f"; \\* marks where that of the difference from {first}, stratified by arm, leaves "
                "out 0. Nothing is corrected for the number of figures"
            )
        seeds = [
            f"- {arm}: seeds {', '.join(map(str, of))}"
            + (f". {' '.join(self.notes[arm].split())}" if arm in self.notes else "")
            for arm, of in self.reports.items()
        ]
        blocks = [f"# {self.title}", f"{method}.", "\n".join(seeds), self.overview()]
        blocks.append(f"![Figures of everything together]({self.title}.png)")
        sections: dict[str, list[ComparedFigure]] = {}
        for each in self.figures():
            sections.setdefault(f"{each.section}: {_titled(each.column)}", []).append(each)
        for title, figures in sections.items():
            if len(figures) > 1:
                blocks += [f"**{title}**", self._table("", [(each.row, each) for each in figures])]
        return "\n\n".join(blocks) + "\n"

    def to_json(self) -> str:
        """The figures, each with the value of each run."""
        return json.dumps(
            [
                {
                    "section": each.section,
                    "row": each.row,
                    "column": each.column.title,
                    "unit": each.column.unit,
                    "arm": arm,
                    "values": each.values[arm],
                    "interval": each.interval(arm),
                    "difference": each.difference(arm),
                }
                for each in self.figures()
                for arm in self.reports
            ],
            indent=1,
        )

    def draw(self) -> bytes:
        """Picture of the figures of everything together: the runs, their means and intervals."""
        arms = list(self.reports)
        panels = [each for each in self.figures() if each.is_of_all]
        rows = -(-len(panels) // _PANEL_COLUMNS)
        width, head, height = _PANEL_SIZE
        canvas = Canvas(
            figsize=(width * _PANEL_COLUMNS, rows * (head + height * len(arms))),
            layout="constrained",
        )
        axes = canvas.subplots(rows, _PANEL_COLUMNS, squeeze=False)
        for axis in axes.flat[len(panels) :]:
            axis.set_axis_off()
        for axis, each in zip(axes.flat, panels, strict=False):
            for place, arm in enumerate(arms):
                values = list(each.values[arm].values())
                axis.plot(values, [place] * len(values), "o", color="0.6", markersize=4)
                axis.plot(each.mean(arm), place, "|", color="#0072B2", markersize=14)
                if (bounds := each.interval(arm)) is not None:
                    axis.plot(bounds, (place, place), color="#0072B2")
            axis.set_yticks(range(len(arms)), arms)
            axis.invert_yaxis()
            axis.set_title(f"{each.section}: {_titled(each.column)}", fontsize=8)
            axis.locator_params(axis="x", nbins=4)
            axis.grid(axis="x", alpha=0.3)
        file = io.BytesIO()
        canvas.savefig(file, format="png", dpi=120)
        return file.getvalue()

    def write(self, folder: Path) -> None:
        """Write it as Markdown, JSON and a picture, in place of what is there."""
        folder.mkdir(parents=True, exist_ok=True)
        for ending, content in (
            ("md", self.to_markdown().encode()),
            ("json", self.to_json().encode()),
            ("png", self.draw()),
        ):
            write_atomically(folder / f"{self.title}.{ending}", content)

    def _table(self, title: str, rows: Sequence[tuple[str, ComparedFigure]]) -> str:
        lines = [[title, *self.reports], ["---", *["---:"] * len(self.reports)]]
        lines += [[label, *(each.text(arm) for arm in self.reports)] for label, each in rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _rng() -> np.random.Generator:
    """The same draws for each figure, so that a comparison can be made again."""
    return np.random.default_rng(0)


def _cells(report: Report) -> Iterator[tuple[tuple[str, str, str], tuple[Column, bool, float]]]:
    """Figures of the first table of each section, by section, row and column."""
    for section in report.sections:
        for table in section.tables[:1]:
            for row in table.rows:
                # Whether a limit is open differs between runs.
                label, _ = split_label(row.label)
                for column, figure in zip(table.columns, row.cells, strict=True):
                    if figure is not None:
                        key = section.title, label, column.title
                        yield key, (column, row is table.rows[-1], figure.mean)


def _titled(column: Column) -> str:
    return f"{column.title} [{column.unit}]" if column.unit else column.title
