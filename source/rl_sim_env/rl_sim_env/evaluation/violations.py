"""How often, and how far, robots go beyond their limits, and how far they walk meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from rl_sim_env.evaluation.grid import LOAD, TERRAIN, on_levels, report_terrains
from rl_sim_env.evaluation.grouped_sums import figure
from rl_sim_env.evaluation.locomotion import describe_rollout, end_loads, spread_walks
from rl_sim_env.evaluation.report import Column, Row, Section, Table
from rl_sim_env.mdp.constraints import CONSTRAINTS

if TYPE_CHECKING:
    from rl_sim_env.evaluation.arena import Arena, EvaluationCfg, Scenario

HIGH_QUANTILE = 0.99
"""Share of the steps that stay below the figure of the table of high values."""


_Figures = Callable[[torch.Tensor], torch.Tensor]
"""Figures of some robots, given by index, with one value for each seed first."""

_More = tuple[Column, _Figures]
"""A column, and its figures of shape (seeds,)."""


@dataclass(frozen=True, kw_only=True)
class Walks:
    """What robots did in rollouts of several seeds; each robot's rollout is a walk."""

    margins: torch.Tensor
    """Greatest margin of each constraint. Shape (seeds, steps, robots, constraints)."""

    walked: torch.Tensor
    """Distance walked along the command [m]. Shape (seeds, robots)."""

    commanded: torch.Tensor
    """Distance that was commanded [m]. Shape (seeds, robots)."""


def violations(arena: Arena, cfg: EvaluationCfg) -> Section:
    """How often limits of the robot are exceeded, without load and with the heaviest of training.

    After the constraints of CaT (Chane-Sane et al., arXiv:2403.18765).

    Args:
        arena: Where to walk.
        cfg: Its ``seconds`` and ``levels`` count.
    """
    at, scenario = spread_walks(arena, cfg)
    groups = {
        f"{label}, {load:.3g} kg": (
            torch.isin(at[TERRAIN], at[TERRAIN].new_tensor(families)) & (at[LOAD] == place)
        )
        .nonzero()
        .squeeze(-1)
        .cpu()
        for label, families in report_terrains(arena.env.terrain_types.names).items()
        for place, load in enumerate(end_loads(arena))
    }
    titles = [CONSTRAINTS[name].title for name in arena.env.constraint_monitor.layout.names]
    return Section(
        name="violations",
        title="Constraint violations",
        method=(
            f"{describe_rollout(arena)}. Torques, speeds and contact forces are the peaks over the "
            "physics steps of a control step; all are judged before a fallen robot begins anew. "
            "Limits are those of the robot's description. A walk is what one robot does in "
            f"{cfg.seconds:g} s, falls and new beginnings included. Distance: walked along the "
            "command over commanded; who does not walk violates nothing."
        ),
        tables=on_levels(arena, cfg, violation_tables(_walk(arena, cfg, scenario), groups, titles)),
    )


def violation_tables(
    walks: Walks, groups: Mapping[str, torch.Tensor], titles: Sequence[str]
) -> tuple[Table, ...]:
    """Steps and walks with a violation, and how far limits are used.

    Args:
        walks: What robots did.
        groups: Indices of the robots of each row, by its label.
        titles: What the constraints are called.
    """
    violated = walks.margins > 0.0
    spoiled = violated.any(dim=1)

    def without_any(robots: torch.Tensor) -> torch.Tensor:
        return 100.0 * (~spoiled[:, robots].any(dim=-1)).double().mean(dim=1)

    def distance(robots: torch.Tensor) -> torch.Tensor:
        walked, commanded = (of[:, robots].sum(dim=1) for of in (walks.walked, walks.commanded))
        return 100.0 * walked / commanded

    def of_limit(quantile: float) -> _Figures:
        return lambda robots: (
            100.0 * (1.0 + _quantile(walks.margins[:, :, robots].flatten(1, 2), quantile))
        )

    def table(title: str, unit: str, decimals: int, figures: _Figures, *further: _More) -> Table:
        shown = [Column(title=each, unit=unit, decimals=decimals) for each in titles]
        rows = []
        for label, robots in groups.items():
            values = [*figures(robots).unbind(dim=-1), *(of(robots) for _, of in further)]
            cells = tuple(figure(each, robots=len(robots)) for each in values)
            rows.append(Row(label=label, cells=cells))
        return Table(
            title=title,
            rows_title="terrain, load",
            columns=(*shown, *(column for column, _ in further)),
            rows=tuple(rows),
        )

    return (
        table(
            "Violations",
            "% of steps",
            3,
            lambda robots: 100.0 * violated[:, :, robots].double().mean(dim=(1, 2)),
            (Column(title="walks without any", unit="%", decimals=1), without_any),
            (Column(title="distance walked", unit="% of commanded", decimals=1), distance),
        ),
        table(
            "Walks with a violation",
            "% of walks",
            1,
            lambda robots: 100.0 * spoiled[:, robots].double().mean(dim=1),
        ),
        table(f"{100 * HIGH_QUANTILE:g}th percentile", "% of limit", 0, of_limit(HIGH_QUANTILE)),
        table("Maximum", "% of limit", 0, of_limit(1.0)),
    )


def _walk(arena: Arena, cfg: EvaluationCfg, scenario: Scenario) -> Walks:
    """Let all robots walk once for each seed."""
    layout, seeds = arena.env.constraint_monitor.layout, []
    for seed in cfg.seeds:
        margins = []
        walked = torch.zeros(arena.num_robots, dtype=torch.double, device=arena.device)
        commanded = torch.zeros_like(walked)
        for step in arena.rollout(scenario, seconds=cfg.seconds, seed=seed):
            margins.append(layout.worst(step.margins))
            speed = step.command[:, :2].norm(dim=-1)
            along = (step.velocity * step.command[:, :2]).sum(dim=-1) / speed.clamp(min=1e-6)
            walked += along * arena.step_dt
            commanded += speed * arena.step_dt
        seeds.append((torch.stack(margins), walked, commanded))
    margins, walked, commanded = (torch.stack(each).cpu() for each in zip(*seeds, strict=True))
    return Walks(margins=margins, walked=walked, commanded=commanded)


def _quantile(values: torch.Tensor, quantile: float) -> torch.Tensor:
    """Smallest value that this share does not exceed, shape (seeds, constraints).

    Args:
        values: Shape (seeds, samples, constraints).
        quantile: The share, above 0 to 1. torch's own quantile refuses as many samples as this.
    """
    count = values.shape[1]
    if not count:
        return values.new_full((len(values), values.shape[-1]), torch.nan)
    rank = max(round(quantile * count), 1)
    return values.kthvalue(rank, dim=1).values
