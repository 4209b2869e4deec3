"""Reports side by side: what differs, and by how much more than chance."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import stdev
from string import ascii_uppercase
from typing import Any

from scipy.special import stdtrit

from rl_sim_env.errors import UserError
from rl_sim_env.evaluation.printed import (
    BETTER,
    NOTHING,
    WORSE,
    ZERO,
    Cell,
    Line,
    Printed,
    direction,
    number_text,
    stands_on,
)
from rl_sim_env.evaluation.report import (
    CONFIDENCE,
    Column,
    Figure,
    Report,
    Section,
    Table,
    file_of,
)
from rl_sim_env.evaluation.verdict import QUICK, ROBOTS, SEEDS, SENSORS
from rl_sim_env.evaluation.wording import (
    in_house_style,
    is_total,
    levels_of,
    split_label,
    start_of,
)

SIGNS = {BETTER: "▲", WORSE: "▼"}
"""Beside the colours."""

MOST = len(ascii_uppercase)

_OF_CONDITIONS = ("Robot", "Evaluated on", SEEDS, ROBOTS, SENSORS, "Settings")
"""Facts that should be alike for figures to be comparable."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A figure of two reports: that of the other minus that of the first."""

    section: str
    table: str
    row: str
    column: Column
    first: Figure
    other: Figure
    value: float
    half: float | None
    """Half of the interval in which the difference lies with :data:`CONFIDENCE`; None where a
    report has one seed alone."""

    is_paired: bool
    """Whether it is over seeds that both have in common."""

    direction: int
    """1 where more is worse, -1 where less is, 0 where neither."""

    signs: tuple[str, str] = ("", "")
    """``≥`` of figures that are bounds."""

    @property
    def mark(self) -> str:
        """Better or worse, where chance alone rarely makes such a difference."""
        is_sure = self.half is not None and abs(self.value) > self.half and not any(self.signs)
        is_visible = float(number_text(self.value, self.column)) != 0.0
        if not (is_sure and is_visible and self.direction):
            return ""
        return WORSE if self.value * self.direction > 0 else BETTER


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One of the reports."""

    letter: str
    """What tables call it."""

    path: Path
    report: Report
    """In today's words."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What a comparison found."""

    reports: tuple[Compared, ...]
    warnings: tuple[str, ...]
    differences: dict[str, tuple[Difference, ...]]
    """Of each report behind the first, by its letter."""

    def summary(self) -> list[str]:
        """A sentence on each report behind the first."""
        first = self.reports[0].letter
        sentences = []
        for letter, found in self.differences.items():
            judged = [each for each in found if each.direction and each.half is not None]
            better, worse = (sum(each.mark == mark for each in judged) for mark in (BETTER, WORSE))
            sentences.append(
                f"Of {len(judged)} figures that can be better or worse, {letter} has {better} "
                f"better and {worse} worse than {first}; {len(judged) - better - worse} do not "
                "differ beyond chance."
                if judged
                else f"{first} or {letter} has one seed alone: nothing tells chance from change."
            )
        return sentences

    def tables(self, letter: str, section: Section) -> list[Printed]:
        """The differences of a report to the first, in the tables of one of its sections."""
        found = [each for each in self.differences[letter] if each.section == section.name]
        return [
            _printed(table, [each for each in found if each.table == table.title])
            for table in section.tables
            if any(each.table == table.title for each in found)
        ]

    def unlike_facts(self) -> dict[str, list[str]]:
        """Facts that differ, one value for each report."""
        names = dict.fromkeys(name for each in self.reports for name in each.report.facts)
        values = {name: [of.report.facts.get(name, "-") for of in self.reports] for name in names}
        return {name: of for name, of in values.items() if len({*of}) > 1}

    def to_json(self) -> str:
        """All differences as JSON."""
        reports = [
            {"letter": of.letter, "path": str(of.path), "facts": dict(of.report.facts)}
            for of in self.reports
        ]
        differences = [
            _as_json(each, of, self.reports[0].letter)
            for of, found in self.differences.items()
            for each in found
        ]
        content = {
            "reports": reports,
            "warnings": self.warnings,
            "confidence": CONFIDENCE,
            "differences": differences,
        }
        return json.dumps(content, indent=1, allow_nan=False)


def compare(paths: Sequence[Path]) -> Comparison:
    """Compare reports with the first of them.

    Args:
        paths: Their folders, or JSON files.

    Raises:
        UserError: There are fewer than two or too many, one is none or stands there twice, or one
            shares no figure with the first.
    """
    if not 2 <= len(paths) <= MOST:
        raise UserError(f"{len(paths)} reports given; a comparison takes 2 to {MOST}")
    for one, other in combinations(paths, 2):
        if file_of(one).resolve() == file_of(other).resolve():
            raise UserError(f"{other}: stands there twice; give different reports")
    reports = tuple(
        Compared(letter=letter, path=path, report=in_house_style(Report.read(path)))
        for letter, path in zip(ascii_uppercase, paths, strict=False)
    )
    first, *others = reports
    differences = {of.letter: tuple(_differences(first.report, of.report)) for of in others}
    for of in others:
        if not differences[of.letter]:
            raise UserError(
                f"{of.path}: shares no figure with {first.path}: the protocols are "
                f"{_names(of.report)}, and {_names(first.report)}"
            )
    return Comparison(reports=reports, warnings=tuple(_warnings(reports)), differences=differences)


def difference_interval(
    first: Figure, other: Figure, *, same_seeds: bool
) -> tuple[float, float | None, bool]:
    """The other figure minus the first, half of its interval, and whether seeds were paired.

    Where both know their values over the same seeds, it is Student's interval of the differences
    seed by seed; else Welch's (Biometrika, 1947), of two means with spreads of their own.

    Args:
        first: A figure.
        other: Another.
        same_seeds: Whether both are over the same seeds, in the same order.
    """
    value = other.mean - first.mean
    count = len(first.by_seed)
    if same_seeds and count == len(other.by_seed) and count > 1:
        pairs = zip(first.by_seed, other.by_seed, strict=True)
        spread = stdev(after - before for before, after in pairs)
        return value, _quantile(count - 1) * spread / math.sqrt(count), True
    if first.spread is None or other.spread is None:
        return value, None, False
    parts = [(of.spread or 0.0) ** 2 / of.seeds for of in (first, other)]
    if not sum(parts):
        return value, 0.0, False
    freedom = sum(parts) ** 2 / sum(
        part**2 / (of.seeds - 1) for part, of in zip(parts, (first, other), strict=True)
    )
    return value, _quantile(freedom) * math.sqrt(sum(parts)), False


def _quantile(freedom: float) -> float:
    """Student's t at the upper end of the interval."""
    return float(stdtrit(freedom, 0.5 + CONFIDENCE / 2.0))


def _differences(first: Report, other: Report) -> Iterator[Difference]:
    same_seeds = first.facts.get(SEEDS) == other.facts.get(SEEDS)
    for section in first.sections:
        counterpart = other.section(section.name)
        if counterpart is None:
            continue
        for table in section.tables:
            facing = {
                (split_label(row.label)[0], column.title): (figure, split_label(row.label)[1])
                for each in counterpart.tables
                if each.title == table.title
                for row in each.rows
                for column, figure in zip(each.columns, row.cells, strict=True)
            }
            for row in table.rows:
                label, sign = split_label(row.label)
                for column, figure in zip(table.columns, row.cells, strict=True):
                    against, other_sign = facing.get((label, column.title), (None, ""))
                    if figure is None or against is None or not (figure.seeds and against.seeds):
                        continue
                    value, half, is_paired = difference_interval(
                        figure, against, same_seeds=same_seeds
                    )
                    yield Difference(
                        section=section.name,
                        table=table.title,
                        row=label,
                        column=column,
                        first=figure,
                        other=against,
                        value=value,
                        half=half,
                        is_paired=is_paired,
                        direction=direction(column, table),
                        signs=(sign, other_sign),
                    )


def _warnings(reports: Sequence[Compared]) -> Iterator[str]:
    """Why figures may differ for other reasons than the policies."""
    quick = [of.letter for of in reports if QUICK in of.report.facts]
    if quick:
        verb = "is a quick try" if len(quick) == 1 else "are quick tries"
        yield f"{' and '.join(quick)} {verb}, whose figures mean little."
    first, *others = reports
    for of in others:
        for name in _OF_CONDITIONS:
            ours, theirs = (each.report.facts.get(name) for each in (first, of))
            if ours is not None and theirs is not None and ours != theirs:
                yield f"Not alike: {name}, {first.letter} {ours}; {of.letter} {theirs}."
        levels = [
            next(filter(None, map(levels_of, each.report.sections)), None) for each in (first, of)
        ]
        if None not in levels and levels[0] != levels[1]:
            yield f"Not alike: levels, {first.letter} {levels[0]}; {of.letter} {levels[1]}."
        # Walks began in the middle of a tile once.
        for section in first.report.sections:
            beside = of.report.section(section.name)
            ours, theirs = start_of(section), beside and start_of(beside)
            if ours and theirs and ours != theirs:
                yield (
                    f"Not alike: where walks of {section.name} begin, {first.letter} {ours}; "
                    f"{of.letter} {theirs}."
                )
        for here, there in ((first, of), (of, first)):
            alone = [
                section.name
                for section in here.report.sections
                if there.report.section(section.name) is None
            ]
            if alone:
                yield f"Only {here.letter} has {', '.join(alone)}."


def _names(report: Report) -> str:
    return ", ".join(section.name for section in report.sections) or "none"


def _printed(table: Table, found: Sequence[Difference]) -> Printed:
    columns = [column for column in table.columns if any(each.column == column for each in found)]
    at = {(each.row, each.column.title): each for each in found}
    shown = {each.row for each in found}
    how = "paired by seed" if all(each.is_paired for each in found) else "not paired"
    figures = [figure for each in found for figure in (each.first, each.other)]
    bodies = []
    for totals in (False, True):
        labels = (split_label(row.label)[0] for row in table.rows if is_total(row, table) is totals)
        bodies.append(
            tuple(
                Line(label=label, cells=tuple(_cell(at.get((label, of.title))) for of in columns))
                for label in labels
                if label in shown
            )
        )
    return Printed(
        title=table.title,
        note=f"{stands_on(figures)}, {how}",
        head=((table.rows_title, ""), *((of.title, of.unit) for of in columns)),
        bodies=tuple(filter(None, bodies)),
    )


def _cell(found: Difference | None) -> Cell:
    if found is None:
        return Cell(text=NOTHING)
    column = found.column
    value = number_text(found.value, column)
    text = value if found.value <= 0.0 or float(value) == 0.0 else f"+{value}"
    ends = (
        f"{sign}{number_text(figure.mean, column)}"
        for sign, figure in zip(found.signs, (found.first, found.other), strict=True)
    )
    mark = found.mark
    return Cell(
        text=SIGNS.get(mark, "") + text,
        minor="" if found.half is None else f"± {number_text(found.half, column)}",
        below=" → ".join(ends),
        mark=mark or (ZERO if float(value) == 0.0 else ""),
    )


def _as_json(found: Difference, letter: str, first: str) -> dict[str, Any]:
    interval = None if found.half is None else [found.value - found.half, found.value + found.half]
    return {
        "section": found.section,
        "table": found.table,
        "row": found.row,
        "column": found.column.title,
        "unit": found.column.unit,
        first: found.first.mean,
        letter: found.other.mean,
        "difference": found.value,
        "interval": interval,
        "paired": found.is_paired,
        "verdict": found.mark,
    }
