"""What the first screen of a report says, of figures that are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reports import estimation, report, section, survival, table, tracking
from rl_sim_env.evaluation.answers import headline
from rl_sim_env.evaluation.rendering import title_of
from rl_sim_env.evaluation.verdict import STANDING_STILL, judge

GOOD_GROUNDS = {
    "slopes": (0.08, 0.07, 0.0),
    "rough ground": (0.09, 0.07, 0.0),
    "stairs": (0.11, 0.10, 0.0),
    "discrete obstacles": (0.11, 0.09, 0.0),
    "all": (0.10, 0.08, 0.0),
}
GOOD = (
    tracking(GOOD_GROUNDS, "On terrain levels 1, 2, 3, 4 in equal shares."),
    survival(600, {"discrete obstacles": (85.0,), "all": (96.0,)}),
    estimation({"after 3 s": (0.15, 0.1, 0.1, 0.4)}),
)


def statuses(*sections, **facts) -> dict[str, str]:
    return {of.name: of.status for of in judge(report(*sections, **facts)).standings}


def test_a_policy_that_reaches_everything_is_told_so():
    verdict = judge(report(*GOOD))
    assert [of.status for of in verdict.standings] == ["reached"] * 6
    assert verdict.sentences == (
        "It reaches 6 of 6 aims.",
        "Nothing that was measured falls short of its aim.",
        "It stands on one trained policy, 2 evaluation seeds, 8 robots in each walk, "
        "terrain levels 1, 2, 3, 4.",
    )
    assert not verdict.warnings


def test_who_was_on_other_levels_than_the_aims_are_for_is_told_so():
    stand = survival(600, {"all": (96.0,)})
    on_all = replace(stand.tables[0], levels=tuple(range(10)))
    words = judge(report(replace(stand, tables=(on_all,)))).sentences
    assert "The aims are for terrain levels 1, 2, 3, 4." in words
    assert "terrain levels 0, 1, 2, 3, 4, 5, 6, 7, 8, 9" in words[-1]


def test_one_ground_that_misses_its_aim_is_the_one_that_is_shown():
    grounds = GOOD_GROUNDS | {"stairs": (0.18, 0.10, 0.0)}
    standing = judge(report(tracking(grounds))).standings[0]
    assert (standing.name, standing.where) == ("velocity error", "stairs, worst of 4")
    assert standing.status == "not reached"
    assert (standing.aim, standing.published) == (0.12, 0.147)
    assert standing.shortfall == pytest.approx(0.5)


def test_what_falls_short_most_comes_first_and_is_named():
    verdict = judge(
        report(
            tracking(GOOD_GROUNDS | {"slopes": (0.102, 0.176, 0.0)}),
            # Twice as many are lost as the aim allows.
            survival(600, {"all": (90.0,)}),
            estimation({"after 3 s": (0.19, 0.1, 0.1, 0.45)}),
        )
    )
    assert [of.name for of in verdict.standings[:3]] == [
        "yaw rate error while walking",
        "survival of pushes on all ground",
        "velocity error",
    ]
    assert [of.shortfall for of in verdict.standings[:3]] == pytest.approx([1.2, 1.0, 0.2])
    assert {of.status for of in verdict.standings[3:]} == {"reached"}
    assert (
        "(slopes, worst of 4): 0.176 instead of 0.080 rad/s; then the survi"
        in (verdict.sentences[1])
    )
    assert "not measured: survival of pushes among obstacles" in verdict.sentences[0]


def test_survivors_of_shorter_walks_leave_the_question_open_unless_there_are_too_few():
    name = "survival of pushes on all ground"
    assert statuses(survival(60, {"all": (97.0,)}))[name] == "open"
    assert statuses(survival(60, {"all": (94.0,)}))[name] == "not reached"
    assert statuses(survival(600, {"all": (97.0,)}))[name] == "reached"


def test_a_task_of_flat_ground_is_measured_against_no_aim():
    verdict = judge(report(tracking({"flat": (0.05, 0.05, 0.0)})))
    (velocity, _) = verdict.standings
    assert verdict.sentences[0].startswith("Nothing here has an aim; not measured: survival of")
    assert (velocity.status, velocity.aim) == ("open", None)
    assert velocity.note == "no aim for flat ground alone"


def test_a_policy_that_sees_is_told_so_with_the_grounds_that_no_aim_is_for():
    pits = {"gaps": (0.282, 0.2, 41.2), "gaps, ideal sensors": (0.2, 0.2, 9.0)}
    seeing = report(
        tracking(GOOD_GROUNDS | {"stairs up": (0.1, 0.1, 0.0)} | pits), Sees="the ground"
    )
    words = " ".join(judge(seeing).sentences)
    assert "It sees the ground; the aims are those of a robot that walks blind." in words
    assert "on ground without an aim: gaps 0.282 m/s and 41 per 1000 s. It stands" in words
    assert title_of(seeing) == "Task-v0 with sight: model_1.pt"
    blind = report(*GOOD)
    assert "sees" not in " ".join(judge(blind).sentences)
    assert title_of(blind) == "Task-v0: model_1.pt"


def test_seeds_of_parts_that_were_measured_by_themselves_are_not_added():
    assert "2 evaluation seeds" in judge(report(*GOOD, Seeds="0, 1; gait: 0, 1, 2")).sentences[-1]


def test_sensors_as_on_hardware_have_aims_of_their_own():
    rows = {"after 3 s": (0.4, 0.1, 0.1, 0.4)}
    assert statuses(estimation(rows))["mass estimate"] == "not reached"
    assert statuses(estimation(rows), Sensors="hardware")["mass estimate"] == "reached"
    both = estimation(rows | {"after 3 s, hardware sensors": (0.5, 0.1, 0.1, 0.4)})
    standings = {of.name: of for of in judge(report(both, Sensors="ideal, hardware")).standings}
    assert standings["mass estimate"].note == "with sensors as on hardware 0.500, aim 0.45"


def test_who_reaches_an_aim_with_ideal_sensors_alone_has_not_reached_it():
    ideal = {"after 3 s": (0.1, 0.1, 0.1, 0.4)}
    for on_hardware, told in ((0.4, ("reached", 0.1, 0.2)), (0.5, ("not reached", 0.5, 0.45))):
        both = estimation(ideal | {"after 3 s, hardware sensors": (on_hardware, 0.1, 0.1, 0.4)})
        (mass, *_) = (
            of
            for of in judge(report(both, Sensors="ideal, hardware")).standings
            if of.name == "mass estimate"
        )
        assert (mass.status, mass.figure.mean, mass.aim) == told


def test_quick_tries_and_policies_that_do_not_walk_are_warned_of():
    (warning,) = judge(report(*GOOD, **{"Quick try": "2 robots"})).warnings
    assert warning == "A quick try: 2 robots."
    (warning,) = judge(report(tracking({"flat": (0.7, 0.4, 0.0)}))).warnings
    assert "does not walk" in warning and "0.70 m/s" in warning and "0.77 m/s" in warning
    (warning,) = judge(report(tracking({"flat": (0.1, 0.1, 250.0)}))).warnings
    assert "falls 250 times in 1000 s" in warning


def test_standing_still_is_off_by_the_mean_length_of_a_command():
    commands = np.random.default_rng(0).uniform(-1.0, 1.0, (200_000, 2))
    assert np.linalg.norm(commands, axis=1).mean() == pytest.approx(STANDING_STILL, abs=0.003)


def test_each_section_answers_its_question():
    walk, stand, know = map(headline, GOOD)
    assert walk == (
        "Does it go where it is told?",
        "Off by 0.100 m/s and 0.080 rad/s; most on stairs, 0.110 m/s",
    )
    assert stand[1] == "96.000 % survive 600 s of pushes"
    assert know[1].startswith("After 3 s, extra mass within 0.150 kg, CoM x within 0.100 cm")


def test_a_section_answers_for_each_kind_of_sensors():
    rows = {"slopes": (0.1, 0.1, 0.0), "all": (0.1, 0.1, 0.0)}
    both = rows | {f"{label}, hardware sensors": (0.2, 0.3, 0.0) for label in ("stairs", "all")}
    assert headline(tracking(both))[1] == (
        "Off by 0.100 m/s and 0.100 rad/s; with hardware sensors off by 0.200 m/s and 0.300 rad/s"
    )


def test_answers_know_older_and_newer_columns():
    of = table("Footholds", ("at an edge [%]", "at an edge, random [%]"), {"stairs": (20.0, 15.0)})
    chance = "by chance up to 15.000 % at an edge"
    assert headline(section("footholds", of))[1] == f"Up to 20.000 % at an edge; {chance}"
    columns = ("on an edge [%]", "against a riser [%]", "at an edge, random [%]")
    of = table("Footholds", columns, {"stairs": (12.0, 8.0, 15.0)})
    answer = headline(section("footholds", of))[1]
    assert answer == f"Up to 12.000 % on an edge and 8.000 % against a riser; {chance}"
    columns = ("joint torque [% of steps]", "distance walked [% of commanded]")
    of = table("Violations", columns, {"flat, 0 kg": (0.5, 90.0), "all, 6 kg": (0.7, 80.0)})
    answer = headline(section("violations", of))[1]
    assert answer == "Most often beyond: joint torque, 0.700 % of steps (all, 6 kg)"
    rows = {"stairs up, 0 kg": (10.0, 15.0), "stairs up, 6 kg": (5.0, 10.0)}
    of = table("Highest steps", ("friction 0.2 [cm]", "friction 1 [cm]"), rows, "feature, load")
    assert headline(section("levels", of))[1] == "Stairs up 15.000 cm (0 kg, friction 1)"


def test_sections_without_figures_have_their_title_as_answer():
    for name in ("tracking", "estimation", "survival", "footholds", "violations", "levels", "gait"):
        assert headline(section(name))[1] == name.capitalize()
    assert headline(section("my_protocol")) == ("My_protocol", "")
