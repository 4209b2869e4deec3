"""What an evaluation found, as plain data: facts, and sections of tables and plots."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rl_sim_env.errors import UserError

FOLDER_NAME = "report"
"""Folder that an evaluation writes beside its checkpoint."""

JSON_NAME = "report.json"
"""File that a report is read from."""

_SINCE = ("by_seed", "levels", "counts_walks")
"""Fields that are left out where they are empty, as in reports of before there were any."""

CONFIDENCE = 0.95
"""Of the intervals of differences and of means over trainings."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured number with its spread."""

    mean: float
    """Mean over seeds."""

    spread: float | None
    """Standard deviation over seeds; None for a single seed."""

    seeds: int
    """Number of seeds; 0 for a figure that others have published."""

    robots: int
    """Number of robots behind it in each seed; 0 for a figure that others have published."""

    by_seed: tuple[float, ...] = ()
    """The values of which it is the mean; empty in reports that were measured before they were
    kept."""

    @staticmethod
    def over_seeds(values: Iterable[float], *, robots: int) -> Figure:
        """Summarise one value per seed."""
        seeds = tuple(values)
        mean = math.fsum(seeds) / len(seeds)
        squares = math.fsum((value - mean) ** 2 for value in seeds)
        spread = math.sqrt(squares / (len(seeds) - 1)) if len(seeds) > 1 else None
        return Figure(mean=mean, spread=spread, seeds=len(seeds), robots=robots, by_seed=seeds)

    @staticmethod
    def published(value: float) -> Figure:
        """A figure that was not measured here."""
        return Figure(mean=value, spread=None, seeds=0, robots=0)


@dataclass(frozen=True, kw_only=True)
class Column:
    """What one column of a table holds."""

    title: str
    unit: str = ""
    """Unit as printed; empty for counts."""

    decimals: int = 2
    """Digits after the point that are worth printing."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table."""

    label: str
    cells: tuple[Figure | None, ...]
    """One per column; None where nothing was measured."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Figures by row and column."""

    title: str
    rows_title: str
    """What the rows are, say ``terrain``."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    levels: tuple[int, ...] = ()
    """Levels of the terrain that its robots were on; empty where there are none, and in reports
    that were measured before tables told."""

    counts_walks: bool = False
    """Whether each figure is printed with the number of walks that it stands on."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line of a plot; NaN where there is nothing to draw."""

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    spread: tuple[float, ...] = ()
    """Half height of a band around ``y``; empty for none."""


@dataclass(frozen=True, kw_only=True)
class Plot:
    """Lines over a common axis."""

    name: str
    """File name without ending; unique in a report."""

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]


@dataclass(frozen=True, kw_only=True)
class Section:
    """What one protocol found."""

    name: str
    """Short name, as on the command line; unique in a report."""

    title: str
    method: str
    """How it was measured, and after whom."""

    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = ()

    def find(self, row: str, column: str, *, table: str = "") -> tuple[Figure, Column] | None:
        """The first figure of a row and a column by their names; None where nothing was measured.

        Args:
            row: Label of the row.
            column: Title of the column.
            table: How the table's title begins.
        """
        for each in self.tables:
            if not each.title.startswith(table):
                continue
            for line in each.rows:
                for figure, of in zip(line.cells, each.columns, strict=True):
                    if (line.label, of.title) == (row, column) and figure is not None:
                        return figure, of
        return None


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that an evaluation found.

    ``facts`` tell what was evaluated, on which hardware, with which packages.
    """

    facts: Mapping[str, str]
    sections: tuple[Section, ...]

    def to_json(self) -> str:
        """The report as JSON; :meth:`from_json` rebuilds it."""
        return json.dumps(_for_json(asdict(self)), indent=1, allow_nan=False)

    @staticmethod
    def from_json(text: str) -> Report:
        """Rebuild a report from :meth:`to_json`."""
        data = json.loads(text)
        sections = tuple(_section(section) for section in data["sections"])
        return Report(facts=data["facts"], sections=sections)

    @staticmethod
    def read(path: Path) -> Report:
        """Read a report that was written.

        Args:
            path: Its folder, or its JSON file.

        Raises:
            UserError: There is none.
        """
        file = file_of(path)
        try:
            return Report.from_json(file.read_text())
        except OSError as error:
            raise UserError(
                f"{file}: cannot be read ({error.strerror}); give the folder of a report"
            ) from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                f"{file}: not a report of an evaluation; give the folder that it wrote, or the "
                f"{JSON_NAME} in it"
            ) from error

    def section(self, name: str) -> Section | None:
        """The section of a protocol; None where it was not run."""
        return next((each for each in self.sections if each.name == name), None)


def file_of(path: Path) -> Path:
    """The JSON file of a report that is given by its folder, by one around it, or by that file."""
    if not path.is_dir():
        return path
    places = (path / JSON_NAME, path / FOLDER_NAME / JSON_NAME)
    return next((each for each in places if each.is_file()), places[0])


def _for_json(value: Any) -> Any:
    """Null in place of NaN, which JSON does not know, without what older reports do not have."""
    if isinstance(value, Mapping):
        kept = {key: item for key, item in value.items() if key not in _SINCE or item}
        return {key: _for_json(item) for key, item in kept.items()}
    if isinstance(value, list | tuple):
        return [_for_json(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _section(data: Mapping[str, Any]) -> Section:
    return Section(
        **{
            **data,
            "tables": tuple(_table(table) for table in data["tables"]),
            "plots": tuple(_plot(plot) for plot in data["plots"]),
        }
    )


def _table(data: Mapping[str, Any]) -> Table:
    def row(row: Mapping[str, Any]) -> Row:
        cells = (
            None if cell is None else Figure(**{**cell, "by_seed": tuple(cell.get("by_seed", ()))})
            for cell in row["cells"]
        )
        return Row(label=row["label"], cells=tuple(cells))

    columns = tuple(Column(**column) for column in data["columns"])
    rows = tuple(row(line) for line in data["rows"])
    levels = tuple(data.get("levels", ()))
    return Table(**{**data, "columns": columns, "rows": rows, "levels": levels})


def _plot(data: Mapping[str, Any]) -> Plot:
    def series(line: Mapping[str, Any]) -> Series:
        numbers = {
            key: tuple(math.nan if number is None else number for number in line[key])
            for key in ("x", "y", "spread")
        }
        return Series(label=line["label"], **numbers)

    return Plot(**{**data, "series": tuple(series(line) for line in data["series"])})
