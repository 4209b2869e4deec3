"""Rollouts over all terrains, loads and kinds of commands, which several protocols watch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from math import nan, prod
from typing import TYPE_CHECKING, NamedTuple

import torch

from rl_sim_env.evaluation.arena import COMMAND_PERIOD, MAX_COMMAND, Scenario
from rl_sim_env.evaluation.grouped_sums import SEED, Index
from rl_sim_env.evaluation.groups import spread_evenly
from rl_sim_env.evaluation.report import Column, Figure, Row, Table
from rl_sim_env.evaluation.starts import WHERE
from rl_sim_env.evaluation.wording import level_list
from rl_sim_env.terrains.terrain_types import PLANE_FAMILY

if TYPE_CHECKING:
    from rl_sim_env.evaluation.arena import Arena, EvaluationCfg, EvaluationStep

TERRAIN = "terrain"
LOAD = "load"
COMMAND_MODE = "command_mode"
LEVEL = "level"
"""Axes of the grid, beside the seeds."""

RowMaker = Callable[[str, int], Row]

Places = dict[str, dict[str, dict[str, Index]]]
"""By what rows of a table are told apart: labels of the rows, and where they are on the axes."""

LOAD_STEPS = 4
"""Loads of the grid: from none to the heaviest of training in equal steps."""

VELOCITY_MODE, YAW_RATE_MODE, BOTH_MODE = range(3)
_MODE_COMPONENTS = ((nan, nan, 0.0), (0.0, 0.0, nan), (nan, nan, nan))
"""Components of a command that a mode draws (NaN); the others are zero."""

TERRAINS = {
    "flat": (PLANE_FAMILY,),
    "slopes": ("hf_pyramid_slope", "hf_pyramid_slope_inv"),
    "rough ground": ("random_rough",),
    # From the bottom of a pit there is only the way up, from the top of a pyramid the way down.
    "stairs up": ("pyramid_stairs_inv",),
    "stairs down": ("pyramid_stairs",),
    "stairs": ("pyramid_stairs", "pyramid_stairs_inv"),
    "discrete obstacles": ("boxes",),
    "gaps": ("gaps",),
    "stepping stones": ("stones",),
}
"""Terrains of the report, and the families of the terrain grid that they are made of."""


SENSORS = {
    "ideal": "ideal sensors, but for noise and some milliseconds of delay",
    "hardware": "sensors as on hardware",
}
"""How sensors are, in words."""


class GridStep(NamedTuple):
    """A control step, and where on the grid the robots stand."""

    seed: int
    """Which of the seeds, by index."""

    place: dict[str, torch.Tensor | int]
    """Index on each axis: shape (num_robots,), or one for all."""

    step: EvaluationStep
    """What the step showed."""

    begins: bool
    """Whether it is the first of its rollout."""


def report_terrains(families: tuple[str, ...]) -> dict[str, list[int]]:
    """The terrains of the report that there are, as indices of families; ``all`` if several."""
    terrains = {
        label: [families.index(name) for name in names]
        for label, names in TERRAINS.items()
        if set(names) <= set(families)
    }
    return terrains if len(families) == 1 else terrains | {"all": list(range(len(families)))}


def grid_loads(arena: Arena) -> tuple[float, ...]:
    """Loads of the grid [kg]: none alone for a robot that carries nothing."""
    heaviest = arena.env.cfg.robot.max_load
    steps = LOAD_STEPS if heaviest else 1
    return tuple(heaviest * step / (LOAD_STEPS - 1) for step in range(steps))


def grid_axes(arena: Arena, cfg: EvaluationCfg) -> dict[str, int]:
    """Lengths of the axes: seeds, families of terrain, loads, command modes, levels."""
    return {
        SEED: len(cfg.seeds),
        TERRAIN: len(arena.env.terrain_types.names),
        COMMAND_MODE: len(_MODE_COMPONENTS),
        LOAD: len(grid_loads(arena)),
        LEVEL: len(cfg.levels),
    }


def grid_places(arena: Arena) -> Places:
    """Rows by terrain and by load."""
    terrains = report_terrains(arena.env.terrain_types.names)
    return {
        "terrain": {label: {TERRAIN: families} for label, families in terrains.items()},
        "load": {f"{load:.3g} kg": {LOAD: at} for at, load in enumerate(grid_loads(arena))},
    }


def on_levels(arena: Arena, cfg: EvaluationCfg, tables: Iterable[Table]) -> tuple[Table, ...]:
    """Tables that tell the levels they stand on; a plane has none."""
    levels = cfg.levels if len(arena.env.terrain_types.names) > 1 else ()
    return tuple(replace(table, levels=levels) for table in tables)


def by_level(
    arena: Arena, cfg: EvaluationCfg, title: str, columns: tuple[Column, ...], row: RowMaker
) -> list[Table]:
    """A table of the terrain's levels, over all families; none on a plane, which has no levels.

    Args:
        arena: Where robots walked.
        cfg: Its ``levels`` count.
        title: What the table is about.
        columns: Of the table.
        row: Makes a row of its label and its place on the axis :data:`LEVEL`.
    """
    if len(arena.env.terrain_types.names) == 1:
        return []
    rows = tuple(row(f"level {level}", place) for place, level in enumerate(cfg.levels))
    title = f"{title} by level of the terrain"
    return [Table(title=title, rows_title="terrain", columns=columns, rows=rows)]


def by_terrain_and_level(
    arena: Arena,
    cfg: EvaluationCfg,
    title: str,
    column: Column,
    cell: Callable[[list[int], int], Figure | None],
) -> list[Table]:
    """A table of one figure by terrain and level, with how many walks each place stands on.

    Args:
        arena: Where robots walked.
        cfg: Its ``levels`` count.
        title: What the table is about.
        column: The figure; its own title is left out.
        cell: Makes a figure of places on the axes :data:`TERRAIN` and :data:`LEVEL`.

    Returns:
        None on a plane, which has no levels.
    """
    names = arena.env.terrain_types.names
    if len(names) == 1:
        return []
    rows = (
        Row(label=label, cells=tuple(cell(families, at) for at in range(len(cfg.levels))))
        for label, families in report_terrains(names).items()
    )
    return [
        Table(
            title=f"{title} by terrain and level",
            rows_title="terrain",
            columns=tuple(replace(column, title=f"level {level}") for level in cfg.levels),
            rows=tuple(rows),
            counts_walks=True,
        )
    ]


def rollout_grid(
    arena: Arena,
    cfg: EvaluationCfg,
    *,
    p_boot: float | None = None,
) -> Iterator[GridStep]:
    """One rollout for each seed, robots spread evenly over the grid.

    Args:
        arena: Where to walk.
        cfg: Its ``seeds``, ``seconds`` and ``levels`` count.
        p_boot: 1 feeds the policy its own estimates, 0 the truth; None: as the arena does.
    """
    axes = grid_axes(arena, cfg)
    del axes[SEED], axes[LEVEL]
    device = arena.device
    num_cells = prod(axes.values())
    cells = spread_evenly(num_cells, axes, device)
    # Cells are shuffled, so that a number of robots below that of cells is spread over all axes.
    order = torch.randperm(num_cells, generator=torch.Generator().manual_seed(0)).to(device)
    levels = torch.tensor(cfg.levels, device=device)
    for index, seed in enumerate(cfg.seeds):
        # Each seed goes on with the cell after the last one's, so that all cells get equal shares.
        robots = torch.arange(arena.num_robots, device=device) + index * arena.num_robots
        cell = order[robots % num_cells]
        place = {name: which[cell] for name, which in cells.items()}
        draw = torch.Generator().manual_seed(seed)
        level = torch.randperm(arena.num_robots, generator=draw).to(device) % len(levels)
        scenario = Scenario(
            family=place[TERRAIN],
            row=levels[level],
            load=torch.tensor(grid_loads(arena), device=device)[place[LOAD]],
            command=torch.tensor(_MODE_COMPONENTS, device=device)[place[COMMAND_MODE]],
        )
        rollout = arena.rollout(scenario, seconds=cfg.seconds, seed=seed, p_boot=p_boot)
        for number, step in enumerate(rollout):
            yield GridStep(index, {SEED: index, LEVEL: level, **place}, step, begins=number == 0)


def describe_grid(arena: Arena, cfg: EvaluationCfg) -> str:
    """What :func:`rollout_grid` does, in words."""
    families = arena.env.terrain_types.names
    ground = (
        f", terrain levels {level_list(cfg.levels)} in equal shares, "
        f"{arena.env.cfg.terrain_columns} tiles of each that is drawn at random; {WHERE}"
        if len(families) > 1
        else " on a plane"
    )
    loads = ", ".join(f"{load:g}" for load in grid_loads(arena))
    return (
        f"{arena.num_robots} robots for {cfg.seconds:g} s and each of {len(cfg.seeds)} seeds"
        f"{ground}. Loads of {loads} kg in equal shares, the rest of the robot as in training, "
        f"{SENSORS[arena.sensors]}, no pushes. Commands are drawn every "
        f"{COMMAND_PERIOD:g} s, uniform up to {MAX_COMMAND[0]:g} m/s forward and sideways "
        f"and {MAX_COMMAND[2]:g} rad/s; a third of the robots is told velocities without turning, "
        "a third to turn on the spot, a third both. All steps count, also those just after a "
        "change of the command or a fall, which a robot goes on from by beginning anew."
    )
