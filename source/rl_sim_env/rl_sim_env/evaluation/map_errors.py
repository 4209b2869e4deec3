"""How far the policy's map of the ground is off, where it sees and where it has to remember."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from rl_sim_env.conventions import DEVIATIONS_95
from rl_sim_env.evaluation.grid import TERRAIN, report_terrains
from rl_sim_env.evaluation.grouped_sums import SEED, GroupedSums, Index, figure
from rl_sim_env.evaluation.report import Column, Figure, Row, Table
from rl_sim_env.evaluation.verdict import MAP_AIMS
from rl_sim_env.learning.perceptive_vae import TERRAIN_ESTIMATE, PerceptiveVae
from rl_sim_env.learning.policy import AmpVaePolicy

if TYPE_CHECKING:
    from rl_sim_env.evaluation.arena import Arena, EvaluationCfg
    from rl_sim_env.evaluation.grid import GridStep

_TOLD = "told"


class MapMeter:
    """Errors of the reconstructed map, by terrain; nothing of a policy that has none.

    Args:
        arena: Where robots walk.
        cfg: Size of the grid.
    """

    def __init__(self, arena: Arena, cfg: EvaluationCfg) -> None:
        names = arena.env.terrain_types.names
        axes = {SEED: len(cfg.seeds), TERRAIN: len(names)}
        self._sums = GroupedSums(axes, arena.num_robots, arena.device)
        self._terrains = report_terrains(names)
        policy = arena.policy
        self._vae: PerceptiveVae | None = None
        if isinstance(policy, AmpVaePolicy) and isinstance(policy.vae, PerceptiveVae):
            self._vae = policy.vae if policy.vae.reconstructs else None

    @property
    def description(self) -> str:
        """What the table shows, in words; nothing where there is none."""
        if self._vae is None:
            return ""
        return (
            " Errors of the map are those of its cells, heights over the base clipped as they are "
            "observed: seen are those that the latest map knows, wrong maps included. A root mean "
            "square is of the few cells at edges of pits, the share within the aim of all."
        )

    def add(self, at: GridStep) -> None:
        """Take in a control step."""
        vae, step = self._vae, at.step
        if vae is None:
            return
        is_seen = vae.is_seen(step.obs).bool()
        error = step.output.reconstructions[TERRAIN_ESTIMATE] - vae.true_map(step.obs)
        deviation = (0.5 * step.output.reconstruction_logvars[TERRAIN_ESTIMATE]).exp()
        told = {_TOLD: (error.abs() <= DEVIATIONS_95 * deviation).float().mean(dim=-1)}
        error = error / vae.heights_per_metre
        for kind, cells in (("seen", is_seen), ("unseen", ~is_seen)):
            told[f"{kind} cells"] = cells.sum(dim=-1)
            told[f"{kind} squares"] = (error.square() * cells).sum(dim=-1)
            told[f"{kind} within"] = ((error.abs() <= MAP_AIMS[kind]) & cells).sum(dim=-1)
        place = {name: at.place[name] for name in (SEED, TERRAIN)}
        self._sums.add(place, steps=torch.ones_like(step.yaw_rate), **told)

    def tables(self) -> tuple[Table, ...]:
        """Errors by terrain; none where there is no map."""
        if not self._sums.names:
            return ()
        columns = [Column(title="seen", unit="%", decimals=1)]
        for kind, aim in MAP_AIMS.items():
            within = f"{kind} cells within {100.0 * aim:g} cm"
            columns.append(Column(title=f"error of {kind} cells", unit="cm", decimals=1))
            columns.append(Column(title=within, unit="%", decimals=1))
        columns.append(Column(title="truths within the 95 % interval", unit="%", decimals=1))
        return (
            Table(
                title="RMSE of the map of the ground by terrain",
                rows_title="terrain",
                columns=tuple(columns),
                rows=tuple(
                    Row(label=label, cells=self._cells(**{TERRAIN: families}))
                    for label, families in self._terrains.items()
                ),
            ),
        )

    def _cells(self, **where: Index) -> tuple[Figure | None, ...]:
        def total(name: str) -> torch.Tensor:
            return self._sums.total(name, **where)

        seen, unseen = (total(f"{kind} cells") for kind in MAP_AIMS)
        values = [100.0 * seen / (seen + unseen)]
        for kind, cells in zip(MAP_AIMS, (seen, unseen), strict=True):
            values.append(100.0 * (total(f"{kind} squares") / cells).sqrt())
            values.append(100.0 * total(f"{kind} within") / cells)
        values.append(100.0 * total(_TOLD) / total("steps"))
        robots = self._sums.robots(**where)
        return tuple(figure(value, robots=robots) for value in values)
