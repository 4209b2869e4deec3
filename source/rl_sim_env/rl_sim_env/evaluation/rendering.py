"""A report as files: JSON, Markdown, pictures, and one web page that needs nothing else."""

from __future__ import annotations

import base64
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from rl_sim_env.errors import UserError
from rl_sim_env.evaluation.answers import headline
from rl_sim_env.evaluation.plots import caption, draw
from rl_sim_env.evaluation.printed import WORST, Cell, Printed, printed
from rl_sim_env.evaluation.report import JSON_NAME, Report
from rl_sim_env.evaluation.verdict import SEES, Standing, judge
from rl_sim_env.evaluation.wording import in_house_style

MARKDOWN_NAME, HTML_NAME, PHOTO_NAME = "report.md", "report.html", "walking.jpg"

OURS = (JSON_NAME, MARKDOWN_NAME, HTML_NAME, PHOTO_NAME, "*.png")
"""Files of a report, as patterns."""

COMMAND = "Command"
"""Fact that tells how the report was made."""

LEGEND = (
    "± is the standard deviation over evaluation seeds. The worst figure of a column, with each "
    "kind of sensors, is marked where it stands out by more; rows that add up others stand apart. "
    "≥: nothing harder was tried."
)

SIGNS = {"reached": "✓", "not reached": "✗", "open": "?"}
"""Beside the words, for whoever does not see colours."""

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

    Args:
        folder: The folder.

    Raises:
        UserError: It cannot, or the folder holds something that is no part of a report.
    """
    with _told(folder):
        target = _replaceable(folder, OURS)
        existing = next(parent for parent in target.parents if parent.exists())
        tempfile.TemporaryDirectory(dir=existing).cleanup()


def write_report(report: Report, folder: Path, photo: bytes | None = None) -> None:
    """Write the report's files in place of an earlier report's, all of them or none.

    They are ``report.json``, ``report.md``, ``report.html``, a PNG file for each plot, and
    ``walking.jpg`` if there is such a picture.

    Args:
        report: What was found; the JSON file has it as it is, the others in today's words.
        folder: Where to write.
        photo: The robot as it walks, as a JPEG file.

    Raises:
        UserError: They cannot be written; what was there before is untouched.
    """
    drawings = {plot.name: draw(plot) for section in report.sections for plot in section.plots}
    svgs = {name: drawing.svg for name, drawing in drawings.items()}
    files = {
        JSON_NAME: report.to_json().encode(),
        MARKDOWN_NAME: to_markdown(report, has_photo=photo is not None).encode(),
        HTML_NAME: to_html(report, svgs, photo).encode(),
        **{f"{name}.png": drawing.png for name, drawing in drawings.items()},
    }
    write_files(files if photo is None else {**files, PHOTO_NAME: photo}, folder)


def read_photo(folder: Path) -> bytes | None:
    """The picture in the folder of a report; None where there is none."""
    file = folder / PHOTO_NAME
    return file.read_bytes() if file.is_file() else None


def to_markdown(report: Report, *, has_photo: bool = False) -> str:
    """The report as Markdown that refers to the pictures by their file names."""
    report = in_house_style(report)
    verdict = judge(report)
    blocks = [f"# {md(title_of(report))}"]
    blocks += [f"> **{md(warning)}**" for warning in verdict.warnings]
    blocks += [f"![The robot as it walks]({PHOTO_NAME})"] if has_photo else []
    blocks += [md(" ".join(verdict.sentences))]
    blocks += [_verdict_table(verdict.standings)] if verdict.standings else []
    blocks += [md(LEGEND)]
    for section in report.sections:
        blocks.append(f"## {md(' '.join(filter(None, headline(section))))}")
        for table in section.tables:
            blocks += markdown_table(printed(table))
        for plot in section.plots:
            words = caption(plot, section)
            blocks += [f"![{md(plot.title)}]({plot.name}.png)", md(words)]
        blocks += [f"How it was measured: {md(text)}" for text in paragraphs(section.method)]
    facts = (f"- {md(name)}: {md(fact)}" for name, fact in report.facts.items())
    blocks += ["## How to reproduce it", "\n".join(facts)]
    return "\n\n".join(blocks) + "\n"


def to_html(report: Report, svgs: Mapping[str, str], photo: bytes | None = None) -> str:
    """The report as a page with the plots and the photo inside.

    Args:
        report: The report.
        svgs: Elements by the names of the plots.
        photo: JPEG file.
    """
    report = in_house_style(report)
    return render(
        "report.html",
        title=title_of(report),
        legend=LEGEND,
        report=report,
        verdict=judge(report),
        svgs=svgs,
        photo=None if photo is None else base64.b64encode(photo).decode(),
        command=COMMAND,
        files=(JSON_NAME, MARKDOWN_NAME),
    )


def render(template: str, **values: Any) -> str:
    """Fill a template of a page."""
    return _TEMPLATES.get_template(template).render(**_WORDS, **values)


def title_of(report: Report) -> str:
    """Robot or task, whether it sees, and policy; else what it is."""
    walker = report.facts.get("Robot") or report.facts.get("Evaluated on")
    if walker and SEES in report.facts:
        walker = f"{walker} with sight"
    names = (walker, _policy(report))
    return ": ".join(filter(None, names)) or "Evaluation report"


def _policy(report: Report) -> str | None:
    policy = report.facts.get("Policy")
    return policy and policy.partition(",")[0]


def write_files(files: Mapping[str, bytes], folder: Path, ours: Sequence[str] = OURS) -> None:
    """Write files in place of an earlier report's, all of them or none.

    Args:
        files: Contents by name.
        folder: Where to write.
        ours: What an earlier report may have left there, as patterns of file names.

    Raises:
        UserError: They cannot be written; what was there before is untouched.
    """
    with _told(folder):
        target = _replaceable(folder, ours)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as staging:
            fresh = Path(staging, "fresh")
            fresh.mkdir()
            for name, content in files.items():
                (fresh / name).write_bytes(content)
            _replace(target, fresh, Path(staging, "earlier"))


def limit_text(standing: Standing, limit: float | None) -> str:
    """An aim or a published figure, with its sign; a dash where there is none."""
    if limit is None:
        return "-"
    return f"{'≥' if standing.column.unit == '%' else '≤'} {standing.text(limit)}"


def markdown_table(table: Printed) -> list[str]:
    """Title, table and what it stands on, as blocks of Markdown."""
    head = [f"{title} [{unit}]" if unit else title for title, unit in table.head]
    rows = [
        [md(line.label), *map(_markdown_cell, line.cells)] for body in table.bodies for line in body
    ]
    note = f" ({md(table.note)})" if table.note else ""
    return [f"**{md(table.title)}**{note}", markdown_rows(map(md, head), rows)]


def _markdown_cell(cell: Cell) -> str:
    below = f"({cell.below})" if cell.below else ""
    text = md(f"{cell.text} {cell.minor} {below}")
    return f"**{text}**" if cell.mark == WORST else text


def _verdict_table(standings: Iterable[Standing]) -> str:
    rows = [
        [
            md(f"{of.name} ({of.where})" if of.where else of.name),
            md(f"{value_text(of)} {of.column.unit}"),
            md(limit_text(of, of.aim)),
            md(published_text(of)),
            f"{SIGNS[of.status]} {of.status}" + (f" ({md(of.note)})" if of.note else ""),
        ]
        for of in standings
    ]
    return markdown_rows(("figure", "measured", "aim", "best published", "verdict"), rows)


def value_text(standing: Standing) -> str:
    """The measured figure with its spread."""
    spread = standing.figure.spread
    mean = standing.text(standing.figure.mean)
    return mean if spread is None else f"{mean} ± {standing.text(spread)}"


def published_text(standing: Standing) -> str:
    """The best published figure and whose it is."""
    if standing.published is None:
        return "-"
    return f"{standing.text(standing.published)} ({standing.source})"


def markdown_rows(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of texts that are Markdown already."""

    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(cells)} |"

    titles = list(head)
    rule = ["---", *["---:"] * (len(titles) - 1)]
    return "\n".join(map(line, (titles, rule, *rows)))


def paragraphs(text: str) -> list[str]:
    """The paragraphs of a text, each on one line."""
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip()]


def md(text: str) -> str:
    """The text on one line, as Markdown that shows it as it is."""
    return re.sub(r"([\\`*_\[\]<>|&~$#])", r"\\\1", " ".join(text.split()))


_WORDS = {
    "caption": caption,
    "headline": headline,
    "limit_text": limit_text,
    "paragraphs": paragraphs,
    "printed": printed,
    "published_text": published_text,
    "signs": SIGNS,
    "title_of": title_of,
    "value_text": value_text,
}
"""What templates call."""


def _replaceable(folder: Path, ours: Sequence[str]) -> Path:
    """Where the folder really is, if nothing but an earlier report would be lost there."""
    target = folder.resolve()
    if target.is_mount():
        raise UserError(f"{folder}: a mount point, which cannot be replaced; give a folder in it")
    if target.exists() and not target.is_dir():
        raise UserError(f"{folder}: a file, not a folder; give another place for the report")
    for path in target.iterdir() if target.is_dir() else ():
        if not any(fnmatch(path.name, pattern) for pattern in ours):
            raise UserError(
                f"{folder}: holds {path.name}, which an earlier run did not write there and which "
                "would be lost; give a new folder"
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
