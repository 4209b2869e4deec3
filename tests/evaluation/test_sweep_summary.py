"""Arms side by side: intervals over training seeds, and which differences they bear out."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import reports
from rl_sim_env.evaluation.report import Column, Figure, Report, Row, Section, Table
from rl_sim_env.evaluation.sweep_summary import SweepSummary, interval, resampled_means


def report(error: float, *, label: str = "all") -> Report:
    table = Table(
        title="Tracking",
        rows_title="terrain",
        columns=(Column(title="error", unit="m/s"), Column(title="falls", decimals=0)),
        rows=tuple(
            Row(label=row, cells=(Figure.over_seeds((value,), robots=1), None))
            for row, value in (("flat", 2.0 * error), (label, error))
        ),
    )
    section = Section(name="tracking", title="Tracking", method="", tables=(table, table))
    return Report(facts={}, sections=(section,))


def of_falls(value: float, unit: str) -> Report:
    of = reports.table("Tracking", (f"falls [{unit}]",), {"all": (value,)})
    return Report(facts={}, sections=(reports.section("tracking", of),))


def compared(**arms: tuple[float, ...]) -> SweepSummary:
    reports = {
        arm: {seed: report(error) for seed, error in enumerate(errors)}
        for arm, errors in arms.items()
    }
    return SweepSummary(title="small", reports=reports, notes={})


def test_the_interval_of_a_mean_is_that_of_all_ways_to_draw_its_seeds():
    values = (0.1, 0.2, 0.4, 0.45, 0.5)
    every = np.stack(np.meshgrid(*[values] * 5)).reshape(5, -1).mean(axis=0)
    low, high = interval(resampled_means(values, np.random.default_rng(0)))
    assert low == pytest.approx(np.quantile(every, 0.025), abs=0.01)
    assert high == pytest.approx(np.quantile(every, 0.975), abs=0.01)


def test_a_difference_is_marked_where_seeds_bear_it_out():
    first, *rest = compared(
        ours=(0.10, 0.11, 0.12), worse=(0.20, 0.21, 0.22), same=(0.09, 0.11, 0.13), one=(0.3,)
    ).figures()
    assert first.row == "flat" and not first.is_of_all and len(rest) == 1
    (of_all,) = rest
    assert of_all.text("ours") == "0.11 (0.10 to 0.12)"
    assert of_all.text("worse") == "0.21 (0.20 to 0.22) \\*"
    assert of_all.text("same") == "0.11 (0.09 to 0.13)"
    assert of_all.text("one") == "0.30"
    # A seed of one arm has nothing to do with the same number in another.
    low, high = of_all.difference("same") or (0.0, 0.0)
    assert high - low > 0.03


def test_walks_that_are_harder_for_all_runs_alike_change_no_difference():
    arms = {"ours": (0.10, 0.14, 0.12), "other": (0.15, 0.21, 0.22)}
    easy = compared(**arms)
    hard = compared(**{arm: tuple(each + 0.7 for each in of) for arm, of in arms.items()})
    differences = [
        bounds
        for of in (easy, hard)
        for each in of.figures()
        if each.is_of_all and (bounds := each.difference("other")) is not None
    ]
    assert differences[0] == pytest.approx(differences[1])


def test_figures_stand_in_todays_words_and_units_whenever_they_were_measured():
    found = {"old": (0.3, "per 100 s"), "new": (2.0, "per 1000 s"), "none": (-1e-4, "per 1000 s")}
    runs = {arm: {0: of_falls(*each)} for arm, each in found.items()}
    summary = SweepSummary(title="small", reports=runs, notes={})
    assert "| Tracking, all: falls [per 1000 s] | 3.000 | 2.000 | 0.000 |" in summary.overview()


def test_the_time_of_an_iteration_stands_beside_the_figures_of_the_reports():
    summary = replace(compared(ours=(0.1,), other=(0.2,)), iteration_seconds={"ours": {0: 0.4564}})
    assert summary.overview().splitlines()[-1] == (
        "| Training, all: time of an iteration [s] | 0.456 | - |"
    )


def test_runs_are_told_apart_by_arm_and_seed_whatever_is_open_in_a_label(tmp_path):
    open_end = report(3.0, label="all (or more: nothing harder was tried)")
    reports = {"ours": {7: report(1.0), 9: open_end}}
    summary = SweepSummary(title="small", reports=reports, notes={"ours": "As\nit is."})
    summary.write(tmp_path)
    figures = json.loads((tmp_path / "small.json").read_text())
    assert [each["values"] for each in figures] == [{"7": 2.0, "9": 6.0}, {"7": 1.0, "9": 3.0}]
    page = (tmp_path / "small.md").read_text()
    assert "- ours: seeds 7, 9. As it is." in page
    assert "| Tracking, all: error [m/s] | 2.00 (1.00 to 3.00) |" in page
    assert (tmp_path / "small.png").read_bytes().startswith(b"\x89PNG")
