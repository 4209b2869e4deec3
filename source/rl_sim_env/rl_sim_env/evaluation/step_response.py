"""How long an estimate takes to follow a load that changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from rl_sim_env.evaluation.arena import Scenario
from rl_sim_env.terrains.terrain_types import PLANE_FAMILY

if TYPE_CHECKING:
    from rl_sim_env.evaluation.arena import Arena

BEFORE, AFTER = 2.0, 6.0
"""How long robots are watched before and after the step [s]."""

COMMAND = (0.5, 0.0, 0.5)
"""Command during the step [m/s, m/s, rad/s]: a circle of 1 m radius, which stays on a tile."""

TOLERANCE = 0.1
"""Settled is what stays this near to its final value, as a share of the step."""

PLATEAU = 1.0
"""Initial and final value are means over this time [s]."""


@dataclass(frozen=True, kw_only=True)
class StepResponse:
    """Mass estimates around a step of the load, means over the robots of each seed."""

    time: torch.Tensor
    """Time since the step [s]. Shape (num_steps,)."""

    truth: torch.Tensor
    """True mass above nominal [kg]. Shape (num_seeds, num_steps)."""

    means: torch.Tensor
    """Estimated mass above nominal [kg]. Shape (num_seeds, num_steps)."""

    spread: torch.Tensor
    """Standard deviation of the error over the robots [kg]. Shape (num_seeds, num_steps)."""

    robots: int
    """Robots behind the means, in the seed with the fewest."""

    @property
    def step(self) -> torch.Tensor:
        """By how much the estimate rose [kg]. Shape (num_seeds,)."""
        return self._final - self.means[:, self._plateau(-PLATEAU, 0.0)].mean(dim=1)

    def settling_times(self) -> torch.Tensor:
        """Time until the estimate stays near its final value [s]. Shape (num_seeds,)."""
        distance = (self.means - self._final[:, None]).abs()
        outside = (distance > TOLERANCE * self.step.abs()[:, None]) & (self.time >= 0.0)
        # From the first sample after the last one outside.
        last = (outside * torch.arange(1, len(self.time) + 1)).amax(dim=1)
        settled = self.time[last.clamp(max=len(self.time) - 1)].clamp(min=0.0)
        return torch.where(self.means.isnan().any(dim=1), torch.nan, settled)

    @property
    def _final(self) -> torch.Tensor:
        end = float(self.time[-1])
        return self.means[:, self._plateau(end - PLATEAU, end + PLATEAU)].mean(dim=1)

    def _plateau(self, begin: float, end: float) -> torch.Tensor:
        return (self.time >= begin) & (self.time < end)


def load_step(arena: Arena, seeds: Sequence[int]) -> StepResponse:
    """Give the heaviest load of training to walking robots that carried none.

    Only robots whose episode did not end meanwhile count.

    Args:
        arena: Where to walk; on level ground.
        seeds: One rollout each.
    """
    names, device = arena.env.terrain_types.names, arena.device

    def everywhere(value: float) -> torch.Tensor:
        return torch.full((arena.num_robots,), value, device=device)

    scenario = Scenario(
        family=everywhere(names.index(PLANE_FAMILY)).long(),
        row=everywhere(0.0).long(),
        load=everywhere(0.0),
        command=torch.tensor(COMMAND, device=device).expand(arena.num_robots, -1),
    )
    before, after = arena.num_steps(BEFORE), arena.num_steps(AFTER)
    heaviest = everywhere(arena.env.cfg.robot.max_load)
    rollouts = [_rollout(arena, scenario, seed, before, heaviest) for seed in seeds]
    truth, means, spread, robots = zip(*rollouts, strict=True)
    return StepResponse(
        time=torch.arange(-before, after) * arena.step_dt,
        truth=torch.stack(truth),
        means=torch.stack(means),
        spread=torch.stack(spread),
        robots=min(robots),
    )


def _rollout(
    arena: Arena, scenario: Scenario, seed: int, before: int, load: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]:
    """One rollout with a step of the load: see :class:`StepResponse`, without seeds."""
    stays = torch.ones(arena.num_robots, dtype=torch.bool, device=arena.device)
    truths, estimates = [], []
    rollout = arena.rollout(scenario, seconds=BEFORE + AFTER, seed=seed)
    for number, step in enumerate(rollout, start=1):
        truths.append(step.truth.mass.squeeze(-1))
        estimates.append(step.estimate.mass.squeeze(-1))
        stays = stays & ~step.dones
        if number == before:
            arena.set_load(load)
    truth = torch.stack(truths)[:, stays].cpu()
    estimate = torch.stack(estimates)[:, stays].cpu()
    spread = (estimate - truth).std(dim=1)
    return truth.mean(dim=1), estimate.mean(dim=1), spread, truth.shape[1]
