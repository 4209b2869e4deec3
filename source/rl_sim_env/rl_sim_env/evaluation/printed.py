"""Tables as they are printed: totals apart, the worst marked, what they stand on told once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from rl_sim_env.evaluation.report import Column, Figure, Row, Table
from rl_sim_env.evaluation.wording import is_total, level_list, plain, sensors_of, split_label

NOTHING = "-"
"""Printed where nothing was measured."""

WORST, ZERO, BETTER, WORSE = "worst", "zero", "better", "worse"
"""Marks of cells, which are classes of the page."""

_MORE_IS_WORSE = re.compile(
    "error|RMSE|falls|with a fall|at its limit|beyond|contact|cost of|asymmetry|slip|edge|riser|"
    "stuck|under the foot|settl|gap|violation|percentile|maximum",
    re.IGNORECASE,
)
_LESS_IS_WORSE = re.compile(
    "survivors|largest push|heaviest load|longest boom|walks without|distance walked|seeds pass|"
    "cells within",
    re.IGNORECASE,
)
_NEITHER = re.compile("random|share of falls|interval|^seen$")

_NO_CONTEST = ("prediction", "error", "quantity", "true step", "feature, load")
"""What rows are where none of them is the worst: they are not conditions of the same thing."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell."""

    text: str
    minor: str = ""
    """What stands behind it in smaller letters."""

    below: str = ""
    """What stands below it."""

    mark: str = ""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line."""

    label: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class Printed:
    """A table of texts."""

    title: str
    note: str
    """What it stands on."""

    head: tuple[tuple[str, str], ...]
    """Titles of the columns with their units; the first is that of the rows."""

    bodies: tuple[tuple[Line, ...], ...]
    """Lines, those that add up others in a body of their own at the end."""


def direction(column: Column, table: Table) -> int:
    """1 where more is worse, -1 where less is worse, 0 where neither is."""
    for title in (column.title, table.title):
        if _NEITHER.search(title):
            return 0
        if _MORE_IS_WORSE.search(title):
            return 1
        if _LESS_IS_WORSE.search(title):
            return -1
    return 0


def figure_text(figure: Figure | None, column: Column) -> str:
    """A figure without its unit: ``mean ± spread``."""
    cell = _cell(figure, column)
    return f"{cell.text} {cell.minor}".rstrip()


def number_text(value: float, column: Column) -> str:
    """A number with the decimals of its column."""
    return plain(f"{value:.{column.decimals}f}")


def printed(table: Table) -> Printed:
    """The table as it is printed."""
    columns = [[row.cells[place] for row in table.rows] for place in range(len(table.columns))]
    worst = {
        sensors: [
            _worst(column, cells, table, sensors)
            for column, cells in zip(table.columns, columns, strict=True)
        ]
        for sensors in {sensors_of(row.label) for row in table.rows}
    }

    def line(row: Row) -> Line:
        label, sign = split_label(row.label)
        return Line(
            label=label,
            cells=tuple(
                _cell(
                    figure,
                    column,
                    sign=sign,
                    worst="" if is_total(row, table) else bad,
                    counts_walks=table.counts_walks,
                )
                for figure, column, bad in zip(
                    row.cells, table.columns, worst[sensors_of(row.label)], strict=True
                )
            ),
        )

    totals = [is_total(row, table) for row in table.rows]
    bodies = (
        tuple(line(row) for row, total in zip(table.rows, totals, strict=True) if total is wanted)
        for wanted in (False, True)
    )
    return Printed(
        title=table.title,
        note=", ".join(
            filter(None, (stands_on(f for row in table.rows for f in row.cells), _levels(table)))
        ),
        head=((table.rows_title, ""), *((of.title, of.unit) for of in table.columns)),
        bodies=tuple(body for body in bodies if body),
    )


def stands_on(figures: Iterable[Figure | None]) -> str:
    """Seeds and robots behind what was measured of some figures: ``5 seeds of 24 to 96 robots``."""
    measured = [figure for figure in figures if figure is not None and figure.seeds]
    if not measured:
        return ""
    seeds = _span([figure.seeds for figure in measured], "seed")
    return f"{seeds} of {_span([figure.robots for figure in measured], 'robot')}"


def _levels(table: Table) -> str:
    """Levels of the terrain that a table stands on: ``levels 1 to 4``."""
    if len(levels := table.levels) < 2:
        return f"level {levels[0]}" if levels else ""
    low, high = min(levels), max(levels)
    in_a_row = sorted(levels) == list(range(low, high + 1))
    return f"levels {low} to {high}" if in_a_row else f"levels {level_list(levels)}"


def _cell(
    figure: Figure | None,
    column: Column,
    *,
    sign: str = "",
    worst: str = "",
    counts_walks: bool = False,
) -> Cell:
    if figure is None:
        return Cell(text=NOTHING)
    text = number_text(figure.mean, column)
    minor = "" if figure.spread is None else f"± {number_text(figure.spread, column)}"
    mark = ZERO if float(text) == 0.0 else WORST if text == worst else ""
    below = _span([figure.seeds * figure.robots], "walk") if counts_walks else ""
    return Cell(text=sign + text, minor=minor, below=below, mark=mark)


def _worst(column: Column, cells: Sequence[Figure | None], table: Table, sensors: str) -> str:
    """How the worst figure of a column is printed, if it stands out by more than its spread.

    Rows of one kind of sensors are compared among themselves.
    """
    sign = direction(column, table)
    figures = [
        figure
        for row, figure in zip(table.rows, cells, strict=True)
        if figure is not None and sensors_of(row.label) == sensors and not is_total(row, table)
    ]
    if not sign or table.rows_title in _NO_CONTEST or len(figures) < 2:
        return ""
    worst = max(figures, key=lambda figure: sign * figure.mean)
    usual = fmean(figure.mean for figure in figures)
    stands_out = abs(worst.mean - usual) > (worst.spread or 0.0)
    return number_text(worst.mean, column) if stands_out else ""


def _span(numbers: list[int], noun: str) -> str:
    low, high = min(numbers), max(numbers)
    span = str(low) if low == high else f"{low} to {high}"
    return f"{span} {noun}" if high == 1 else f"{span} {noun}s"
