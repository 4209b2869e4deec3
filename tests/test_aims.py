"""Pages tell the aims that reports are judged by, and how the shipped policies stand to them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pages import DOCS, ROOT
from rl_sim_env.evaluation.report import Report
from rl_sim_env.evaluation.verdict import CRITERIA
from rl_sim_env.evaluation.wording import in_house_style

HARDWARE = ", hardware sensors"
WORDS = {
    "judged by": "by",
    "评判依据": "by",
    "ideal sensors": "measured",
    "理想传感器": "measured",
    "sensors as on hardware": f"measured{HARDWARE}",
    "与硬件一样的传感器": f"measured{HARDWARE}",
    "aim": "aim",
    "目标": "aim",
    "aim on hardware's sensors": "aim_on_hardware",
    "硬件传感器的目标": "aim_on_hardware",
    "the best published, without load": "published",
    "已发表的最好结果，无负载": "published",  # noqa: RUF001
}
"""What the columns of these tables are called, and what they are."""

GRQ20 = ("grq20_v2d3/survival_600s", "grq20_v2d3/report")
TABLES = [
    (ROOT / "README.md", 0, GRQ20),
    (ROOT / "README.zh-CN.md", 0, GRQ20),
    (DOCS / "results.md", 0, GRQ20),
    (DOCS / "results.md", 1, ("go1/report",)),
]
"""Page, which of its tables, and reports; the first that has a section counts."""


def numbers(cell: str) -> list[float]:
    return [*map(float, re.findall(r"\d+(?:\.\d+)?", cell))]


def judging_tables(page: Path) -> list[list[dict[str, list[float]]]]:
    """The numbers in the cells of the tables that begin with what is judged by."""
    found = re.findall(r"(?:^\|.*\n)+", page.read_text(), re.MULTILINE)
    tables = []
    for head, _, *rows in ([line.split("|")[1:-1] for line in of.splitlines()] for of in found):
        names = [WORDS.get(cell.strip()) for cell in head]
        if names[0] == "by":
            assert None not in names
            cells = [zip(names, row, strict=True) for row in rows]
            tables.append([{name: numbers(cell) for name, cell in row} for row in cells])
    return tables


@pytest.mark.parametrize(("page", "number", "reports"), TABLES)
def test_aims_of_a_page_are_those_that_reports_are_judged_by(page, number, reports):
    shipped = [in_house_style(Report.read(ROOT / "policies" / name)) for name in reports]
    for criterion, row in zip(CRITERIA, judging_tables(page)[number], strict=True):
        parts = [part for part in criterion.parts if part.aim is not None]
        for name in row.keys() & {"aim", "aim_on_hardware", "published"}:
            told = [getattr(part, name) for part in parts]
            assert row[name] == [each for each in told if each is not None], criterion.name
        report = next(each for each in shipped if each.section(criterion.section))
        section = report.section(criterion.section)
        # Rows of one kind of sensors alone do not name them.
        alone = {"ideal": "", "hardware": HARDWARE}.get(report.facts["Sensors"])
        for suffix in ("", HARDWARE):
            row_suffix = suffix if alone is None else ""
            cells = [
                section.find(of.row + row_suffix, of.column, table=criterion.table)
                for of in parts
                if alone in (None, suffix)
            ]
            expected = [round(cell[0].mean, cell[1].decimals) for cell in cells if cell]
            if f"measured{suffix}" in row:
                assert row[f"measured{suffix}"] == expected, criterion.name


def test_the_page_on_footholds_tells_where_the_shipped_policy_steps():
    saved = Report.from_json((ROOT / "policies/grq20_v2d3/report/report.json").read_text())
    (section,) = (of for of in saved.sections if of.name == "footholds")
    rows = re.findall(r"^\| ([a-z ]+) \| (.* % \(.*)\|$", (DOCS / "footholds.md").read_text(), re.M)
    assert len(rows) == 3
    for place, cells in rows:
        measured = []
        for column in ("supported footholds", "supported footholds, random", "mean support"):
            for sensors in ("", HARDWARE):
                found = section.find(f"{place}{sensors}", column)
                assert found is not None
                measured.append(round(found[0].mean, 1))
        assert numbers(cells) == measured
