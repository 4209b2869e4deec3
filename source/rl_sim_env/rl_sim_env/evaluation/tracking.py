"""Does the robot walk where it is told?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from rl_sim_env.evaluation.grid import (
    BOTH_MODE,
    COMMAND_MODE,
    VELOCITY_MODE,
    YAW_RATE_MODE,
    by_level,
    by_terrain_and_level,
    describe_grid,
    grid_axes,
    grid_loads,
    on_levels,
    report_terrains,
    rollout_grid,
)
from rl_sim_env.evaluation.ground_under import (
    GROUND,
    GROUND_NAMES,
    LEVEL_WITHIN,
    REACH,
    ground_under,
)
from rl_sim_env.evaluation.grouped_sums import GroupedSums, Index, figure
from rl_sim_env.evaluation.inference_policy import accepts_truth
from rl_sim_env.evaluation.report import Column, Figure, Row, Section, Table
from rl_sim_env.evaluation.wording import FALLS_UNIT

if TYPE_CHECKING:
    from rl_sim_env.evaluation.arena import Arena, EvaluationCfg

SETTLING_TIME = 1.0
"""Time after a change of the command that the errors of held commands leave out [s]."""

HIM = {
    "slopes": (0.073, 0.084, 0.078, 0.047),
    "rough ground": (0.086, 0.097, 0.088, 0.054),
    "stairs": (0.147, 0.087, 0.135, 0.096),
    "discrete obstacles": (0.125, 0.083, 0.125, 0.075),
}
"""Published in HIM's table 1, for another robot without load: error of the velocity [m/s], of the
yaw rate [rad/s] on the spot, and of both where robots are told both."""


@dataclass(frozen=True, kw_only=True)
class _Measure:
    """A column: the mean of one total over the steps of robots in one or several command modes."""

    column: Column
    total: str
    command_mode: int | tuple[int, ...]
    steps: str = "steps"
    """Total that counts the steps of the mean."""
    per_step: float = 1.0
    """Factor from the mean over steps to the figure; for falls: steps in 1000 s."""


def tracking(arena: Arena, cfg: EvaluationCfg) -> Section:
    """Errors of velocity and yaw rate by terrain and load, on estimates and on the truth.

    After HIM (Long et al., ICLR 2024, table 1 and appendix on the simulation benchmark): the mean
    over steps of |v_xy - command| and |yaw rate - command|, commands uniform within +-1 m/s forward
    and sideways and +-1 rad/s; the error of the velocity with a yaw rate command of zero, that of
    the yaw rate with a velocity command of zero, and both without zeros; terrain levels 1 to 4 of 0
    to 9 in equal shares. That paper has no load, and does not tell how long a trial lasts, where
    on a tile it begins, how often commands change, and whether the steps after a change count. Its
    rough slopes are sloped; the rough ground here is not.

    Args:
        arena: Where to walk.
        cfg: Its ``seeds``, ``seconds`` and ``levels`` count.
    """
    terrains = report_terrains(arena.env.terrain_types.names)
    loads = grid_loads(arena)
    velocity, _, yaw_rate, *both, falls = measures = _measures(arena.step_dt)
    columns = tuple(measure.column for measure in measures)

    def by_terrain(title: str, sums: GroupedSums, minus: GroupedSums | None = None) -> Table:
        rows = tuple(
            Row(
                label=label,
                cells=tuple(_cell(m, sums, minus, terrain=families) for m in measures),
            )
            for label, families in terrains.items()
        )
        return Table(title=title, rows_title="terrain", columns=columns, rows=rows)

    def by_load(measure: _Measure, sums: GroupedSums) -> Table:
        column = measure.column
        rows = tuple(
            Row(
                label=label,
                cells=tuple(
                    _cell(measure, sums, terrain=families, load=load) for load in range(len(loads))
                ),
            )
            for label, families in terrains.items()
        )
        return Table(
            title=f"{column.title.capitalize()} [{column.unit}] by load",
            rows_title="terrain",
            columns=tuple(
                Column(title=f"{load:.3g} kg", decimals=column.decimals) for load in loads
            ),
            rows=rows,
        )

    def on_the_feature(sums: GroupedSums) -> list[Table]:
        """Of the time that robots spend on what a terrain is there for; none on a plane."""
        if len(terrains) == 1:
            return []
        on_it = GROUND_NAMES.index("on the feature")

        def share(families: list[int]) -> Figure | None:
            part = sums.total("steps", terrain=families, ground=on_it)
            whole = sums.total("steps", terrain=families)
            return figure(100.0 * part / whole, robots=sums.robots(terrain=families))

        rows = tuple(
            Row(
                label=label,
                cells=(
                    share(families),
                    *(_cell(of, sums, terrain=families, ground=on_it) for of in measures),
                ),
            )
            for label, families in terrains.items()
        )
        return [
            Table(
                title="On the feature, without level ground: tracking",
                rows_title="terrain",
                columns=(Column(title="time", unit="%", decimals=0), *columns),
                rows=rows,
            )
        ]

    sums = _rollout(arena, cfg)
    tables = [
        by_terrain("Tracking, mean over loads", sums),
        *by_level(
            arena,
            cfg,
            "Tracking",
            columns,
            lambda label, level: Row(
                label=label, cells=tuple(_cell(of, sums, level=level) for of in measures)
            ),
        ),
        *(
            table
            for of in (velocity, falls)
            for table in by_terrain_and_level(
                arena,
                cfg,
                of.column.title.capitalize(),
                of.column,
                lambda at, level, of=of: _cell(of, sums, terrain=at, level=level),
            )
        ),
        *on_the_feature(sums),
        *_beside_him((velocity, yaw_rate, *both), sums, terrains),
        *(by_load(of, sums) for of in (velocity, yaw_rate, falls)),
    ]
    if accepts_truth(arena.policy):
        fed = _rollout(arena, cfg, p_boot=0.0)
        tables += [
            by_terrain("Upper bound: the policy is fed the truth", fed),
            by_terrain("Gap: on estimates minus on the truth", sums, minus=fed),
        ]
    return Section(
        name="tracking",
        title="Tracking of commands",
        method=(
            "After HIM (Long et al., ICLR 2024, table 1): mean over time of |v_xy - command| and "
            "of |yaw rate - command|. The error of the velocity is that of robots told not to "
            "turn, the error of the yaw rate that of robots told to turn on the spot; the errors "
            "while turning and while walking are those of robots told both. There robots carry "
            "nothing, rough ground slopes, and where they begin and how often commands change is "
            "not told; here rough ground is level. The column marked "
            f"'held' leaves out the first {SETTLING_TIME:g} s after each change of the command. "
            f"On the feature: the ground within {REACH:g} m of the trunk's middle differs by more "
            f"than {100 * LEVEL_WITHIN:g} cm. {describe_grid(arena, cfg)}"
        ),
        tables=on_levels(arena, cfg, tables),
    )


def _beside_him(
    measures: Sequence[_Measure], sums: GroupedSums, terrains: Mapping[str, list[int]]
) -> list[Table]:
    """Robots without load beside the published figures; none where none of their terrains is."""
    shared = [label for label in HIM if label in terrains]
    rows = []
    for number, measure in enumerate(measures):
        title = f"{measure.column.title} [{measure.column.unit}]"
        ours = tuple(_cell(measure, sums, terrain=terrains[label], load=0) for label in shared)
        theirs = tuple(Figure.published(HIM[label][number]) for label in shared)
        rows += [Row(label=title, cells=ours), Row(label=f"{title}, HIM", cells=theirs)]
    columns = tuple(Column(title=label, decimals=3) for label in shared)
    table = Table(
        title="Without load, beside HIM", rows_title="error", columns=columns, rows=tuple(rows)
    )
    return [table] if shared else []


def _measures(step_dt: float) -> tuple[_Measure, ...]:
    return (
        _Measure(
            column=Column(title="velocity error", unit="m/s", decimals=3),
            total="velocity_error",
            command_mode=VELOCITY_MODE,
        ),
        _Measure(
            column=Column(title="velocity error, held", unit="m/s", decimals=3),
            total="held_velocity_error",
            command_mode=VELOCITY_MODE,
            steps="held_steps",
        ),
        _Measure(
            column=Column(title="yaw rate error", unit="rad/s", decimals=3),
            total="yaw_rate_error",
            command_mode=YAW_RATE_MODE,
        ),
        _Measure(
            column=Column(title="velocity error while turning", unit="m/s", decimals=3),
            total="velocity_error",
            command_mode=BOTH_MODE,
        ),
        _Measure(
            column=Column(title="yaw rate error while walking", unit="rad/s", decimals=3),
            total="yaw_rate_error",
            command_mode=BOTH_MODE,
        ),
        _Measure(
            column=Column(title="falls", unit=FALLS_UNIT, decimals=2),
            total="falls",
            command_mode=(VELOCITY_MODE, YAW_RATE_MODE, BOTH_MODE),
            per_step=1000.0 / step_dt,
        ),
    )


def _rollout(
    arena: Arena,
    cfg: EvaluationCfg,
    *,
    p_boot: float | None = None,
) -> GroupedSums:
    axes = {**grid_axes(arena, cfg), GROUND: len(GROUND_NAMES)}
    sums = GroupedSums(axes, arena.num_robots, arena.device)
    ground = ground_under(arena.env)
    last_command = torch.zeros(arena.num_robots, 3, device=arena.device)
    held_for = torch.zeros(arena.num_robots, device=arena.device)
    for _, place, step, begins in rollout_grid(arena, cfg, p_boot=p_boot):
        is_new = (step.command != last_command).any(dim=-1) | begins
        held_for = torch.where(is_new, 0.0, held_for + arena.step_dt)
        last_command = step.command
        velocity_error = step.velocity_error
        held = held_for > SETTLING_TIME
        if begins:
            ground = ground_under(arena.env)
        sums.add(
            {**place, GROUND: ground},
            steps=torch.ones_like(step.yaw_rate),
            velocity_error=velocity_error,
            held_steps=held,
            held_velocity_error=held * velocity_error,
            yaw_rate_error=step.yaw_rate_error,
            falls=step.fell,
        )
        # Where the next step begins: a robot that falls in it will have been put back.
        ground = ground_under(arena.env)
    return sums


def _cell(
    measure: _Measure, sums: GroupedSums, minus: GroupedSums | None = None, **where: Index
) -> Figure | None:
    where = where | {COMMAND_MODE: measure.command_mode}
    value = _mean(measure, sums, where)
    if minus is not None:
        value = value - _mean(measure, minus, where)
    return figure(value, robots=sums.robots(**where))


def _mean(measure: _Measure, sums: GroupedSums, where: dict[str, Index]) -> torch.Tensor:
    """Shape (num_seeds,); NaN where no robot walked."""
    total, steps = (sums.total(name, **where) for name in (measure.total, measure.steps))
    return measure.per_step * total / steps
