"""Reports side by side."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from scipy import stats

from reports import report, survival, tracking
from rl_sim_env.cli import compare as program
from rl_sim_env.cli import report as rewrite
from rl_sim_env.errors import UserError
from rl_sim_env.evaluation.comparison import compare, difference_interval
from rl_sim_env.evaluation.comparison_page import write_comparison
from rl_sim_env.evaluation.printed import BETTER, WORSE
from rl_sim_env.evaluation.report import Figure, Report
from rl_sim_env.evaluation.starts import WHERE

GROUNDS = {"flat": (0.1, 0.2, 0.0), "stairs": (0.3, 0.2, 1.0)}
OTHER_GROUNDS = {"flat": (0.05, 0.2, 0.0), "stairs": (0.4, 0.2, 1.0)}


@pytest.fixture
def saved(tmp_path):
    """Saves reports as an evaluation does; returns their folders."""

    def save(*reports: Report):
        folders = [tmp_path / str(number) for number in range(len(reports))]
        for folder, each in zip(folders, reports, strict=True):
            folder.mkdir()
            (folder / "report.json").write_text(each.to_json())
        return folders

    return save


def test_same_seeds_are_paired():
    first = Figure.over_seeds((1.0, 5.0, 9.0), robots=8)
    other = Figure.over_seeds((2.0, 7.0, 12.0), robots=8)
    value, half, is_paired = difference_interval(first, other, same_seeds=True)
    test = stats.ttest_rel(other.by_seed, first.by_seed).confidence_interval(0.95)
    assert is_paired
    assert (value - half, value + half) == pytest.approx((test.low, test.high))


def test_other_seeds_and_old_reports_get_welchs_interval():
    draw = np.random.default_rng(0)
    samples = draw.normal(1.0, 0.1, 5), draw.normal(1.2, 0.3, 3)
    first, other = (Figure.over_seeds(map(float, each), robots=8) for each in samples)
    test = stats.ttest_ind(samples[1], samples[0], equal_var=False).confidence_interval(0.95)
    old = replace(first, by_seed=())
    for one, same_seeds in ((first, False), (old, True)):
        value, half, is_paired = difference_interval(one, other, same_seeds=same_seeds)
        assert not is_paired
        assert (value - half, value + half) == pytest.approx((test.low, test.high))


def test_a_single_seed_has_no_interval():
    one = Figure.over_seeds((1.0,), robots=8)
    value, half, is_paired = difference_interval(one, replace(one, mean=2.0), same_seeds=True)
    assert (value, half, is_paired) == (1.0, None, False)


def test_differences_are_judged_by_which_way_is_better(saved):
    first = report(tracking(GROUNDS), survival(60, {"all": (90.0,)}))
    other = report(tracking(OTHER_GROUNDS), survival(60, {"all": (95.0,)}))
    (found,) = compare(saved(first, other)).differences.values()
    marks = {(each.row, each.column.title): each.mark for each in found}
    assert marks["flat", "velocity error"] == BETTER
    assert marks["stairs", "velocity error"] == WORSE
    assert marks["stairs", "yaw rate error while walking"] == ""
    assert marks["all", "survivors"] == BETTER


def test_bounds_are_neither_better_nor_worse(saved):
    grounds = {f"{label} (or more: nothing harder was tried)": of for label, of in GROUNDS.items()}
    (found,) = compare(
        saved(report(tracking(grounds)), report(tracking(OTHER_GROUNDS)))
    ).differences.values()
    assert {each.row for each in found} == {"flat", "stairs"}
    assert not any(each.mark for each in found)


def test_what_makes_reports_unlike_is_said(saved):
    first = report(tracking(GROUNDS, "terrain levels 1, 2"), survival(60, {"all": (90.0,)}))
    other = report(tracking(GROUNDS, "terrain levels 3, 4"), **{"Quick try": "few", "Seeds": "7"})
    assert compare(saved(first, other)).warnings == (
        "B is a quick try, whose figures mean little.",
        "Not alike: Seeds, A 0, 1; B 7.",
        "Not alike: levels, A 1, 2; B 3, 4.",
        "Only A has survival.",
    )


def test_what_cannot_be_compared_is_told_in_one_line(saved, tmp_path):
    one, other = saved(report(tracking(GROUNDS)), report(survival(60, {"all": (90.0,)})))
    (tmp_path / "notes.json").write_text("{}")
    for paths, words in (
        ((one, other), "shares no figure with .*: the protocols are survival, and tracking"),
        ((one, one / "report.json"), "stands there twice"),
        ((one, tmp_path / "notes.json"), r"notes\.json: not a report"),
        ((one,), "1 reports given; a comparison takes 2 to 26"),
    ):
        with pytest.raises(UserError, match=words):
            compare(paths)


def test_the_program_writes_one_page_and_says_what_it_comes_to(saved, tmp_path, capsys):
    folders = saved(report(tracking(GROUNDS)), report(tracking(OTHER_GROUNDS)))
    output = tmp_path / "comparison"
    program.main([*map(str, folders), "--output", str(output)])
    names = {"comparison.html", "comparison.md", "comparison.json"}
    assert {path.name for path in output.iterdir()} == names
    assert "B has 1 better and 1 worse than A; 4 do not" in capsys.readouterr().out
    found = json.loads((output / "comparison.json").read_text())["differences"]
    row = found[0]
    assert (row["row"], row["column"], row["unit"]) == ("flat", "velocity error", "m/s")
    assert (row["A"], row["B"], row["difference"]) == pytest.approx((0.1, 0.05, -0.05))
    low, high = row["interval"]
    assert low < -0.05 < high < 0.0
    assert "▲-0.050" in (output / "comparison.md").read_text()
    assert "0.100 → 0.050" in (output / "comparison.html").read_text()
    # Once more: an earlier comparison may be replaced.
    program.main([*map(str, folders), "--output", str(output)])


@pytest.mark.parametrize("where", [WHERE, "nobody said where"])
def test_walks_that_began_elsewhere_are_told(saved, where):
    middle = "robots begin in the middle of a tile, on most terrains a level platform"
    before, since = (report(tracking(GROUNDS, f"On tiles; {of}.")) for of in (middle, where))
    told = ("Not alike: where walks of tracking begin, A in the middle; B on the feature.",)
    assert compare(saved(before, since)).warnings == (told if where == WHERE else ())


def test_under_which_conditions_an_aim_was_judged_stands_beside_the_figure(saved, tmp_path):
    folders = saved(*(report(survival(60, {"all": (share,)})) for share in (96.0, 97.0)))
    write_comparison(compare(folders), tmp_path / "c")
    for page in ("comparison.html", "comparison.md"):
        assert "walks of 60 s" in (tmp_path / "c" / page).read_text()


def test_the_folder_around_a_report_will_do(saved, tmp_path):
    first, other = saved(report(tracking(GROUNDS)), report(tracking(OTHER_GROUNDS)))
    around = tmp_path / "policy"
    around.mkdir()
    other.rename(around / "report")
    (found,) = compare((first, around)).differences.values()
    assert found[0].value == pytest.approx(-0.05)
    (around / "model_1.pt").touch()
    rewrite.main([str(around)])
    assert (around / "report" / "report.html").is_file()


def test_a_report_is_never_replaced_by_a_comparison(saved, capsys):
    folders = saved(report(tracking(GROUNDS)), report(tracking(OTHER_GROUNDS)))
    with pytest.raises(SystemExit):
        program.main([*map(str, folders), "--output", str(folders[1])])
    assert "report.json" in capsys.readouterr().err
    assert (folders[1] / "report.json").is_file()


def test_names_are_shown_as_they_are(saved, tmp_path):
    name = "<script>alert(1)</script>|*a*"
    hostile = report(tracking({name: (0.1, 0.2, 0.3)}), Policy=name)
    write_comparison(
        compare(saved(hostile, report(tracking({name: (0.2, 0.2, 0.3)})))), tmp_path / "c"
    )
    tags, texts = [], []

    class Page(HTMLParser):
        def handle_starttag(self, tag, attrs):
            tags.append(tag)

        def handle_data(self, data):
            texts.append(data)

    Page().feed((tmp_path / "c" / "comparison.html").read_text())
    assert "script" not in tags
    assert name in texts
    markdown = (tmp_path / "c" / "comparison.md").read_text()
    assert r"\<script\>alert(1)\</script\>\|\*a\*" in markdown
