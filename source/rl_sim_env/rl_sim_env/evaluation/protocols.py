"""The protocols by name: what an evaluation measures."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rl_sim_env.errors import UserError, known_names
from rl_sim_env.evaluation import step_response
from rl_sim_env.evaluation.arena import Arena, EvaluationCfg
from rl_sim_env.evaluation.estimate_errors import estimation
from rl_sim_env.evaluation.grid import grid_loads
from rl_sim_env.evaluation.levels import WALKS_TIME, levels
from rl_sim_env.evaluation.locomotion import footholds, gait
from rl_sim_env.evaluation.report import Section
from rl_sim_env.evaluation.robustness import (
    LOAD_ROLLOUT,
    TRIALS_TIME,
    load_limits,
    pushes,
    survival,
)
from rl_sim_env.evaluation.sim_to_sim_section import drawn_in, sim_to_sim
from rl_sim_env.evaluation.tracking import tracking
from rl_sim_env.evaluation.violations import violations
from rl_sim_env.evaluation.wording import with_sensors


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A way to measure a policy."""

    run: Callable[[Arena, EvaluationCfg], Section]
    """Measures; the section has the protocol's name."""

    seconds: Callable[[EvaluationCfg], float]
    """About how much time each seed simulates with one kind of sensors [s]."""

    def measure(self, arena: Arena, cfg: EvaluationCfg) -> Section:
        """Run with each kind of sensors that the configuration names.

        Rows of the first stand above those of the others, which have the sensors' name; plots are
        of the first. Figures that others have published are not repeated.
        """
        section = self.run(arena, cfg)
        first, tables = arena.sensors, list(section.tables)
        for sensors in cfg.sensors[1:]:
            assert sensors is not None, "sensors that are as the environment has them stand alone"
            arena.sensors = sensors
            for place, table in enumerate(self.run(arena, cfg).tables):
                rows = (
                    replace(row, label=with_sensors(row.label, sensors))
                    for row in table.rows
                    if any(cell is not None and cell.seeds for cell in row.cells)
                )
                tables[place] = replace(tables[place], rows=(*tables[place].rows, *rows))
        arena.sensors = first
        return replace(section, tables=tuple(tables))

    def duration(self, cfg: EvaluationCfg) -> float:
        """About how much time each seed simulates with all sensors [s]."""
        return self.seconds(cfg) * len(cfg.sensors)


def _one_rollout(cfg: EvaluationCfg) -> float:
    return cfg.seconds


def _repeated_trials(cfg: EvaluationCfg) -> float:
    return TRIALS_TIME * cfg.seconds


PROTOCOLS: dict[str, Protocol] = {
    "tracking": Protocol(run=tracking, seconds=lambda cfg: 2.0 * cfg.seconds),
    "estimation": Protocol(
        run=estimation,
        seconds=lambda cfg: (
            cfg.seconds
            + len(step_response.STEPS[: cfg.load_steps])
            * (step_response.BEFORE + step_response.AFTER)
        ),
    ),
    "survival": Protocol(run=survival, seconds=lambda cfg: cfg.survival_seconds),
    "pushes": Protocol(run=pushes, seconds=_repeated_trials),
    "load_limits": Protocol(
        run=load_limits, seconds=lambda cfg: max(_repeated_trials(cfg), LOAD_ROLLOUT)
    ),
    "levels": Protocol(run=levels, seconds=lambda cfg: WALKS_TIME),
    "violations": Protocol(run=violations, seconds=_one_rollout),
    "footholds": Protocol(run=footholds, seconds=_one_rollout),
    "gait": Protocol(run=gait, seconds=_one_rollout),
}
"""In the order of the report."""


OUTSIDE = "sim_to_sim"

NOT_QUICK = ("load_limits", "levels", OUTSIDE)
"""What a quick evaluation leaves out unless it is named: walks of a fixed length, and those of
processes of their own, take longer than all the rest."""


def outside_protocol(policy_path: Path) -> Protocol:
    """The protocol of the walks in plain MuJoCo.

    Args:
        policy_path: ``policy.onnx``, exported from the policy that is evaluated.
    """

    def run(arena: Arena, cfg: EvaluationCfg) -> Section:
        return sim_to_sim(
            policy_path,
            arena.env.cfg.robot,
            seeds=cfg.seeds,
            robots=cfg.outside_walks,
            seconds=cfg.seconds,
            loads=grid_loads(arena),
            drawn=drawn_in(arena),
        )

    return Protocol(run=run, seconds=_one_rollout)


def choose_protocols(names: Sequence[str], available: Collection[str]) -> list[str]:
    """Names of the protocols to run: all where none is asked for.

    Raises:
        UserError: There is no protocol of a name; the message tells the nearest.
    """
    for name in names:
        if name not in available:
            raise UserError(f"unknown protocol '{name}'; {known_names(name, available)}")
    return [name for name in available if not names or name in names]
