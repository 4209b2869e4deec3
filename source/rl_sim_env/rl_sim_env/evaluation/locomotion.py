"""How the robot moves: where it steps, and what walking costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

import torch

from rl_sim_env.evaluation.arena import DRAWN_COMMANDS, Scenario
from rl_sim_env.evaluation.footholds import (
    EDGE_DISTANCE,
    EDGE_HEIGHT,
    ENOUGH_SUPPORT,
    JITTER,
    FootholdMeter,
)
from rl_sim_env.evaluation.gait_metrics import GaitMeter, left_right_asymmetry
from rl_sim_env.evaluation.grid import LEVEL, LOAD, TERRAIN, on_levels, report_terrains
from rl_sim_env.evaluation.grouped_sums import SEED, GroupedSums, Index, figure
from rl_sim_env.evaluation.groups import spread_evenly
from rl_sim_env.evaluation.report import Column, Plot, Row, Section, Series, Table
from rl_sim_env.evaluation.starts import WHERE
from rl_sim_env.mdp.buried_feet import BURIED_TIME
from rl_sim_env.terrains.support import MARGIN, TOLERANCE
from rl_sim_env.terrains.terrain_types import PLANE_FAMILY

if TYPE_CHECKING:
    from rl_sim_env.evaluation.arena import Arena, EvaluationCfg, EvaluationStep

EDGY_TERRAINS = ("stairs up", "stairs down", "discrete obstacles", "gaps", "stepping stones")
"""Where footholds are judged."""

COMMANDED_SPEEDS = (0.4, 0.8)
"""Commanded speeds between slow, medium and fast [m/s]."""

SPEED_NAMES = (
    f"below {COMMANDED_SPEEDS[0]:g} m/s",
    f"{COMMANDED_SPEEDS[0]:g} to {COMMANDED_SPEEDS[1]:g} m/s",
    f"above {COMMANDED_SPEEDS[1]:g} m/s",
)

SPEED = "speed"

Totals = Mapping[str, torch.Tensor]
"""Sums by name, each of shape (num_seeds, ...)."""

Figures = Callable[[Totals], torch.Tensor]
"""A figure of each seed, shape (num_seeds,), out of sums."""

GAIT_FIGURES: tuple[tuple[Column, Figures], ...] = (
    (Column(title="speed", unit="m/s"), lambda of: of["distance"] / of["seconds"]),
    (Column(title="cost of transport"), lambda of: of["work"] / of["weight_distance"]),
    (
        Column(title="cost of transport, positive work"),
        lambda of: of["positive_work"] / of["weight_distance"],
    ),
    (Column(title="duty factor"), lambda of: of["stance"].sum(dim=-1) / of["foot_seconds"]),
    (Column(title="steps", unit="1/s"), lambda of: of["touchdowns"] / of["foot_seconds"]),
    (
        Column(title="foot clearance", unit="cm", decimals=1),
        lambda of: 100.0 * of["swing_height"] / of["touchdowns"],
    ),
    (
        Column(title="left-right asymmetry", unit="%", decimals=1),
        lambda of: left_right_asymmetry(of["stance"], of["mirrored_stance"]),
    ),
    (
        Column(title="diagonal sync", unit="%", decimals=0),
        lambda of: 100.0 * of["diagonal"] / of["seconds"],
    ),
    (Column(title="foot slip", unit="m/s"), lambda of: of["slip"] / of["stance"].sum(dim=-1)),
    (
        Column(title="stuck feet", unit="1/min"),
        lambda of: 60.0 * of["stuck"] / of["seconds"],
    ),
)
"""What a gait is described by, and how it follows from the sums of a :class:`GaitMeter`."""


FOOTHOLD_FIGURES: tuple[tuple[Column, Figures], ...] = tuple(
    (
        Column(title=title, unit=unit, decimals=1),
        lambda of, name=name, k=k: k * of[name] / of["touchdowns"],
    )
    for name, title, unit, k in (
        ("edges", "on an edge", "%", 100.0),
        ("risers", "against a riser", "%", 100.0),
        ("random_edges", "at an edge, random", "%", 100.0),
        ("variance", "height variance under the foot", "cm^2", 1e4),
        ("random_variance", "height variance, random", "cm^2", 1e4),
        ("supported", "supported footholds", "%", 100.0),
        ("random_supported", "supported footholds, random", "%", 100.0),
        ("support", "mean support", "%", 100.0),
    )
)
"""What footholds are judged by, and how it follows from the sums of a :class:`FootholdMeter`."""


def footholds(arena: Arena, cfg: EvaluationCfg) -> Section:
    """Where feet touch down on ground with edges, beside where they would at random.

    Args:
        arena: Where to walk.
        cfg: Its ``seconds`` and ``levels`` count.
    """
    terrains = report_terrains(arena.env.terrain_types.names)
    edgy = {label: families for label, families in terrains.items() if label in EDGY_TERRAINS}
    method = (
        f"Touchdowns on ground with edges; {describe_rollout(arena)}. At an edge: the ground "
        f"within {100 * EDGE_DISTANCE:g} cm of the foot's centre differs by more than "
        f"{100 * EDGE_HEIGHT:g} cm in height. Of those, the ground pushes the foot more sideways "
        "than upwards: against a riser; the others: on an edge. Random: the same touchdowns "
        f"displaced by up to {100 * JITTER:g} cm in x and y, all at an edge. Support: share of the "
        f"ground around that is as high as the foot's contact, to {100 * TOLERANCE:g} cm, within "
        f"{100 * MARGIN:g} cm more than the foot's radius; supported: more than "
        f"{100 * ENOUGH_SUPPORT:g} % (SFR, MSR of arXiv:2605.30770)."
    )
    section = Section(name="footholds", title="Footholds", method=method)
    if not edgy:
        return replace(section, method=f"{method} This task has no such ground.")
    meter = FootholdMeter(arena.env)
    sums = _rollout(arena, cfg, lambda step: meter.sample(), sorted(set(chain(*edgy.values()))))
    rows = [
        _row(sums, FOOTHOLD_FIGURES, label, **{TERRAIN: families})
        for label, families in edgy.items()
    ]
    tables = on_levels(arena, cfg, [_table("Footholds", "terrain", FOOTHOLD_FIGURES, rows)])
    return replace(section, tables=tables)


def gait(arena: Arena, cfg: EvaluationCfg) -> Section:
    """What walking costs and how even it is: by load and speed on flat ground, and by terrain.

    Args:
        arena: Where to walk.
        cfg: Its ``seconds`` and ``levels`` count.
    """
    meter = GaitMeter(arena.env)
    sums = _rollout(arena, cfg, lambda step: meter.sample(step.command))
    names = arena.env.terrain_types.names
    flat = {TERRAIN: names.index(PLANE_FAMILY)}
    loads = end_loads(arena)
    by_load = {
        load: [
            _row(sums, GAIT_FIGURES, f"{load:.3g} kg, {speed}", **at_load, **{SPEED: fastness})
            for fastness, speed in enumerate(SPEED_NAMES)
        ]
        for load, at_load in ((load, flat | {LOAD: place}) for place, load in enumerate(loads))
    }
    rows = [*chain(*by_load.values()), _row(sums, GAIT_FIGURES, "all", **flat)]
    tables = [_table("Gait on flat ground", "load, commanded speed", GAIT_FIGURES, rows)]
    if len(names) > 1:
        by_terrain = [
            _row(sums, GAIT_FIGURES, label, **{TERRAIN: families})
            for label, families in report_terrains(names).items()
        ]
        table = _table("Gait by terrain", "terrain", GAIT_FIGURES, by_terrain)
        tables += on_levels(arena, cfg, [table])
    return Section(
        name="gait",
        title="Gait and energy",
        method=(
            f"While told to move; {describe_rollout(arena)}. Cost of transport: the sum of "
            "|torque x speed| of the leg joints over the weight of robot and load times the "
            "distance; positive work leaves out what joints absorb. Duty factor: share of time in "
            "which a foot carries. Foot clearance: highest gap to the ground in a swing. "
            "Left-right asymmetry: difference of "
            "the stance times of left and right feet over their mean. Diagonal sync: share of time "
            "in which diagonal feet are both down or both up, 100 % in a trot. Foot slip: "
            "horizontal speed of the centres of feet in contact, rolling included. Stuck feet: how "
            "often the centre of a foot is below the surface of a height field for more than "
            f"{BURIED_TIME:g} s."
        ),
        tables=tuple(tables),
        plots=(
            Plot(
                name="cost_of_transport",
                title="Cost of transport on flat ground",
                x_label="speed [m/s]",
                y_label="cost of transport",
                series=tuple(
                    _cost_by_speed(f"{load:.3g} kg", of_load) for load, of_load in by_load.items()
                ),
            ),
        ),
    )


def end_loads(arena: Arena) -> tuple[float, ...]:
    """Without load, and with the heaviest of training [kg]."""
    heaviest = arena.env.cfg.robot.max_load
    return (0.0, heaviest) if heaviest else (0.0,)


def describe_rollout(arena: Arena) -> str:
    """What robots are told and carry, and where they begin, in words."""
    loads = " and ".join(f"{load:g}" for load in end_loads(arena))
    return f"{DRAWN_COMMANDS}, loads of {loads} kg; {WHERE}"


def spread_walks(
    arena: Arena, cfg: EvaluationCfg, families: Sequence[int] | None = None
) -> tuple[dict[str, torch.Tensor], Scenario]:
    """Spread robots over terrains, loads and levels.

    Args:
        arena: Where to walk.
        cfg: Its ``levels`` count.
        families: Terrains; None for all.

    Returns:
        Index of each robot's terrain and load, shape (num_robots,), and what is fixed.
    """
    families = families or range(len(arena.env.terrain_types.names))
    loads = end_loads(arena)
    axes = {TERRAIN: len(families), LOAD: len(loads), LEVEL: len(cfg.levels)}
    at = spread_evenly(arena.num_robots, axes, arena.device)
    at[TERRAIN] = torch.tensor(families, device=arena.device)[at[TERRAIN]]
    scenario = Scenario(
        family=at[TERRAIN],
        row=torch.tensor(cfg.levels, device=arena.device)[at.pop(LEVEL)],
        load=torch.tensor(loads, device=arena.device)[at[LOAD]],
    )
    return at, scenario


def _rollout(
    arena: Arena,
    cfg: EvaluationCfg,
    sample: Callable[[EvaluationStep], dict[str, torch.Tensor]],
    families: Sequence[int] | None = None,
) -> GroupedSums:
    """Let robots walk with and without load on some terrains, or all, and add up what is seen."""
    at, scenario = spread_walks(arena, cfg, families)
    speeds = torch.tensor(COMMANDED_SPEEDS, device=arena.device)
    sums = GroupedSums(
        {
            SEED: len(cfg.seeds),
            TERRAIN: len(arena.env.terrain_types.names),
            LOAD: len(end_loads(arena)),
            SPEED: len(SPEED_NAMES),
        },
        arena.num_robots,
        arena.device,
    )
    for index, seed in enumerate(cfg.seeds):
        for step in arena.rollout(scenario, seconds=cfg.seconds, seed=seed):
            speed = torch.bucketize(step.command[:, :2].norm(dim=-1), speeds)
            sums.add({SEED: index, **at, SPEED: speed}, **sample(step))
    return sums


def _row(
    sums: GroupedSums, figures: Sequence[tuple[Column, Figures]], label: str, **where: Index
) -> Row:
    of = {name: sums.total(name, **where) for name in sums.names}
    robots = sums.robots(**where)
    return Row(label=label, cells=tuple(figure(value(of), robots=robots) for _, value in figures))


def _table(
    title: str, rows_title: str, figures: Sequence[tuple[Column, Figures]], rows: Sequence[Row]
) -> Table:
    columns = tuple(column for column, _ in figures)
    return Table(title=title, rows_title=rows_title, columns=columns, rows=tuple(rows))


def _cost_by_speed(label: str, rows: Sequence[Row]) -> Series:
    """The cost of transport of some rows over their speed; rows without are left out."""
    titles = [column.title for column, _ in GAIT_FIGURES]
    speed, cost = titles.index("speed"), titles.index("cost of transport")
    cells = [(row.cells[speed], row.cells[cost]) for row in rows]
    known = [(at, value) for at, value in cells if at is not None and value is not None]
    return Series(
        label=label,
        x=tuple(at.mean for at, _ in known),
        y=tuple(value.mean for _, value in known),
        spread=tuple(math.nan if value.spread is None else value.spread for _, value in known),
    )
