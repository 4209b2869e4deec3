"""How much the robot bears: minutes of pushes, one hard push, a heavy load, a long boom."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from rl_sim_env.evaluation.arena import DRAWN_COMMANDS, Scenario
from rl_sim_env.evaluation.falls import FallMeter
from rl_sim_env.evaluation.grid import (
    LEVEL,
    TERRAIN,
    by_level,
    by_terrain_and_level,
    on_levels,
    report_terrains,
)
from rl_sim_env.evaluation.grouped_sums import SEED, GroupedSums, Index, figure
from rl_sim_env.evaluation.groups import spread_evenly
from rl_sim_env.evaluation.report import Column, Figure, Plot, Row, Section, Series, Table
from rl_sim_env.evaluation.severity import SEVERITY, Sweep, count_trials
from rl_sim_env.evaluation.starts import WHERE
from rl_sim_env.evaluation.wording import FALLS_UNIT
from rl_sim_env.terrains.terrain_types import PLANE_FAMILY

if TYPE_CHECKING:
    from rl_sim_env.evaluation.arena import Arena, EvaluationCfg

PUSH_PERIOD = (10.0, 15.0)
"""Time between two pushes of a robot in the survival protocol [s]: as in training."""

PUSH_SPEED = 1.0
"""Largest velocity change in x and in y of those pushes [m/s]: as in training on rough ground."""

WHOLE_WALKS = 3.0
"""Walks that a robot has to end, on average, for figures of whole walks: in less time, most that
end are those that fall."""

PUSH_SWEEP = tuple(0.3 * step for step in range(15))
"""Sudden velocity changes [m/s] of the push protocol; 0 is what happens without a push. With the
shipped policy nine of ten stand 2.4 to 3.2 m/s, by ground."""

PUSH_SURVIVAL = 0.9
"""Share of robots that must survive a push."""

STRIDE = 3.0
"""How long a robot walks before it is pushed, and is watched afterwards [s]."""

LOAD_STEP = 1.0
"""Distance of the loads that are tried [kg]."""

HEAVIEST_LOAD = 3.5
"""Heaviest load that is tried, as a multiple of that of training."""

BOOM_LENGTHS = 5
"""Number of boom lengths from one end of the joint's range to the other."""

LOAD_SURVIVAL = 0.95
"""Share of robots that must survive a walk with a load."""

LOAD_ROLLOUT = 20.0
"""Length of that rollout [s]."""

TRIALS_TIME = 3.0
"""Repeated trials last about this many rollouts of :attr:`EvaluationCfg.seconds`."""

KIND = "kind"


def survival(arena: Arena, cfg: EvaluationCfg) -> Section:
    """Who stands up to minutes of walking and pushes.

    After DreamWaQ (Nahrendra et al., ICRA 2023, table III): 10 minutes of commands within +-1 and
    pushes. What that paper does not tell is chosen here: each robot is pushed every 10 to 15 s with
    a velocity change of up to 1 m/s in x and in y, as in training, and one that walks off its tile
    begins anew in the middle of it: on steps, a start is a fall now and then, and ten minutes have
    some two dozen of them. A survivor has not fallen once.

    Args:
        arena: Where to walk.
        cfg: Its ``survival_seconds`` and ``levels`` count.
    """
    names = arena.env.terrain_types.names
    at, scenario = _everywhere(arena, cfg)
    scenario = replace(scenario, from_middle=True)
    axes = {SEED: len(cfg.seeds), TERRAIN: len(names), LEVEL: len(cfg.levels)}
    sums = GroupedSums(axes, arena.num_robots, arena.device)
    steps_per_second = round(1.0 / arena.step_dt)
    meter = FallMeter(arena, len(cfg.seeds))
    curves = []
    for index, seed in enumerate(cfg.seeds):
        place = {SEED: index, **at}
        alive = torch.ones(arena.num_robots, dtype=torch.bool, device=arena.device)
        curve = [alive.float().mean()]
        draw = torch.Generator(arena.device).manual_seed(seed)
        until_push = _between_pushes(arena, draw)
        meter.begin(index)
        rollout = arena.rollout(scenario, seconds=cfg.survival_seconds, seed=seed)
        for number, step in enumerate(rollout, start=1):
            meter.add(step)
            alive = alive & ~step.fell
            sums.add(
                place,
                falls=step.fell,
                walks=step.dones,
                seconds=torch.full_like(until_push, arena.step_dt),
            )
            if number % steps_per_second == 0:
                curve.append(alive.float().mean())
            until_push = until_push - arena.step_dt
            due = until_push <= 0.0
            share = torch.rand(len(due), 2, device=arena.device, generator=draw)
            arena.push(PUSH_SPEED * (2.0 * share - 1.0) * due[:, None])
            meter.pushed(due)
            until_push = torch.where(due, _between_pushes(arena, draw), until_push)
        sums.add(place, survivors=alive, robots=torch.ones_like(alive))
        curves.append(torch.stack(curve))

    def cells(**where: Index) -> tuple[Figure | None, ...]:
        of = {name: sums.total(name, **where) for name in sums.names}
        robots = sums.robots(**where)
        walks = of["walks"].where(of["walks"] >= WHOLE_WALKS * of["robots"], math.nan)
        values = (
            100.0 * of["survivors"] / of["robots"],
            1000.0 * of["falls"] / of["seconds"],
            100.0 * (1.0 - of["falls"] / walks),
            of["seconds"] / walks,
        )
        return tuple(figure(value, robots=robots) for value in values)

    def row(label: str, **where: Index) -> Row:
        return Row(label=label, cells=cells(**where))

    terrains = report_terrains(names)
    rows = [row(label, **{TERRAIN: families}) for label, families in terrains.items()]
    columns = (
        Column(title="survivors", unit="%", decimals=1),
        Column(title="falls", unit=FALLS_UNIT, decimals=2),
        Column(title="walks without a fall", unit="%", decimals=1),
        Column(title="length of a walk", unit="s", decimals=1),
    )
    duration = f"{cfg.survival_seconds:g} s"
    title = f"Survivors of {duration}"
    tables = (
        Table(title=title, rows_title="terrain", columns=columns, rows=tuple(rows)),
        *by_level(arena, cfg, title, columns, lambda label, level: row(label, **{LEVEL: level})),
        *by_terrain_and_level(
            arena,
            cfg,
            title,
            columns[0],
            lambda at, level: cells(**{TERRAIN: at, LEVEL: level})[0],
        ),
        meter.table(),
    )
    shares = 100.0 * torch.stack(curves).cpu()
    return Section(
        name="survival",
        title="Survival",
        method=(
            f"After DreamWaQ (Nahrendra et al., ICRA 2023, table III, 10 minutes): {duration} "
            f"of {DRAWN_COMMANDS}, each robot pushed every {PUSH_PERIOD[0]:g} to "
            f"{PUSH_PERIOD[1]:g} s by a sudden velocity change of up to {PUSH_SPEED:g} m/s in x "
            "and in y (world frame, uniform), loads as in training; robots begin in the middle of "
            "their tile, and do so again where they leave it. A survivor has not fallen once; "
            "robots that fall begin anew and can add to the rate of falls. A walk ends where a "
            "robot falls or leaves its tile; for the next one robot and load are drawn anew. "
            "Figures of walks "
            f"stand where robots ended {WHOLE_WALKS:g} or more on average: in less time, those "
            "that fall end first. What that paper does not tell of ground and pushes is ours."
        ),
        tables=on_levels(arena, cfg, tables),
        plots=(
            Plot(
                name="survival",
                title="Robots that have not fallen yet",
                x_label="time [s]",
                y_label="not fallen [%]",
                series=(
                    Series(
                        label="all robots",
                        x=tuple(float(second) for second in range(shares.size(1))),
                        y=tuple(shares.mean(dim=0).tolist()),
                        spread=tuple(shares.std(dim=0).tolist()) if len(cfg.seeds) > 1 else (),
                    ),
                ),
            ),
        ),
    )


def pushes(arena: Arena, cfg: EvaluationCfg) -> Section:
    """The hardest push that most robots survive.

    After the largest push of DreamWaQ (Nahrendra et al., ICRA 2023, table III). Robots walk, are
    pushed in a random direction and watched; one that does not fall meanwhile has survived. Each
    robot goes through the speeds in turn; pushes of robots that have not walked long enough, stand
    or leave their tile while they are watched do not count.

    Args:
        arena: Where to walk.
        cfg: Its ``seconds`` and ``levels`` count.
    """
    names = arena.env.terrain_types.names
    at, scenario = _everywhere(arena, cfg)
    sums = GroupedSums(
        {SEED: len(cfg.seeds), TERRAIN: len(names), SEVERITY: len(PUSH_SWEEP)},
        arena.num_robots,
        arena.device,
    )
    speeds = torch.tensor(PUSH_SWEEP, device=arena.device)
    stride = arena.num_steps(STRIDE)
    rounds = _rounds(2.0 * STRIDE, cfg)
    for index, seed in enumerate(cfg.seeds):
        # In equal shares and shuffled, so that no speed belongs to a terrain.
        draw = torch.Generator().manual_seed(seed)
        severity = torch.randperm(arena.num_robots, generator=draw).to(arena.device)
        severity = severity % len(PUSH_SWEEP)
        age = torch.zeros(arena.num_robots, dtype=torch.long, device=arena.device)
        takes_part = survives = torch.zeros_like(age, dtype=torch.bool)
        rollout = arena.rollout(scenario, seconds=2.0 * STRIDE * rounds, seed=seed)
        for number, step in enumerate(rollout, start=1):
            age = torch.where(step.dones, 0, age + 1)
            survives = survives & ~step.fell
            takes_part = takes_part & ~(step.time_outs & survives)
            if number % (2 * stride) == stride:
                takes_part = (age >= stride) & step.command[:, :2].any(dim=-1)
                survives = torch.ones_like(survives)
                angle = 2.0 * math.pi * torch.rand(len(age), device=arena.device)
                direction = torch.stack((angle.cos(), angle.sin()), dim=-1)
                arena.push(speeds[severity, None] * direction)
            elif number % (2 * stride) == 0:
                place = {SEED: index, TERRAIN: at[TERRAIN], SEVERITY: severity}
                count_trials(sums, place, takes_part, survives)
                severity = (severity + 1) % len(PUSH_SWEEP)
    sweeps = {
        label: Sweep(sums, PUSH_SWEEP, **{TERRAIN: families})
        for label, families in report_terrains(names).items()
    }
    table = Table(
        title=f"Velocity change survived by {100 * PUSH_SURVIVAL:g} %",
        rows_title="terrain",
        columns=(Column(title="largest push", unit="m/s"),),
        rows=tuple(sweep.row(label, PUSH_SURVIVAL) for label, sweep in sweeps.items()),
    )
    return Section(
        name="pushes",
        title="Largest push",
        method=(
            "After DreamWaQ (Nahrendra et al., ICRA 2023, table III): while walking "
            f"({DRAWN_COMMANDS}; loads as in training; {WHERE}) the base's horizontal velocity is "
            f"changed at once, in a random direction, after at least {STRIDE:g} s on its legs. "
            f"Survived: no fall within {STRIDE:g} s. "
            f"Speeds {PUSH_SWEEP[0]:g} to {PUSH_SWEEP[-1]:g} m/s, "
            f"{rounds} pushes of each robot in each seed; the largest push is where the curve, "
            f"made to fall by pooling, crosses {100 * PUSH_SURVIVAL:g} %, interpolated."
        ),
        tables=on_levels(arena, cfg, [table]),
        plots=(
            Plot(
                name="pushes",
                title="Survivors of a push",
                x_label="velocity change [m/s]",
                y_label="survivors [%]",
                series=tuple(sweep.series(label) for label, sweep in sweeps.items()),
            ),
        ),
    )


def load_limits(arena: Arena, cfg: EvaluationCfg) -> Section:
    """The heaviest load, and the longest boom, with which nearly all robots still walk.

    On the flattest terrain of the task. The load grows far beyond what training shows, on a boom
    that has its nominal length; with the heaviest load of training, the boom grows as far as its
    joint goes. A robot that has not fallen in its walk has survived.

    Args:
        arena: Where to walk.
        cfg: Its ``seconds`` counts.
    """
    env, heaviest = arena.env, arena.env.cfg.robot.max_load
    if not heaviest:
        return Section(name="load_limits", title="Load limits", method="The robot carries nothing.")
    num_loads = math.floor(HEAVIEST_LOAD * heaviest / LOAD_STEP) + 1
    sweep = tuple(LOAD_STEP * number for number in range(num_loads))
    loads, lengths, booms = [*sweep], [math.nan] * len(sweep), ()
    carried, place_of_load = f"Loads {sweep[0]:g} to {sweep[-1]:g} kg", "as drawn"
    if len(env.index.boom_joints):
        boom = int(env.index.boom_joints[1])
        nominal = float(env.robot.data.default_joint_pos[0, boom])
        shortest, longest = env.robot.data.joint_pos_limits[0, boom].tolist()
        booms = tuple(torch.linspace(shortest, longest, BOOM_LENGTHS, dtype=torch.double).tolist())
        loads, lengths = [*sweep, *(heaviest,) * len(booms)], [*(nominal,) * len(sweep), *booms]
        place_of_load = f"boom {nominal:g} m"
        carried += (
            f" on a boom of {nominal:g} m; with {heaviest:g} kg, booms of {shortest:g} to "
            f"{longest:g} m, which is the whole range of the boom's joint"
        )
    severity = spread_evenly(arena.num_robots, {SEVERITY: len(loads)}, arena.device)[SEVERITY]
    scenario = Scenario(
        family=torch.full_like(severity, env.terrain_types.names.index(PLANE_FAMILY)),
        row=torch.zeros_like(severity),
        load=torch.tensor(loads, device=arena.device)[severity],
        boom_length=torch.tensor(lengths, device=arena.device)[severity],
    )
    kind = (severity >= len(sweep)).long()
    place = {KIND: kind, SEVERITY: severity - kind * len(sweep)}
    axes = {SEED: len(cfg.seeds), KIND: 2, SEVERITY: max(len(sweep), len(booms))}
    sums = GroupedSums(axes, arena.num_robots, arena.device)
    walk_steps, rounds = arena.num_steps(LOAD_ROLLOUT), _rounds(LOAD_ROLLOUT, cfg)
    for index, seed in enumerate(cfg.seeds):
        survives = everyone = torch.ones_like(severity, dtype=torch.bool)
        for number, step in enumerate(
            arena.rollout(scenario, seconds=rounds * LOAD_ROLLOUT, seed=seed), start=1
        ):
            survives = survives & ~step.fell
            if number % walk_steps == 0:
                count_trials(sums, {SEED: index, **place}, everyone, survives)
                survives = everyone
    parts = [_limit("load", "kg", 1, Sweep(sums, sweep, **{KIND: 0}), under=place_of_load)]
    if booms:
        sweep_of_booms = Sweep(sums, booms, **{KIND: 1})
        parts.append(_limit("boom", "m", 2, sweep_of_booms, under=f"load {heaviest:g} kg"))
    return Section(
        name="load_limits",
        title="Load limits",
        method=(
            f"{LOAD_ROLLOUT:g} s of walking on flat ground ({DRAWN_COMMANDS}), {rounds} times by "
            f"each robot in each seed, without a fall. {carried}. The limit is where the "
            f"curve, made to fall by pooling, crosses {100 * LOAD_SURVIVAL:g} %, interpolated."
        ),
        tables=tuple(table for table, _ in parts),
        plots=tuple(plot for _, plot in parts),
    )


_WORDS = {"load": ("load", "heaviest load"), "boom": ("length of the boom", "longest boom")}


def _limit(what: str, unit: str, decimals: int, sweep: Sweep, *, under: str) -> tuple[Table, Plot]:
    """Table and curve of what robots survive, as ``what`` grows, under a fixed condition."""
    swept, most = _WORDS[what]
    table = Table(
        title=f"{most.capitalize()} that {100 * LOAD_SURVIVAL:g} % survive",
        rows_title="condition",
        columns=(Column(title=most, unit=unit, decimals=decimals),),
        rows=(sweep.row(under, LOAD_SURVIVAL),),
    )
    plot = Plot(
        name=f"{what}_limit",
        title=f"Survivors of a walk, {under}",
        x_label=f"{swept} [{unit}]",
        y_label="survivors [%]",
        series=(sweep.series(under),),
    )
    return table, plot


def _between_pushes(arena: Arena, draw: torch.Generator) -> torch.Tensor:
    """Time until each robot's next push [s]."""
    low, high = PUSH_PERIOD
    share = torch.rand(arena.num_robots, device=arena.device, generator=draw)
    return low + (high - low) * share


def _everywhere(arena: Arena, cfg: EvaluationCfg) -> tuple[dict[str, torch.Tensor], Scenario]:
    """Robots on all terrains and levels in equal shares: where each is, and their scenario."""
    axes = {TERRAIN: len(arena.env.terrain_types.names), LEVEL: len(cfg.levels)}
    at = spread_evenly(arena.num_robots, axes, arena.device)
    row = torch.tensor(cfg.levels, device=arena.device)[at[LEVEL]]
    return at, Scenario(family=at[TERRAIN], row=row)


def _rounds(length: float, cfg: EvaluationCfg) -> int:
    """How often a trial of some length [s] is repeated in a rollout."""
    return max(round(TRIALS_TIME * cfg.seconds / length), 1)
