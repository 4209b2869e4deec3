"""Is this policy good? Six figures beside what is aimed at and the best that others published."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from rl_sim_env.evaluation.printed import number_text
from rl_sim_env.evaluation.report import Column, Figure, Report, Section
from rl_sim_env.evaluation.wording import (
    TOTAL,
    is_total,
    levels_of,
    sensors_of,
    with_sensors,
)

QUICK = "Quick try"
"""Fact of a report that was not meant to say much."""

SENSORS, SEEDS, ROBOTS = "Sensors", "Seeds", "Robots"
"""Facts that say what figures stand on."""

SEES = "Sees"
"""Fact of a policy that does not walk blind: what it sees."""

STANDING_STILL = (math.sqrt(2.0) + math.asinh(1.0)) / 3.0
"""Velocity error of a robot that does not move: mean length of a command within +-1 m/s forward and
sideways [m/s]."""

WALKING_SHARE = 0.5
"""A policy whose velocity error is more than this share of standing still does not walk."""

MOST_FALLS = 100.0
"""Nor does one that falls more often than this in 1000 s."""

LONG_WALK = 600.0
"""Length of the walks that aim and publication of survivors speak of [s]."""

Status = Literal["not reached", "open", "reached"]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One figure of a criterion."""

    row: str
    column: str
    """Where it stands, by the titles of the report."""

    aim: float | None = None
    """What is aimed at, and on hardware's sensors if that differs; None: nothing."""

    aim_on_hardware: float | None = None

    published: float | None = None
    """Best published; None: nobody has."""


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """What a policy is judged by: all parts have to be reached, the worst of them is shown."""

    name: str
    section: str
    table: str
    """How the title of the table begins."""

    parts: tuple[Part, ...]
    source: str = ""
    """Who published, and under which conditions."""

    is_share_of_survivors: bool = False
    """Whether more is better, and what counts is how many are lost."""


def _on_grounds(column: str, aims: Sequence[float], published: Sequence[float]) -> tuple[Part, ...]:
    """Parts of the grounds that HIM has published, and the flat one for tasks without any."""
    grounds = ("slopes", "rough ground", "stairs", "discrete obstacles")
    parts = zip(grounds, aims, published, strict=True)
    return (
        *(Part(row=row, column=column, aim=aim, published=best) for row, aim, best in parts),
        Part(row="flat", column=column),
    )


_HIM = "HIM (ICLR 2024), no load"
_DREAMWAQ = "DreamWaQ (ICRA 2023), 600 s, no load"
_AFTER_3_S = "RMSE of the estimates by time"

CRITERIA = (
    Criterion(
        name="survival of pushes on all ground",
        section="survival",
        table="Survivors",
        parts=(
            Part(row=TOTAL, column="survivors", aim=95.0, published=95.2),
            Part(row="flat", column="survivors"),
        ),
        source=_DREAMWAQ,
        is_share_of_survivors=True,
    ),
    Criterion(
        name="survival of pushes among obstacles",
        section="survival",
        table="Survivors",
        parts=(Part(row="discrete obstacles", column="survivors", aim=80.0),),
        is_share_of_survivors=True,
    ),
    Criterion(
        name="velocity error",
        section="tracking",
        table="Tracking",
        parts=_on_grounds(
            "velocity error", (0.085, 0.095, 0.12, 0.12), (0.073, 0.086, 0.147, 0.125)
        ),
        source=_HIM,
    ),
    Criterion(
        name="yaw rate error while walking",
        section="tracking",
        table="Tracking",
        parts=_on_grounds(
            "yaw rate error while walking", (0.08, 0.08, 0.11, 0.10), (0.047, 0.054, 0.096, 0.075)
        ),
        source=_HIM,
    ),
    Criterion(
        name="mass estimate",
        section="estimation",
        table=_AFTER_3_S,
        parts=(Part(row="after 3 s", column="extra mass", aim=0.2, aim_on_hardware=0.45),),
    ),
    Criterion(
        name="centre of mass estimate",
        section="estimation",
        table=_AFTER_3_S,
        parts=(
            Part(row="after 3 s", column="CoM x", aim=0.2, aim_on_hardware=0.4),
            Part(row="after 3 s", column="CoM y", aim=0.2, aim_on_hardware=0.4),
            Part(row="after 3 s", column="CoM z", aim=0.5, aim_on_hardware=0.7),
        ),
    ),
)
"""The project's aims for a robot that walks blind under an unknown load."""

AIM_LEVELS = "1, 2, 3, 4"
"""Levels of the terrain that the aims are for, HIM's."""

MAP_AIMS = {"seen": 0.02, "unseen": 0.04}
"""Error that a cell of the map of the ground is to stay within, where it is seen and where it is
remembered or guessed [m]. No policy is judged by it: the report tells which share of cells does."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a report stands to a criterion."""

    name: str
    where: str
    """Which of the parts is shown: the one that falls short most."""

    figure: Figure
    column: Column
    aim: float | None
    published: float | None
    source: str
    status: Status
    shortfall: float
    """By how much it falls short, as a share of what is aimed at; negative where it is better."""

    note: str = ""
    """Why it is open, and how it stands with sensors as on hardware where both were measured."""

    def text(self, value: float) -> str:
        """A value with the decimals of the figure, without its unit."""
        return number_text(value, self.column)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the first screen says."""

    standings: tuple[Standing, ...]
    """What falls short most comes first, then what is open, then what is reached."""

    sentences: tuple[str, ...]
    warnings: tuple[str, ...]
    """Why nobody should take the figures for a result."""


def judge(report: Report) -> Verdict:
    """Judge a report in today's words.

    Args:
        report: As :func:`~rl_sim_env.evaluation.wording.in_house_style` gives it.
    """
    found = [_standing(criterion, report) for criterion in CRITERIA]
    standings = sorted((each for each in found if each is not None), key=_order)
    missing = [of.name for of, each in zip(CRITERIA, found, strict=True) if each is None]
    return Verdict(
        standings=tuple(standings),
        sentences=(
            _count(standings, missing),
            *([_what_falls_short(standings)] if any(of.aim for of in standings) else []),
            *_beyond_the_aims(report),
            _basis(report),
        ),
        warnings=tuple(_warnings(report)),
    )


def _order(standing: Standing) -> tuple[int, float]:
    order: tuple[Status, ...] = ("not reached", "open", "reached")
    return order.index(standing.status), -standing.shortfall


def _standing(criterion: Criterion, report: Report) -> Standing | None:
    section = report.section(criterion.section)
    if section is None:
        return None
    on_hardware = report.facts.get(SENSORS, "").startswith("hardware")
    candidates = []
    for part in criterion.parts:
        measured = section.find(part.row, part.column, table=criterion.table)
        if measured is None:
            continue
        figure, column = measured
        aim = part.aim_on_hardware if on_hardware and part.aim_on_hardware else part.aim
        shortfall = -1.0
        if aim is not None:
            bad, allowed = figure.mean, aim
            if criterion.is_share_of_survivors:
                bad, allowed = 100.0 - bad, 100.0 - allowed
            shortfall = bad / allowed - 1.0
        candidates.append((aim is not None, shortfall, part, figure, column, aim))
    if not candidates:
        return None
    _, shortfall, part, figure, column, aim = max(candidates, key=lambda each: each[:2])
    status: Status = "reached" if shortfall <= 0.0 else "not reached"
    note = ""
    if aim is None:
        status, note = "open", f"no aim for {part.row} ground alone"
    elif criterion.is_share_of_survivors and status == "reached":
        seconds = _length_of_walks(section)
        if seconds is not None and seconds < LONG_WALK:
            status = "open"
            note = f"walks of {seconds:g} s; the aim is for {LONG_WALK:g} s"
    beside = section.find(with_sensors(part.row, "hardware"), part.column, table=criterion.table)
    if beside is not None and part.aim_on_hardware:
        value = f"{beside[0].mean:.{column.decimals}f}"
        note = f"with sensors as on hardware {value}, aim {part.aim_on_hardware:g}"
        missed_by = beside[0].mean / part.aim_on_hardware - 1.0
        if status == "reached" and missed_by > 0.0:
            note = f"with ideal sensors {figure.mean:.{column.decimals}f}, aim {aim:g}"
            figure, aim = beside[0], part.aim_on_hardware
            status, shortfall = "not reached", missed_by
    rivals = sum(has_aim for has_aim, *_ in candidates)
    where = part.column if criterion.section == "estimation" else part.row
    return Standing(
        name=criterion.name,
        where=f"{where}, worst of {rivals}" if rivals > 1 else "",
        figure=figure,
        column=column,
        aim=aim,
        published=part.published,
        source=criterion.source,
        status=status,
        shortfall=shortfall,
        note=note,
    )


def _length_of_walks(section: Section) -> float | None:
    """How long the walks of survivors were [s], as the table's title tells."""
    titles = (re.search(r"Survivors of ([\d.]+) s", table.title) for table in section.tables)
    return next((float(found[1]) for found in titles if found), None)


def _count(standings: Sequence[Standing], missing: Sequence[str]) -> str:
    judged = [each for each in standings if each.aim is not None]
    reached, open_ones = (
        sum(each.status == status for each in judged) for status in ("reached", "open")
    )
    text = f"It reaches {reached} of {len(judged)} aims" if judged else "Nothing here has an aim"
    if open_ones:
        text += f", and for {open_ones} the question is open"
    return f"{text}; not measured: {', '.join(missing)}." if missing else f"{text}."


def _what_falls_short(standings: Sequence[Standing]) -> str:
    short = [each for each in standings if each.status == "not reached"]
    if not short:
        return "Nothing that was measured falls short of its aim."
    first = short[0]
    assert first.aim is not None
    where = f" ({first.where})" if first.where else ""
    text = (
        f"What falls short most is the {first.name}{where}: "
        f"{first.text(first.figure.mean)} instead of {first.text(first.aim)} {first.column.unit}"
    )
    if len(short) > 1:
        text += f"; then the {short[1].name}"
    return f"{text}."


def _beyond_the_aims(report: Report) -> list[str]:
    """What the aims, which are for walking blind, do not speak of: sight, and other ground."""
    sentences = []
    if sight := report.facts.get(SEES):
        sentences.append(f"It sees {sight}; the aims are those of a robot that walks blind.")
    if _levels(report) not in (None, AIM_LEVELS):
        sentences.append(f"The aims are for terrain levels {AIM_LEVELS}.")
    if grounds := "; ".join(_further_grounds(report)):
        sentences.append(f"Velocity error and falls on ground without an aim: {grounds}.")
    return sentences


def _levels(report: Report) -> str | None:
    """Levels of the terrain that it was measured on, as they are printed."""
    return next(filter(None, map(levels_of, report.sections)), None)


def _further_grounds(report: Report) -> Iterator[str]:
    """Grounds that were walked on and have no aim, with velocity error and falls."""
    section = report.section("tracking")
    if section is None or not section.tables:
        return
    aims = tuple(part.row for of in CRITERIA if of.section == "tracking" for part in of.parts)
    table = section.tables[0]
    for row in table.rows:
        # Stairs up and down begin as what has the aim does. The first kind of sensors will do here.
        if is_total(row, table) or row.label.startswith(aims) or sensors_of(row.label):
            continue
        error, falls = (
            section.find(row.label, title, table=table.title)
            for title in ("velocity error", "falls")
        )
        if error and falls:
            yield (
                f"{row.label} {error[0].mean:.{error[1].decimals}f} {error[1].unit} and "
                f"{falls[0].mean:.0f} {falls[1].unit}"
            )


def _basis(report: Report) -> str:
    """What the figures stand on."""
    # Behind a semicolon stands what other facts some sections have.
    seeds = report.facts.get(SEEDS, "").partition(";")[0].count(",") + 1
    parts = ["one trained policy", f"{seeds} evaluation {'seed' if seeds == 1 else 'seeds'}"]
    if ROBOTS in report.facts:
        parts.append(f"{report.facts[ROBOTS].split()[0]} robots in each walk")
    if levels := _levels(report):
        parts.append(f"terrain levels {levels}")
    parts.append(f"sensors: {report.facts[SENSORS]}" if SENSORS in report.facts else "")
    return f"It stands on {', '.join(filter(None, parts))}."


def _warnings(report: Report) -> list[str]:
    warnings = []
    if QUICK in report.facts:
        warnings.append(f"A quick try: {report.facts[QUICK]}.")
    section = report.section("tracking")
    for row in (TOTAL, "flat"):
        error = section and section.find(row, "velocity error", table="Tracking")
        falls = section and section.find(row, "falls", table="Tracking")
        if not error:
            continue
        if error[0].mean > WALKING_SHARE * STANDING_STILL:
            warnings.append(
                f"This policy does not walk: its velocity is off by {error[0].mean:.2f} m/s, that "
                f"of a robot that stands still by {STANDING_STILL:.2f} m/s."
            )
        elif falls and falls[0].mean > MOST_FALLS:
            warnings.append(
                f"This policy does not walk: it falls {falls[0].mean:.0f} times in 1000 s."
            )
        break
    return warnings
