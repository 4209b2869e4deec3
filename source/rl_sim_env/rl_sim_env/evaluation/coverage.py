"""Does the policy know how far its estimates may be off, and when a load is beyond training?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from rl_sim_env.conventions import DEVIATIONS_95, leaves_range
from rl_sim_env.evaluation.grid import LEVEL, grid_axes, grid_places
from rl_sim_env.evaluation.grouped_sums import GroupedSums, Index, figure
from rl_sim_env.evaluation.report import Column, Figure, Row, Table

if TYPE_CHECKING:
    from rl_sim_env.evaluation.arena import Arena, EvaluationCfg
    from rl_sim_env.evaluation.grid import GridStep

_MASS = "mass"


class CoverageMeter:
    """How often the truth lies within the interval that the policy tells, by terrain and load.

    Of a policy that tells no standard deviations it measures nothing.

    Args:
        arena: Where robots walk.
        cfg: Size of the grid.
    """

    def __init__(self, arena: Arena, cfg: EvaluationCfg) -> None:
        axes = grid_axes(arena, cfg)
        del axes[LEVEL]
        self._sums = GroupedSums(axes, arena.num_robots, arena.device)
        self._places = grid_places(arena)
        self._targets = arena.policy.targets
        self._mass_range = _mass_range(arena)

    def add(self, at: GridStep) -> None:
        """Take in a control step."""
        step = at.step
        if step.output.std is None:
            return
        for_each = torch.ones_like(step.yaw_rate)
        error = (step.output.estimate.joined() - step.truth.joined()).abs()
        told = {"steps": for_each, "covered": error <= DEVIATIONS_95 * step.output.std.joined()}
        if self._mass_range is not None:
            beyond = leaves_range(
                step.output.estimate[_MASS], step.output.std[_MASS], *self._mass_range
            )
            told["beyond"] = beyond.squeeze(-1)
        self._sums.add(at.place, **told)

    def tables(self) -> tuple[Table, ...]:
        """Shares by terrain, and by load; nothing where the policy tells no deviations."""
        if not self._sums.names:
            return ()
        flag = () if self._mass_range is None else ("flagged as beyond training",)
        titles = (*(each.label for each in self._targets.declared.values()), *flag)
        return tuple(
            Table(
                title=f"Truths within the 95 % interval of their estimate by {axis}",
                rows_title=axis,
                columns=tuple(Column(title=title, unit="%", decimals=1) for title in titles),
                rows=tuple(
                    Row(label=label, cells=self._cells(**where)) for label, where in places.items()
                ),
            )
            for axis, places in self._places.items()
        )

    def _cells(self, **where: Index) -> tuple[Figure | None, ...]:
        steps = self._sums.total("steps", **where)
        covered = self._targets.split(self._sums.total("covered", **where) / steps[:, None])
        shares = [share.mean(dim=-1) for share in covered.values()]
        if self._mass_range is not None:
            shares.append(self._sums.total("beyond", **where) / steps)
        robots = self._sums.robots(**where)
        return tuple(figure(100.0 * share, robots=robots) for share in shares)


def describe_coverage(arena: Arena) -> str:
    """What the tables show, in words; nothing where there are none."""
    if arena.output.std is None:
        return ""
    mass_range, beyond = _mass_range(arena), ""
    if mass_range is not None:
        least, greatest = mass_range.tolist()
        beyond = (
            f" Flagged is a mass whose interval leaves {least:.1f} to {greatest:.1f} kg, the range "
            "of training; under loads of training these are false alarms."
        )
    return (
        f" The 95 % interval reaches {DEVIATIONS_95:g} of the standard deviations that the policy "
        f"tells to both sides of its estimate; shares are of numbers, robots and time.{beyond}"
    )


def _mass_range(arena: Arena) -> torch.Tensor | None:
    """Least and greatest mass above nominal in training [kg], shape (2,); None where unknown."""
    trained = None if arena.output.std is None else arena.policy.trained_range()
    if trained is None or _MASS not in trained:
        return None
    return trained[_MASS].squeeze(-1).to(arena.device)
