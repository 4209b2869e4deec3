"""One unit and one spelling for what reports say, also those that were measured long ago.

Saved reports keep the words of the day they were measured; pages and comparisons show them in
these.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from rl_sim_env.evaluation.report import Column, Figure, Report, Row, Section, Table

FALLS_UNIT = "per 1000 s"
_OTHER_FALLS_UNIT, _FACTOR = "per 100 s", 10.0

_SPELLINGS = {
    "cm^2": "cm²",
    "m^2": "m²",
    "+-": "±",
    "velocity error, both": "velocity error while turning",
    "yaw rate error, both": "yaw rate error while walking",
    "the columns marked 'both' are": "the errors while turning and while walking are those",
}

_TITLES = {
    ("falls", "%"): "walks with a fall",
    ("CoM RMSE", "cm"): "CoM RMSE, x and y",
    ("mass", "kg"): "extra mass",
    **{("action rate", f"% of {of}"): "target rate" for of in ("steps", "walks", "limit")},
}
"""Titles of columns, with their units, that say less than those on the right."""

OR_MORE = " (or more: nothing harder was tried)"
OR_LESS = " (or less: nothing easier was tried)"

_OPEN_ENDS = {OR_MORE: "≥ ", OR_LESS: "≤ "}
"""Ends of a row's label where a limit was not found, and what its figure is then shown with."""

TOTAL = "all"

_SUMS = {"stairs": "stairs up"}
"""Rows that add up others, beside one of those."""


_FROM_SOURCE = ("rl_sim_env not installed", "rl_sim_env from its source")
"""What reports said of code that was run without being installed, and what that means."""


def in_house_style(report: Report) -> Report:
    """The report with falls per 1000 s everywhere, and with today's spelling and titles."""
    return replace(
        report,
        facts={name: fact.replace(*_FROM_SOURCE) for name, fact in report.facts.items()},
        sections=tuple(map(_section, report.sections)),
    )


def plain(number: str) -> str:
    """A printed number without the sign of a zero."""
    return number.lstrip("-") if float(number) == 0.0 else number


def split_label(label: str) -> tuple[str, str]:
    """A row's label without its open end, and what its figures are shown with: ``≥`` or nothing."""
    for end, sign in _OPEN_ENDS.items():
        # Behind it may stand the sensors.
        if end in label:
            return label.replace(end, ""), sign
    return label, ""


def with_sensors(label: str, sensors: str) -> str:
    """The label of a row that was measured with other sensors than the rows above it."""
    return f"{label}, {sensors} sensors"


def sensors_of(label: str) -> str:
    """What kind of sensors a row's label names; empty for that of the rows above them."""
    found = re.search(r", (\w+) sensors$", label)
    return found[1] if found else ""


def by_sensors(section: Section) -> dict[str, Section]:
    """The section in parts of one kind of sensors each, whose rows do not name it."""
    kinds = dict.fromkeys(sensors_of(row.label) for of in section.tables for row in of.rows)

    def part(kind: str) -> Section:
        end = with_sensors("", kind) if kind else ""
        tables = []
        for table in section.tables:
            rows = [row for row in table.rows if sensors_of(row.label) == kind]
            named = (replace(row, label=row.label.removesuffix(end)) for row in rows)
            tables.append(replace(table, rows=tuple(named)))
        return replace(section, tables=tuple(tables))

    return {kind: part(kind) for kind in kinds}


def is_total(row: Row, table: Table) -> bool:
    """Whether a row adds up others of its table."""
    name = row.label.partition(",")[0]
    part = _SUMS.get(name)
    names = {other.label.partition(",")[0] for other in table.rows}
    return name == TOTAL or (part is not None and any(each.startswith(part) for each in names))


def level_list(levels: Iterable[int]) -> str:
    """Levels of the terrain as they are printed: ``1, 2, 3, 4``."""
    return ", ".join(map(str, levels))


def levels_of(section: Section) -> str | None:
    """Levels of the terrain that a protocol was run on, as its tables or its method tell them."""
    for table in section.tables:
        if table.levels:
            return level_list(table.levels)
    found = re.search(r"terrain levels ([\d, ]*\d)", section.method)
    return found[1] if found else None


def start_of(section: Section) -> str | None:
    """Where on a tile the walks of a protocol began, as its method tells it."""
    found = re.search(r"robots begin (in the middle|on the feature)", section.method)
    return found[1] if found else None


def _section(section: Section) -> Section:
    return replace(
        section,
        method=_spelt(section.method),
        tables=tuple(map(_table, section.tables)),
    )


def _table(table: Table) -> Table:
    # Where columns are loads, the unit stands in the title of the table.
    of_all = f"[{_OTHER_FALLS_UNIT}]" in table.title
    factors = [_FACTOR if of_all or of.unit == _OTHER_FALLS_UNIT else 1.0 for of in table.columns]
    return replace(
        table,
        title=table.title.replace(f"[{_OTHER_FALLS_UNIT}]", f"[{FALLS_UNIT}]"),
        columns=tuple(map(_column, table.columns)),
        rows=tuple(
            replace(
                row,
                label=_spelt(row.label),
                cells=tuple(_scaled(*pair) for pair in zip(row.cells, factors, strict=True)),
            )
            for row in table.rows
        ),
    )


def _column(column: Column) -> Column:
    unit = FALLS_UNIT if column.unit == _OTHER_FALLS_UNIT else _spelt(column.unit)
    title = _TITLES.get((column.title, column.unit), column.title)
    return replace(column, title=_spelt(title), unit=unit)


def _scaled(figure: Figure | None, factor: float) -> Figure | None:
    if figure is None or factor == 1.0:
        return figure
    return replace(
        figure,
        mean=factor * figure.mean,
        spread=None if figure.spread is None else factor * figure.spread,
        by_seed=tuple(factor * value for value in figure.by_seed),
    )


def _spelt(text: str) -> str:
    for old, new in _SPELLINGS.items():
        text = text.replace(old, new)
    return text
