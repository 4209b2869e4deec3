"""When robots fall: what came before, what they carry, what they stand on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from rl_sim_env.evaluation.ground_under import GROUND, GROUND_NAMES, ground_under
from rl_sim_env.evaluation.grouped_sums import SEED, GroupedSums, Index, figure
from rl_sim_env.evaluation.report import Column, Row, Table
from rl_sim_env.evaluation.wording import FALLS_UNIT
from rl_sim_env.mdp import events

if TYPE_CHECKING:
    from rl_sim_env.evaluation.arena import Arena, EvaluationStep

BEFORE = 3.0
"""How long ago something is that may have made a robot fall [s]."""

SITUATIONS = (
    f"pushed less than {BEFORE:g} s ago",
    f"begun less than {BEFORE:g} s ago",
    f"told anew less than {BEFORE:g} s ago",
    "none of these",
)
"""What came before; where several did, the first of them."""

LOAD_EDGES = (2.0, 4.0)
"""Loads between light, medium and heavy [kg]."""

FRICTION_EDGES = (0.4, 0.8)
"""Friction of the feet between slippery, medium and firm."""

_WHEN, _LOAD, _FRICTION = "when", "load", "friction"


class FallMeter:
    """Sorts the time of walking robots, and their falls, by what may have caused them.

    Args:
        arena: Where they walk.
        num_seeds: Number of rollouts.
    """

    def __init__(self, arena: Arena, num_seeds: int) -> None:
        self._arena = arena
        axes = {
            SEED: num_seeds,
            _WHEN: len(SITUATIONS),
            _LOAD: len(LOAD_EDGES) + 1,
            _FRICTION: len(FRICTION_EDGES) + 1,
            GROUND: len(GROUND_NAMES),
        }
        self._sums = GroupedSums(axes, arena.num_robots, arena.device)
        self._load_edges, self._friction_edges = (
            torch.tensor(edges, device=arena.device) for edges in (LOAD_EDGES, FRICTION_EDGES)
        )

    def begin(self, seed: int) -> None:
        """Begin a rollout, by the index of its seed."""
        self._seed = seed
        # Time since the push, the start and the command, in the order of the situations [s].
        self._ages = torch.full((3, self._arena.num_robots), torch.inf, device=self._arena.device)
        self._ages[1] = 0.0
        self._command: torch.Tensor | None = None

    def add(self, step: EvaluationStep) -> None:
        """Take in a control step."""
        _, since_begin, since_command = self._ages
        if self._command is None:
            self._place = self._robots_now()
        else:
            is_new = (step.command != self._command).any(dim=-1) & (since_begin > 0.0)
            since_command.masked_fill_(is_new, 0.0)
        recent = torch.cat((self._ages < BEFORE, torch.ones_like(step.fell)[None]))
        # The first of the situations that holds.
        when = recent.int().argmax(dim=0)
        self._sums.add(
            {SEED: self._seed, _WHEN: when, **self._place},
            seconds=torch.full_like(since_begin, self._arena.step_dt),
            falls=step.fell,
        )
        self._ages += self._arena.step_dt
        self._ages.masked_fill_(step.dones, torch.inf)
        since_begin.masked_fill_(step.dones, 0.0)
        self._command = step.command
        # A robot that fell was reset just now, with load and friction drawn anew, and elsewhere.
        self._place = self._robots_now()

    def pushed(self, robots: torch.Tensor) -> None:
        """Note who was pushed after the step. Shape (num_robots,), bool."""
        self._ages[0].masked_fill_(robots, 0.0)

    def table(self) -> Table:
        """Share of time, rate and share of falls by situation, load, friction and ground."""
        rows = [self._row(name, **{_WHEN: at}) for at, name in enumerate(SITUATIONS)]
        for axis, edges, unit in ((_LOAD, LOAD_EDGES, " kg"), (_FRICTION, FRICTION_EDGES, "")):
            low, high = edges
            names = (f"below {low:g}{unit}", f"{low:g} to {high:g}{unit}", f"from {high:g}{unit}")
            rows += [self._row(f"{axis} {name}", **{axis: at}) for at, name in enumerate(names)]
        rows += [self._row(name, **{GROUND: at}) for at, name in enumerate(GROUND_NAMES)]
        return Table(
            title="When robots fall",
            rows_title="situation",
            columns=(
                Column(title="time", unit="%", decimals=0),
                Column(title="falls", unit=FALLS_UNIT, decimals=2),
                Column(title="share of falls", unit="%", decimals=0),
            ),
            rows=(*rows, self._row("all")),
        )

    def _row(self, label: str, **where: Index) -> Row:
        seconds, falls = (self._sums.total(name, **where) for name in ("seconds", "falls"))
        values = (
            100.0 * seconds / self._sums.total("seconds"),
            1000.0 * falls / seconds,
            100.0 * falls / self._sums.total("falls"),
        )
        robots = self._sums.robots(**where)
        return Row(label=label, cells=tuple(figure(value, robots=robots) for value in values))

    def _robots_now(self) -> dict[str, torch.Tensor]:
        """Load, friction and ground of each robot, as places on their axes."""
        env, robots = self._arena.env, slice(self._arena.num_robots)
        foot = env.index.foot_geoms_global[0]
        friction = env.sim.model.geom_friction[robots, foot, 0].contiguous()
        return {
            _LOAD: torch.bucketize(events.get_load(env)[robots], self._load_edges, right=True),
            _FRICTION: torch.bucketize(friction, self._friction_edges, right=True),
            GROUND: ground_under(env),
        }
