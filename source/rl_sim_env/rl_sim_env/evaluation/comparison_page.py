"""A comparison as files: JSON, Markdown, and one web page in the look of the reports."""

from __future__ import annotations

from pathlib import Path

from rl_sim_env.evaluation.answers import headline
from rl_sim_env.evaluation.comparison import Compared, Comparison
from rl_sim_env.evaluation.rendering import (
    SIGNS,
    markdown_rows,
    markdown_table,
    md,
    render,
    title_of,
    value_text,
    write_files,
)
from rl_sim_env.evaluation.report import CONFIDENCE
from rl_sim_env.evaluation.verdict import CRITERIA, Standing, judge

JSON_NAME, MARKDOWN_NAME, HTML_NAME = (f"comparison.{end}" for end in ("json", "md", "html"))

OURS = (JSON_NAME, MARKDOWN_NAME, HTML_NAME)

LEGEND = (
    f"Differences are to the first report, with half of their {100 * CONFIDENCE:g} % interval over "
    "evaluation seeds, which says nothing of other trainings. "
    "▲ better, ▼ worse where the interval leaves 0 out; of figures that do not differ, one in "
    "twenty is marked by chance."
)


def write_comparison(comparison: Comparison, folder: Path) -> None:
    """Write the files in place of an earlier comparison's, all of them or none.

    Raises:
        UserError: They cannot be written; what was there before is untouched.
    """
    files = {
        JSON_NAME: comparison.to_json(),
        MARKDOWN_NAME: to_markdown(comparison),
        HTML_NAME: to_html(comparison),
    }
    write_files({name: text.encode() for name, text in files.items()}, folder, OURS)


def to_html(comparison: Comparison) -> str:
    """The comparison as a page."""
    return render(
        "compare.html",
        title=_title(comparison),
        legend=LEGEND,
        comparison=comparison,
        standings=_standings(comparison),
        remark=_remark,
    )


def to_markdown(comparison: Comparison) -> str:
    """The comparison as Markdown."""
    letters = [of.letter for of in comparison.reports]
    blocks = [f"# {md(_title(comparison))}"]
    blocks += [f"> **{md(warning)}**" for warning in comparison.warnings]
    names = (
        f"- {of.letter}: {md(title_of(of.report))} ({md(str(of.path))})"
        for of in comparison.reports
    )
    blocks += ["\n".join(names), md(" ".join(comparison.summary()))]
    if standings := _standings(comparison):
        rows = [
            [md(name), *(_standing_text(of) for of in each)] for name, each in standings.items()
        ]
        blocks.append(markdown_rows(["figure", *letters], rows))
    blocks.append(md(LEGEND))
    first = comparison.reports[0]
    for section in first.report.sections:
        tables = [
            (letter, table)
            for letter in comparison.differences
            for table in comparison.tables(letter, section)
        ]
        if tables:
            blocks.append(f"## {md(headline(section)[0])}")
        for letter, table in tables:
            title, rows = markdown_table(table)
            blocks += [f"{letter} minus {first.letter}: {title}", rows]
    facts = [[md(name), *map(md, values)] for name, values in comparison.unlike_facts().items()]
    blocks += ["## What else differs", markdown_rows(["fact", *letters], facts)] if facts else []
    return "\n\n".join(blocks) + "\n"


def _title(comparison: Comparison) -> str:
    return f"Comparison of {len(comparison.reports)} reports"


def _standings(comparison: Comparison) -> dict[str, list[Standing | None]]:
    """How each report stands to each criterion that any of them was measured by."""
    verdicts = [_by_name(of) for of in comparison.reports]
    table = {of.name: [each.get(of.name) for each in verdicts] for of in CRITERIA}
    return {name: standings for name, standings in table.items() if any(standings)}


def _by_name(of: Compared) -> dict[str, Standing]:
    return {standing.name: standing for standing in judge(of.report).standings}


def _standing_text(of: Standing | None) -> str:
    if of is None:
        return "-"
    beside = f" ({remark})" if (remark := _remark(of)) else ""
    return f"{SIGNS[of.status]} {md(f'{value_text(of)} {of.column.unit}{beside}')}"


def _remark(of: Standing) -> str:
    """Where the figure stands and under which conditions: those of two reports may differ."""
    return "; ".join(filter(None, (of.where, of.note)))
