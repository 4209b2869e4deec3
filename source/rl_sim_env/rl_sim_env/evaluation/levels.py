"""The highest step, block and slope that robots pass straight on, by friction and load."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from mjlab.terrains import SubTerrainCfg

from rl_sim_env.evaluation.arena import Scenario
from rl_sim_env.evaluation.grid import grid_loads
from rl_sim_env.evaluation.grouped_sums import SEED, GroupedSums
from rl_sim_env.evaluation.groups import spread_evenly
from rl_sim_env.evaluation.report import Column, Figure, Plot, Row, Section, Series, Table

if TYPE_CHECKING:
    from rl_sim_env.evaluation.arena import Arena, EvaluationCfg

FRICTIONS = (0.2, 0.4, 0.6, 0.8, 1.0)
"""Sliding friction of the feet."""

WALK_SPEED = 0.6
"""Commanded speed, straight on [m/s]."""

WALK_TIME = 20.0
"""Time that a robot has to leave its tile [s]."""

PASS_SHARE = 0.9
"""Share of the robots of a seed that must arrive."""

WALKS_TIME = WALK_TIME * len(FRICTIONS)
"""Simulated time of each seed [s]."""

FEATURE, LEVEL, LOAD, FRICTION = "feature", "level", "load", "friction"


@dataclass(frozen=True, kw_only=True)
class Feature:
    """What there is one of on a tile, on all sides of where robots begin."""

    label: str
    family: str
    """Family of the terrain."""

    size: str
    """Field of its configuration that holds the size at the lowest and the highest level."""

    unit: str

    in_unit: Callable[[float], float]
    """What is printed for a value of the field."""


def _centimetres(metres: float) -> float:
    return 100.0 * metres


def _degrees(rise_over_run: float) -> float:
    return math.degrees(math.atan(abs(rise_over_run)))


FEATURES = (
    *(
        Feature(label=label, family=family, size=size, unit="cm", in_unit=_centimetres)
        for label, family, size in (
            # Out of a pit, and down from a pyramid.
            ("steps up", "pyramid_stairs_inv", "step_height_range"),
            ("steps down", "pyramid_stairs", "step_height_range"),
            ("blocks up and down", "boxes", "height_range"),
        )
    ),
    *(
        Feature(label=label, family=family, size="slope_range", unit="degrees", in_unit=_degrees)
        for label, family in (
            ("slope up", "hf_pyramid_slope_inv"),
            ("slope down", "hf_pyramid_slope"),
        )
    ),
)


def levels(arena: Arena, cfg: EvaluationCfg) -> Section:
    """The highest level of each single feature that robots of all seeds pass.

    After RoboGauge (RSS 2026): the highest step, block and slope, by friction and load. Robots
    begin in the middle of a tile and are told to walk straight on, over the feature, until they
    leave the tile. A seed passes a level if most of its robots arrive, at it and at all below.

    Args:
        arena: Where to walk.
        cfg: Its ``seeds`` count; the levels are all that the ground has.
    """
    names = arena.env.terrain_types.names
    features = tuple(each for each in FEATURES if each.family in names)
    method = (
        "After RoboGauge (RSS 2026): from the middle of a tile robots walk straight on, told "
        f"{WALK_SPEED:g} m/s and steered to their first heading, square to the sides of the tile. "
        f"Who leaves it within {WALK_TIME:g} s without a fall has arrived. A seed passes a level "
        f"if {100 * PASS_SHARE:g} % of its robots arrive, at it and at all below; tables have the "
        "greatest size that all seeds pass, 0 where they do not pass the lowest. All else as in "
        "training. A block lies anywhere between up and down by its figure."
    )
    section = Section(name="levels", title="Levels passed", method=method)
    terrain = arena.env.cfg.scene.terrain
    generator = None if terrain is None else terrain.terrain_generator
    if not features or generator is None:
        return replace(
            section, method=f"{method} This task has neither steps nor blocks nor slopes."
        )
    lightest, *_, heaviest = (0.0, *grid_loads(arena))
    loads = tuple(dict.fromkeys((lightest, heaviest)))
    sums = _walk(arena, cfg, features, num_levels=generator.num_rows, loads=loads)
    sizes = {
        each.label: _sizes(each, generator.sub_terrains[each.family], generator.num_rows)
        for each in features
    }
    tables = [
        Table(
            title=title,
            rows_title="feature, load",
            columns=tuple(
                Column(title=f"friction {friction:g}", unit=unit, decimals=1)
                for friction in FRICTIONS
            ),
            rows=tuple(
                Row(
                    label=f"{each.label}, {load:.3g} kg",
                    cells=tuple(
                        _passed(sums, sizes[each.label], {FEATURE: at, LOAD: of, FRICTION: on})
                        for on in range(len(FRICTIONS))
                    ),
                )
                for at, each in enumerate(features)
                if each.unit == unit
                for of, load in enumerate(loads)
            ),
        )
        for title, unit in (
            ("Highest steps and blocks that all seeds pass", "cm"),
            ("Steepest slope that all seeds pass", "degrees"),
        )
    ]
    hardest = {LOAD: len(loads) - 1, FRICTION: len(FRICTIONS) - 1}
    return replace(
        section,
        tables=tuple(table for table in tables if table.rows),
        plots=(
            Plot(
                name="levels",
                title=f"Robots that arrive, {loads[-1]:.3g} kg, friction {FRICTIONS[-1]:g}",
                x_label="level of the ground",
                y_label="robots that arrive [%]",
                series=tuple(
                    _curve(each.label, _shares(sums, {FEATURE: at, **hardest}))
                    for at, each in enumerate(features)
                ),
            ),
        ),
    )


def _walk(
    arena: Arena,
    cfg: EvaluationCfg,
    features: Iterable[Feature],
    *,
    num_levels: int,
    loads: tuple[float, ...],
) -> GroupedSums:
    """Let robots walk over all features, and count who arrives."""
    names, device = arena.env.terrain_types.names, arena.device
    families = torch.tensor([names.index(each.family) for each in features], device=device)
    axes = {LEVEL: num_levels, FEATURE: len(families), LOAD: len(loads)}
    at = spread_evenly(arena.num_robots, axes, device)
    sums = GroupedSums(
        {SEED: len(cfg.seeds), FRICTION: len(FRICTIONS), **axes}, arena.num_robots, device
    )
    one = torch.ones(arena.num_robots, device=device)
    # Over all four sides of the tile.
    heading = 0.5 * math.pi * (torch.arange(arena.num_robots, device=device) % 4)
    command = torch.tensor((WALK_SPEED, 0.0, 0.0), device=device).expand(arena.num_robots, -1)
    for index, seed in enumerate(cfg.seeds):
        for on, friction in enumerate(FRICTIONS):
            scenario = Scenario(
                family=families[at[FEATURE]],
                row=at[LEVEL],
                load=torch.tensor(loads, device=device)[at[LOAD]],
                command=command,
                heading=heading,
                friction=friction * one,
                from_middle=True,
            )
            walks = one.bool()
            arrived = ~walks
            for step in arena.rollout(scenario, seconds=WALK_TIME, seed=seed):
                arrived = arrived | (walks & step.time_outs)
                walks = walks & ~step.dones
            sums.add({SEED: index, FRICTION: on, **at}, arrived=arrived, robots=one)
    return sums


def _sizes(feature: Feature, ground: SubTerrainCfg, num_levels: int) -> list[float]:
    """Size of the feature at each level, as it is printed."""
    low, high = getattr(ground, feature.size)
    last = max(num_levels - 1, 1)
    return [feature.in_unit(low + (high - low) * row / last) for row in range(num_levels)]


def _shares(sums: GroupedSums, where: dict[str, int]) -> torch.Tensor:
    """Share of robots that arrive. Shape (num_seeds, num_levels); NaN where nobody has tried."""
    num_levels = sums.length(LEVEL)
    arrived, robots = (
        torch.stack([sums.total(name, **where, **{LEVEL: row}) for row in range(num_levels)], dim=1)
        for name in ("arrived", "robots")
    )
    return arrived / robots


def _passed(sums: GroupedSums, sizes: list[float], where: dict[str, int]) -> Figure | None:
    """Greatest size that all seeds pass; None where somewhere nobody has tried."""
    shares = _shares(sums, where)
    if shares.isnan().any():
        return None
    passed = (shares >= PASS_SHARE).long().cumprod(dim=1).sum(dim=1)
    reached = min((0.0, *sizes)[count] for count in passed.tolist())
    least = min(sums.robots(**where, **{LEVEL: row}) for row in range(len(sizes)))
    return Figure(mean=reached, spread=None, seeds=len(shares), robots=least)


def _curve(label: str, shares: torch.Tensor) -> Series:
    return Series(
        label=label,
        x=tuple(float(row) for row in range(shares.shape[1])),
        y=tuple((100.0 * shares.mean(dim=0)).tolist()),
        spread=tuple((100.0 * shares.std(dim=0)).tolist()) if len(shares) > 1 else (),
    )
