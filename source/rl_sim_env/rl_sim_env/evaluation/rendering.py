"""A report as files: JSON, Markdown, pictures, and one web page that needs nothing else."""

from __future__ import annotations

import base64
import io
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib import rc_context
from matplotlib.figure import Figure as Canvas

from rl_sim_env.errors import UserError
from rl_sim_env.evaluation.report import Column, Figure, Plot, Report, Row, Table

TITLE = "Evaluation report"

JSON_NAME, MARKDOWN_NAME, HTML_NAME = "report.json", "report.md", "report.html"

_NOTHING = "-"
"""Printed where nothing was measured."""

_COLOURS = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#D55E00",
    "#56B4E9",
    "#000000",
)
"""Told apart whatever one's colour vision (Okabe and Ito, Color Universal Design, 2008)."""

_DASHES = ("-", "--", ":")
"""Line styles, the next with each round of the colours."""

_MARKERS = "os^Dv<>"
"""Marks of the points, so that lines are told apart in grey as well."""

_MARKED_POINTS = 30
"""Lines of more points have no marks."""

_PICTURE_SIZE = (8.0, 4.2)
"""Width and height [in]; text of 10 points is read easily at the width of a README."""

_PICTURE_DPI = 150

_TEMPLATES = Environment(
    loader=PackageLoader("rl_sim_env.evaluation"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
"""What is not the template's own text is escaped; a name that it misspells is an error."""


def check_writable(folder: Path) -> None:
    """Check that :func:`write_report` can write there; leaves nothing behind.

    Raises:
        UserError: It cannot, or the folder holds something that is no part of a report.
    """
    with _told(folder):
        target = _replaceable(folder)
        existing = next(parent for parent in target.parents if parent.exists())
        tempfile.TemporaryDirectory(dir=existing).cleanup()


def write_report(report: Report, folder: Path) -> None:
    """Write the report's files in place of an earlier report's, all of them or none.

    They are ``report.json``, ``report.md``, ``report.html`` and a PNG file for each plot.

    Raises:
        UserError: They cannot be written; what was there before is untouched.
    """
    plots = [plot for section in report.sections for plot in section.plots]
    pictures = {plot.name: draw(plot) for plot in plots}
    contents = {
        JSON_NAME: report.to_json().encode(),
        MARKDOWN_NAME: to_markdown(report).encode(),
        HTML_NAME: to_html(report, pictures).encode(),
        **{_picture_name(plot): pictures[plot.name] for plot in plots},
    }
    with _told(folder):
        target = _replaceable(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as staging:
            fresh = Path(staging, "fresh")
            fresh.mkdir()
            for name, content in contents.items():
                (fresh / name).write_bytes(content)
            _replace(target, fresh, Path(staging, "earlier"))


def to_markdown(report: Report) -> str:
    """The report as Markdown that refers to the pictures by their file names."""
    facts = (f"- {_md(name)}: {_md(fact)}" for name, fact in report.facts.items())
    blocks = [f"# {TITLE}", "\n".join(facts)]
    for section in report.sections:
        blocks += [f"## {_md(section.title)}", *map(_md, _paragraphs(section.method))]
        for table in section.tables:
            grid = _grid(table)
            blocks += [f"**{_md(table.title)}**", _markdown_table(grid.head, grid.rows)]
            blocks += [_md(grid.note)]
        for plot in section.plots:
            blocks += [f"![{_md(plot.title)}]({_picture_name(plot)})"]
    return "\n\n".join(blocks) + "\n"


def to_html(report: Report, pictures: Mapping[str, bytes]) -> str:
    """The report as one web page, without scripts and without anything to load.

    Args:
        report: The report.
        pictures: The PNG file of each plot, by the plot's name.
    """
    return _TEMPLATES.get_template("report.html").render(
        title=TITLE,
        report=report,
        pictures={name: base64.b64encode(picture).decode() for name, picture in pictures.items()},
        grid=_grid,
        paragraphs=_paragraphs,
    )


def draw(plot: Plot) -> bytes:
    """The plot as a PNG file."""
    with rc_context({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False}):
        canvas = Canvas(figsize=_PICTURE_SIZE, layout="constrained")
        axes = canvas.subplots()
        for index, series in enumerate(plot.series):
            finished_rounds, place = divmod(index, len(_COLOURS))
            axes.plot(
                series.x,
                series.y,
                label=_literal(series.label),
                color=_COLOURS[place],
                linestyle=_DASHES[finished_rounds % len(_DASHES)],
                marker=_MARKERS[place] if len(series.x) <= _MARKED_POINTS else None,
                markersize=5,
            )
            if series.spread:
                y, half = np.array(series.y), np.array(series.spread)
                band = {"color": _COLOURS[place], "alpha": 0.18, "linewidth": 0}
                axes.fill_between(series.x, y - half, y + half, **band)
        axes.set(xlabel=_literal(plot.x_label), ylabel=_literal(plot.y_label))
        axes.set_title(_literal(plot.title), loc="left", fontweight="bold")
        axes.grid(alpha=0.3)
        if len(plot.series) > 1:
            canvas.legend(loc="outside right center", frameon=False)
        file = io.BytesIO()
        canvas.savefig(file, format="png", dpi=_PICTURE_DPI)
    return file.getvalue()


def figure_text(figure: Figure | None, column: Column) -> str:
    """A figure as printed in a table, without its unit: ``mean ± spread``."""
    if figure is None:
        return _NOTHING
    mean = f"{figure.mean:.{column.decimals}f}"
    return mean if figure.spread is None else f"{mean} ± {figure.spread:.{column.decimals}f}"


@dataclass(frozen=True, kw_only=True)
class _Grid:
    """A table as it is printed."""

    head: list[str]
    rows: list[list[str]]
    note: str


def _grid(table: Table) -> _Grid:
    """The table with the number of seeds and robots told once, or row by row if they differ."""
    head = [table.rows_title]
    head += [f"{of.title} [{of.unit}]" if of.unit else of.title for of in table.columns]
    rows = [
        [row.label, *(figure_text(*cell) for cell in zip(row.cells, table.columns, strict=True))]
        for row in table.rows
    ]
    note = "± is the standard deviation over seeds"
    sizes = [_size(row) for row in table.rows]
    measured = set(sizes) - {_NOTHING}
    if len(measured) == 1:
        note = f"{measured.pop()}; {note}"
    elif measured:
        head.append("measured with")
        rows = [[*cells, size] for cells, size in zip(rows, sizes, strict=True)]
    return _Grid(head=head, rows=rows, note=note)


def _size(row: Row) -> str:
    """Seeds and robots behind what was measured here of a row."""
    figures = [figure for figure in row.cells if figure is not None and figure.seeds]
    if not figures:
        return _NOTHING
    seeds = _span([figure.seeds for figure in figures], "seed")
    robots = _span([figure.robots for figure in figures], "robot")
    return f"{seeds} of {robots}"


def _span(numbers: list[int], noun: str) -> str:
    low, high = min(numbers), max(numbers)
    span = str(low) if low == high else f"{low} to {high}"
    return f"{span} {noun}" if high == 1 else f"{span} {noun}s"


def _markdown_table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(cells)} |"

    titles = [_md(title) for title in head]
    rule = ["---", *["---:"] * (len(titles) - 1)]
    return "\n".join(map(line, (titles, rule, *(map(_md, row) for row in rows))))


def _picture_name(plot: Plot) -> str:
    return f"{plot.name}.png"


def _paragraphs(text: str) -> list[str]:
    """The paragraphs of a text, each on one line."""
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip()]


def _md(text: str) -> str:
    """The text on one line, as Markdown that shows it as it is."""
    return re.sub(r"([\\`*_\[\]<>|&~$#])", r"\\\1", " ".join(text.split()))


def _literal(text: str) -> str:
    """The text as matplotlib shows it unchanged, not as mathematics."""
    return text.replace("$", r"\$")


def _replaceable(folder: Path) -> Path:
    """Where the folder really is, if nothing but an earlier report would be lost there."""
    target = folder.resolve()
    if target.is_mount():
        raise UserError(f"{folder}: a mount point, which cannot be replaced; give a folder in it")
    if target.exists() and not target.is_dir():
        raise UserError(f"{folder}: a file, not a folder; give another place for the report")
    ours = {JSON_NAME, MARKDOWN_NAME, HTML_NAME}
    for path in target.iterdir() if target.is_dir() else ():
        if path.name not in ours and path.suffix != ".png":
            raise UserError(
                f"{folder}: holds {path.name}, which is no part of a report and would be lost; "
                "give a new folder"
            )
    return target


def _replace(target: Path, fresh: Path, earlier: Path) -> None:
    """Put one folder in another's place, which stays as it was if that fails."""
    if not target.exists():
        fresh.rename(target)
        return
    target.rename(earlier)
    try:
        fresh.rename(target)
    except OSError:
        earlier.rename(target)
        raise


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Tell in one line that the folder cannot be written."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{folder}: the report cannot be written there ({error.strerror}); "
            "give another folder, or make room"
        ) from error
