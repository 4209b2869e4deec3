"""Tables as they are printed, in one unit and one spelling."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reports import report, section, table, tracking
from rl_sim_env.evaluation.printed import WORST, ZERO, printed
from rl_sim_env.evaluation.report import Column, Figure
from rl_sim_env.evaluation.wording import in_house_style, with_sensors

ROWS = {
    "stairs up": (0.1, 1.0),
    "stairs": (0.15, 1.5),
    "stairs down": (0.2, 2.0),
    "all": (0.3, 0.0),
    "flat": (0.1, 0.0),
}


def marks(of) -> dict[str, list[str]]:
    return {line.label: [cell.mark for cell in line.cells] for body in of.bodies for line in body}


def test_rows_that_add_up_others_stand_apart_at_the_end():
    parts, totals = printed(table("Walks", ("error", "survivors"), ROWS)).bodies
    assert [line.label for line in parts] == ["stairs up", "stairs down", "flat"]
    assert [line.label for line in totals] == ["stairs", "all"]


def test_stairs_alone_add_up_nothing():
    (body,) = printed(table("Errors", ("error",), {"flat": (1.0,), "stairs": (2.0,)})).bodies
    assert [line.label for line in body] == ["flat", "stairs"]


def test_the_worst_of_a_column_is_marked_whichever_way_is_worse():
    shown = marks(printed(table("Walks", ("error", "survivors"), ROWS)))
    assert shown["stairs down"] == [WORST, ""]
    # A total is never the worst, and the fewest survivors are.
    assert shown["all"] == ["", ZERO]
    assert shown["flat"] == ["", ZERO]
    shown = marks(printed(table("Walks", ("survivors",), {"a": (90.0,), "b": (80.0,)})))
    assert shown == {"a": [""], "b": [WORST]}


def test_rows_of_one_kind_of_sensors_are_compared_among_themselves():
    rows = {"a": (0.1,), "b": (0.2,), "a, hardware sensors": (0.4,), "b, hardware sensors": (0.3,)}
    shown = marks(printed(table("Walks", ("error",), rows)))
    assert [label for label, (mark,) in shown.items() if mark] == ["b", "a, hardware sensors"]


def test_what_is_worst_by_less_than_its_spread_is_not_marked():
    of = table("Walks", ("error",), {"a": (0.1,), "b": (0.2,)})
    wide = Figure(mean=0.2, spread=0.3, seeds=2, robots=8)
    rows = (of.rows[0], replace(of.rows[1], cells=(wide,)))
    assert marks(printed(of))["b"] == [WORST]
    assert marks(printed(replace(of, rows=rows)))["b"] == [""]


def test_columns_that_are_neither_good_nor_bad_have_no_worst():
    assert marks(printed(table("Gait", ("duty factor",), {"a": (0.1,), "b": (0.9,)})))["b"] == [""]


def test_of_a_map_the_largest_error_and_the_smallest_share_are_the_worst():
    columns = (
        "seen",
        "error of seen cells",
        "seen cells within 2 cm",
        "truths within the 95 % interval",
    )
    rows = {"flat": (41.0, 1.0, 96.0, 100.0), "gaps": (39.0, 4.0, 79.0, 91.0)}
    shown = marks(printed(table("RMSE of the map", columns, rows)))
    assert shown == {"flat": ["", "", "", ""], "gaps": ["", WORST, WORST, ""]}


def test_a_limit_that_was_not_found_is_shown_as_a_bound():
    rows = {"flat (or more: nothing harder was tried)": (2.4,), "stairs": (1.9,)}
    (body,) = printed(table("Pushes", ("largest push",), rows)).bodies
    assert (body[0].label, body[0].cells[0].text) == ("flat", "≥ 2.400")
    on_hardware = {with_sensors(label, "hardware"): of for label, of in rows.items()}
    (body,) = printed(table("Pushes", ("largest push",), on_hardware)).bodies
    assert (body[0].label, body[0].cells[0].text) == ("flat, hardware sensors", "≥ 2.400")


def test_zeros_have_no_sign():
    of = table("Gap", ("offset",), {"a": (-0.0001,)})
    assert printed(of).bodies[0][0].cells[0].text == "0.000"


def test_falls_are_told_per_1000_s_in_old_reports_too():
    by_load = table("Falls [per 100 s] by load", ("0 kg",), {"flat": (0.2,)})
    mean = table("Tracking", ("falls [per 100 s]", "error [cm^2]"), {"flat": (0.3, 0.4)})
    figure = Figure.over_seeds((0.1, 0.3), robots=8)
    mean = replace(mean, rows=(replace(mean.rows[0], cells=(figure, figure)),))
    styled = in_house_style(report(section("tracking", by_load, mean))).sections[0].tables
    assert styled[0].title == "Falls [per 1000 s] by load"
    assert styled[0].rows[0].cells[0].mean == pytest.approx(2.0)
    assert styled[1].columns == (
        Column(title="falls", unit="per 1000 s", decimals=3),
        Column(title="error", unit="cm²", decimals=3),
    )
    falls, error = styled[1].rows[0].cells
    assert falls.by_seed == pytest.approx((1.0, 3.0))
    assert falls.spread == pytest.approx(10.0 * figure.spread)
    assert error == figure


def test_errors_of_two_commands_at_once_say_so_in_old_reports_too():
    of = table("Tracking", ("velocity error, both [m/s]",), {"yaw rate error, both, HIM": (0.1,)})
    (styled,) = in_house_style(report(section("tracking", of))).sections[0].tables
    assert styled.columns[0].title == "velocity error while turning"
    assert styled.rows[0].label == "yaw rate error while walking, HIM"


def test_todays_reports_stay_as_they_are():
    today = report(tracking({"flat": (0.1, 0.2, 0.3)}))
    assert in_house_style(in_house_style(today)) == in_house_style(today) == today


def test_code_that_ran_from_its_source_is_not_told_to_be_missing():
    of_before = report(Packages="python 3.12.3, rl_sim_env not installed, torch 2.11.0")
    packages = in_house_style(of_before).facts["Packages"]
    assert packages == "python 3.12.3, rl_sim_env from its source, torch 2.11.0"


def test_a_table_tells_its_levels_and_how_many_walks_each_figure_stands_on():
    plain = table("Errors", ("level 1", "level 4"), {"stairs": (0.1, 0.2)})
    assert printed(plain).note == "2 seeds of 8 robots"
    shown = printed(replace(plain, levels=(1, 4), counts_walks=True))
    assert shown.note == "2 seeds of 8 robots, levels 1, 4"
    # Two seeds of eight robots.
    assert [cell.below for cell in shown.bodies[0][0].cells] == ["16 walks"] * 2
    assert printed(replace(plain, levels=(0,))).note.endswith(", level 0")
    assert printed(replace(plain, levels=(1, 2, 3))).note.endswith(", levels 1 to 3")
