"""A report as files."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from browser import opened
from pages import ROOT
from rl_sim_env.errors import UserError
from rl_sim_env.evaluation import rendering
from rl_sim_env.evaluation.rendering import (
    check_writable,
    read_photo,
    to_html,
    to_markdown,
    write_report,
)
from rl_sim_env.evaluation.report import (
    Column,
    Figure,
    Plot,
    Report,
    Row,
    Section,
    Series,
    Table,
)

HOSTILE = """<script>alert('x', "y")</script> | *a*_b_ `c` [d](e) $5 & $6 &amp;"""
VOID_TAGS = {"meta", "img"}
SVG = re.compile(r"<svg.*?</svg>\n?", re.DOTALL)


def figure(mean: float, spread: float | None = 0.125, seeds: int = 5, robots: int = 16) -> Figure:
    return Figure(mean=mean, spread=spread, seeds=seeds, robots=robots)


PHOTO = b"\xff\xd8 a picture"


def table(*rows: Row) -> Table:
    columns = (Column(title="error", unit="m/s", decimals=3), Column(title="falls", decimals=0))
    return Table(title="Errors", rows_title="terrain", columns=columns, rows=rows)


def report_of(*tables: Table, plots: tuple[Plot, ...] = (), text: str = "How.") -> Report:
    section = Section(name="walk", title="Walking", method=text, tables=tables, plots=plots)
    return Report(facts={"task": "some task"}, sections=(section,))


PLOT = Plot(
    name="curve",
    title="A curve",
    x_label="time [s]",
    y_label="height [m]",
    series=(
        Series(label="with a band", x=(0.0, 1.0, 2.0), y=(1.0, 2.0, 1.5), spread=(0.1, 0.2, 0.1)),
        Series(label="without", x=(0.0, 2.0), y=(1.0, 1.0)),
    ),
)
REPORT = report_of(
    table(
        Row(label="flat", cells=(figure(0.0734), figure(3.0, None))),
        Row(label="stairs", cells=(figure(1.5), None)),
    ),
    plots=(PLOT,),
)


class Page(HTMLParser):
    """The texts and tags of a page; fails where tags are not closed in order."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(path.read_text())
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID_TAGS:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "runs" / "report"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_all_files_are_written_and_nothing_else(folder):
    write_report(REPORT, folder)
    assert set(contents(folder)) == {"report.json", "report.md", "report.html", "curve.png"}
    assert list(folder.parent.iterdir()) == [folder]


def test_json_rebuilds_the_report(folder):
    by_seed = Figure.over_seeds((0.1, 0.3), robots=4)
    on_levels = replace(table(Row(label="flat", cells=(by_seed, None))), levels=(1, 4))
    finite = report_of(replace(on_levels, counts_walks=True), plots=(PLOT,))
    write_report(finite, folder)
    assert Report.from_json((folder / "report.json").read_text()) == finite


def test_json_has_no_nan(folder):
    gap = Series(label="with a gap", x=(0.0, 1.0), y=(1.0, float("nan")))
    plot = replace(PLOT, series=(gap,))
    single = report_of(table(Row(label="flat", cells=(figure(0.1, None), None))), plots=(plot,))
    write_report(single, folder)
    text = (folder / "report.json").read_text()
    assert "NaN" not in text
    (rebuilt,) = Report.from_json(text).sections
    assert rebuilt.tables == single.sections[0].tables
    first, second = rebuilt.plots[0].series[0].y
    assert first == 1.0 and second != second


def test_json_of_before_seeds_levels_and_walks_were_kept_stays_as_it_is(folder):
    write_report(REPORT, folder)
    text = (folder / "report.json").read_text()
    assert not any(name in text for name in ("by_seed", "levels", "counts_walks"))
    assert Report.read(folder) == REPORT


@pytest.mark.parametrize("text", ["{", "[1, 2]", '{"facts": {}}', '{"facts": {}, "sections": [1]}'])
def test_a_file_that_is_no_report_is_told_in_one_line(tmp_path, text):
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(UserError, match=r"report\.json: not a report of an evaluation; give"):
        Report.read(tmp_path)


def test_figures_are_printed_with_spread_and_the_decimals_of_their_column(folder):
    write_report(REPORT, folder)
    markdown = (folder / "report.md").read_text()
    assert "| flat | 0.073 ± 0.125 | 3 |" in markdown
    assert r"| terrain | error \[m/s\] | falls |" in markdown.replace("[m/s]", r"\[m/s\]")
    texts = {text.strip() for text in Page(folder / "report.html").texts}
    assert {"0.073", "± 0.125", "1.500", "3", "-", "error", "[m/s]", "some task"} <= texts


def test_cells_know_their_columns_where_a_narrow_screen_has_no_room_for_a_head(folder):
    write_report(REPORT, folder)
    titles = [
        attrs.get("data-title") for tag, attrs in Page(folder / "report.html").tags if tag == "td"
    ]
    head = [
        f"{of.title} [{of.unit}]" if of.unit else of.title
        for of in REPORT.sections[0].tables[0].columns
    ]
    assert titles[-2:] == head


def test_what_a_table_stands_on_is_told_once(folder):
    rows = (
        Row(label="flat", cells=(figure(1.0, robots=14), figure(2.0, robots=16))),
        Row(label="stairs", cells=(figure(1.0, seeds=1, robots=1), None)),
        Row(label="nowhere", cells=(None, None)),
    )
    write_report(report_of(table(*rows)), folder)
    for name in ("report.md", "report.html"):
        assert (folder / name).read_text().count("1 to 5 seeds of 1 to 16 robots") == 1


def test_what_comes_from_outside_is_shown_as_it_is(folder):
    outside = Report(
        facts={HOSTILE: HOSTILE},
        sections=(
            Section(
                name=HOSTILE,
                title=HOSTILE,
                method=HOSTILE,
                tables=(
                    Table(
                        title=HOSTILE,
                        rows_title=HOSTILE,
                        columns=(Column(title=HOSTILE, unit=HOSTILE),),
                        rows=(Row(label=HOSTILE, cells=(None,)),),
                    ),
                ),
                plots=(Plot(name="p", title=HOSTILE, x_label=HOSTILE, y_label="$", series=()),),
            ),
        ),
    )
    write_report(outside, folder)
    page = Page(folder / "report.html")
    assert "script" not in {tag for tag, _ in page.tags}
    assert sum(text.strip() == HOSTILE for text in page.texts) >= 7
    assert f"[{HOSTILE}]" in page.texts
    attributes = {(tag, *item) for tag, given in page.tags for item in given.items()}
    assert {
        ("section", "id", HOSTILE),
        ("a", "href", f"#{HOSTILE}"),
        ("svg", "aria-label", HOSTILE),
    } <= attributes
    markdown = (folder / "report.md").read_text()
    assert not re.search(r"(?<!\\)[<>*_`$]", markdown.replace("**", ""))


def test_page_needs_nothing_from_elsewhere(folder):
    write_report(REPORT, folder, PHOTO)
    page = Page(folder / "report.html")
    (picture,) = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    prefix = "data:image/jpeg;base64,"
    assert picture and picture.startswith(prefix)
    assert base64.b64decode(picture.removeprefix(prefix)) == PHOTO
    assert not {"script", "link", "iframe"} & {tag for tag, _ in page.tags}
    text = (folder / "report.html").read_text()
    assert "http" not in text
    assert "url(" not in text.replace("url(#", "")
    assert "prefers-color-scheme: dark" in text and "@media print" in text


def test_tables_are_folded_on_phones_and_open_elsewhere_and_on_paper(folder):
    write_report(REPORT, folder)
    with opened() as browser:
        page = browser.new_page(viewport={"width": 390, "height": 800})
        page.goto((folder / "report.html").as_uri())
        cells = page.locator("#walk td").first
        assert not cells.is_visible()
        page.locator("#walk summary").first.click()
        assert cells.is_visible()
        page.reload()
        page.set_viewport_size({"width": 1280, "height": 800})
        assert cells.is_visible()
        page.set_viewport_size({"width": 390, "height": 800})
        assert not cells.is_visible()
        page.emulate_media(media="print")
        assert cells.is_visible()


def test_page_has_the_plots_in_its_own_colours(folder):
    write_report(REPORT, folder)
    text = (folder / "report.html").read_text()
    (picture,) = SVG.findall(text)
    assert "with a band" in picture
    assert "var(--text, #1c2330)" in picture and "DejaVu" not in picture


def test_a_report_is_written_anew_from_its_folder_with_its_photo(folder):
    write_report(REPORT, folder, PHOTO)
    before = contents(folder)
    write_report(Report.read(folder), folder, read_photo(folder))
    assert contents(folder) == before
    assert before["walking.jpg"] == PHOTO
    assert "(walking.jpg)" in before["report.md"].decode()


@pytest.mark.parametrize(
    "shipped",
    [path.parent for path in ROOT.glob("policies/*/*/report.json")],
    ids=lambda folder: "/".join(folder.parts[-2:]),
)
def test_shipped_pages_are_those_of_their_json(shipped):
    report, page = Report.read(shipped), (shipped / "report.html").read_text()
    plots = [plot.name for section in report.sections for plot in section.plots]
    photo = read_photo(shipped)
    assert to_html(report, dict(zip(plots, SVG.findall(page), strict=True)), photo) == page
    markdown = to_markdown(report, has_photo=photo is not None)
    assert markdown == (shipped / "report.md").read_text()


def test_a_newer_report_takes_the_place_of_an_earlier_one(folder):
    write_report(REPORT, folder)
    write_report(report_of(table()), folder)
    assert set(contents(folder)) == {"report.json", "report.md", "report.html"}
    assert list(folder.parent.iterdir()) == [folder]


def test_a_report_that_cannot_be_written_leaves_the_earlier_one(folder, monkeypatch):
    write_report(REPORT, folder)
    before = contents(folder)
    original = Path.write_bytes

    def full(self, data):
        if self.suffix == ".html":
            raise OSError(28, "No space left on device")
        return original(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match="No space left"):
        write_report(report_of(), folder)
    assert contents(folder) == before
    assert list(folder.parent.iterdir()) == [folder]


def test_the_earlier_report_comes_back_if_the_new_one_cannot_be_moved(folder, monkeypatch):
    write_report(REPORT, folder)
    before = contents(folder)
    original = Path.rename

    def stuck(self, target):
        if self.name == "fresh":
            raise OSError(5, "Input/output error")
        return original(self, target)

    monkeypatch.setattr(Path, "rename", stuck)
    with pytest.raises(UserError, match="Input/output"):
        write_report(report_of(), folder)
    assert contents(folder) == before


def test_checking_leaves_nothing_behind(folder):
    check_writable(folder)
    assert not folder.parent.exists()


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="a file, not a folder"):
        check_writable(tmp_path / "file")
    with pytest.raises(UserError, match="cannot be written there"):
        check_writable(tmp_path / "file" / "report")


def test_a_place_without_room_for_files_is_refused(folder, monkeypatch):
    def read_only(*args, **kwargs):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(rendering.tempfile, "mkdtemp", read_only)
    with pytest.raises(UserError, match="Read-only file system"):
        check_writable(folder)


def test_a_folder_with_other_things_is_never_replaced(folder):
    folder.mkdir(parents=True)
    (folder / "model_3.pt").touch()
    for refused in (check_writable, lambda place: write_report(REPORT, place)):
        with pytest.raises(UserError, match=r"holds model_3\.pt"):
            refused(folder)
    assert (folder / "model_3.pt").exists()


def test_a_link_is_followed(folder, tmp_path):
    folder.mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(folder)
    write_report(REPORT, link)
    assert link.is_symlink()
    assert (folder / "report.html").is_file()
