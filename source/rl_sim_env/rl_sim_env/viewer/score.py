"""How well robots walk, from the moment somebody began to count."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.evaluation.evaluator import EvaluationStep
from rl_sim_env.evaluation.grid import TERRAINS
from rl_sim_env.evaluation.verdict import CRITERIA
from rl_sim_env.evaluation.wording import FALLS_UNIT

_ERRORS = {"velocity error": "m/s", "yaw rate error": "rad/s"}
"""What is scored, with its unit; the aims are those of the criterion whose name begins so."""

ENOUGH = 100.0
"""Time of all robots together from which on errors are held against their aims [s]."""


@dataclass(frozen=True, kw_only=True)
class ScoreLine:
    """One figure."""

    name: str
    value: str
    aim: str = ""
    """What it should be; empty where there is no aim."""

    is_reached: bool | None = None
    """None where there is no aim, or too little to judge by yet."""


class Score:
    """Tracking and falls over robots.

    Args:
        vec_env: The environment that is watched.
        robots: Which of its robots; None: all.
    """

    def __init__(self, vec_env: AmpVaeVecEnv, robots: range | None = None) -> None:
        env = vec_env.unwrapped
        self._env = env
        self.robots = range(env.num_robots) if robots is None else robots
        self._slice = slice(self.robots.start, self.robots.stop)
        self._aims = {
            name: torch.tensor(_aims(name, env.terrain_types.names), device=env.device)
            for name in _ERRORS
        }
        self.reset()

    def reset(self) -> None:
        """Begin to count anew."""
        device = self._env.device
        self._steps = 0
        self._falls = torch.zeros(len(self.robots), dtype=torch.long, device=device)
        # With an aim and without: sum of errors, sum of aims, number of steps.
        self._sums = {name: torch.zeros(2, 3, device=device) for name in _ERRORS}

    def add(self, step: EvaluationStep) -> None:
        """Take in one control step."""
        self._steps += 1
        self._falls += step.fell[self._slice]
        families = self._env.terrain_types.ids[self._slice]
        errors = (step.velocity_error[self._slice], step.yaw_rate_error[self._slice])
        for (name, sums), error in zip(self._sums.items(), errors, strict=True):
            aim = self._aims[name][families]
            has_aim = ~aim.isnan()
            values = torch.stack((error, aim.nan_to_num(), torch.ones_like(error)))
            sums[0] += (values * has_aim).sum(dim=-1)
            sums[1] += (values * ~has_aim).sum(dim=-1)

    def falls_of(self, robot: int) -> int:
        """How often one of the robots has fallen."""
        return int(self._falls[robot - self.robots.start])

    @property
    def seconds(self) -> float:
        """For how long it was counted [s]."""
        return self._steps * self._env.step_dt

    def lines(self) -> tuple[ScoreLine, ...]:
        """The figures as people read them."""
        if not self._steps:
            return ()
        falls, fallen = int(self._falls.sum()), int((self._falls > 0).sum())
        robots = len(self._falls)
        rate = 1000.0 * falls / (robots * self.seconds)
        return (
            *(self._error(name, unit) for name, unit in _ERRORS.items()),
            ScoreLine(name="falls", value=f"{falls}, {rate:.1f} {FALLS_UNIT}"),
            # No aim: that of reports is for hundreds of robots, ten minutes and pushes.
            ScoreLine(name="not fallen", value=f"{robots - fallen} of {robots}"),
        )

    def _error(self, name: str, unit: str) -> ScoreLine:
        aimed, other = self._sums[name].tolist()
        error, aim, steps = aimed if aimed[-1] else other
        value = f"{error / steps:.3f} {unit}"
        if not aimed[-1]:
            return ScoreLine(name=name, value=value)
        is_reached = error <= aim if steps * self._env.step_dt >= ENOUGH else None
        return ScoreLine(name=name, value=value, aim=f"{aim / steps:.3f}", is_reached=is_reached)


def _aims(name: str, families: tuple[str, ...]) -> list[float]:
    """Aim of each family of ground; NaN where there is none."""
    criterion = next(each for each in CRITERIA if each.name.startswith(name))
    aims = {
        family: part.aim
        for part in criterion.parts
        if part.aim is not None
        for family in TERRAINS[part.row]
    }
    return [aims.get(family, float("nan")) for family in families]
