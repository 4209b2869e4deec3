"""How long an estimate takes to follow a load that changes, and what a low-pass does to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from rl_sim_env.evaluation.arena import Trial
from rl_sim_env.terrains.terrain_types import PLANE_FAMILY

if TYPE_CHECKING:
    from rl_sim_env.evaluation.arena import Arena

TIME_CONSTANTS = (0.5, 1.0, 2.0)
"""Time constants of the low-passes [s]."""

LOAD_BEFORE, LOAD_AFTER = 0.0, 6.0
"""Loads before and after the step [kg]."""

BEFORE, AFTER = 2.0, 6.0
"""How long robots are watched before and after the step [s]."""

COMMAND = (0.5, 0.0, 0.5)
"""Command during the step [m/s, m/s, rad/s]: a circle of 1 m radius, which stays on a tile."""

TOLERANCE = 0.1
"""Settled is what stays this near to its final value, as a share of the step."""

PLATEAU = 1.0
"""Initial and final value are means over this time [s]."""


class LowPass:
    """First-order low-passes of one signal per robot, begun anew with each episode.

    Until an episode is as old as the time constant a filter gives the mean of what it has seen:
    the first sample, all that it would know otherwise, is no better than the others.

    Args:
        time_constants: One filter each [s].
        step_dt: Time between two samples [s].
        device: Where the signals live.
    """

    def __init__(self, time_constants: Sequence[float], step_dt: float, device: str) -> None:
        self._rates = 1.0 - torch.exp(-step_dt / torch.tensor(time_constants, device=device))
        self._state = self._age = torch.zeros(1, 1, device=device)

    def __call__(self, signal: torch.Tensor, begins: torch.Tensor) -> torch.Tensor:
        """Take in a sample.

        Args:
            signal: Shape (num_robots, 1).
            begins: Whose episode begins with this sample. Shape (num_robots,), bool.

        Returns:
            Filtered signals, shape (num_robots, number of time constants).
        """
        self._age = torch.where(begins[:, None], 1.0, self._age + 1.0)
        rates = torch.maximum(self._rates, 1.0 / self._age)
        self._state = torch.lerp(self._state, signal, rates)
        return self._state


@dataclass(frozen=True, kw_only=True)
class StepResponse:
    """Mass estimates around a step of the load, means over the robots of each seed.

    The signals are the estimate as it is, then one low-pass for each of ``TIME_CONSTANTS``.
    """

    time: torch.Tensor
    """Time since the step [s]. Shape (num_steps,)."""

    truth: torch.Tensor
    """True mass above nominal [kg]. Shape (num_seeds, num_steps)."""

    means: torch.Tensor
    """Shape (num_seeds, num_steps, num_signals) [kg]."""

    spread: torch.Tensor
    """Standard deviation of the unfiltered error over the robots [kg]. Shape (num_seeds,
    num_steps)."""

    robots: int
    """Robots behind the means, in the seed with the fewest."""

    @property
    def step(self) -> torch.Tensor:
        """By how much the estimate rose [kg]. Shape (num_seeds,)."""
        estimate = self.means[:, :, 0]
        return self._final(estimate) - estimate[:, self._plateau(-PLATEAU, 0.0)].mean(dim=1)

    def settling_times(self) -> torch.Tensor:
        """Time until each signal stays near the final value [s]. Shape (num_seeds, num_signals).

        The final value is the unfiltered estimate's, which filters reach later.
        """
        final, step = self._final(self.means[:, :, 0]), self.step
        distance = (self.means - final[:, None, None]).abs()
        outside = distance > TOLERANCE * step.abs()[:, None, None]
        outside &= (self.time >= 0.0)[:, None]
        # From the first sample after the last one outside.
        last = (outside * torch.arange(1, len(self.time) + 1)[:, None]).amax(dim=1)
        settled = self.time[last.clamp(max=len(self.time) - 1)].clamp(min=0.0)
        return torch.where(self.means.isnan().any(dim=1), torch.nan, settled)

    def _final(self, estimate: torch.Tensor) -> torch.Tensor:
        end = float(self.time[-1])
        return estimate[:, self._plateau(end - PLATEAU, end + PLATEAU)].mean(dim=1)

    def _plateau(self, begin: float, end: float) -> torch.Tensor:
        return (self.time >= begin) & (self.time < end)


def load_step(arena: Arena, seeds: Sequence[int]) -> StepResponse:
    """Hang the full load on walking robots that carried none.

    Only robots whose episode did not end meanwhile count.

    Args:
        arena: Where to walk; on level ground.
        seeds: One walk each.
    """
    names, device = arena.env.terrain_types.names, arena.device

    def everywhere(value: float) -> torch.Tensor:
        return torch.full((arena.num_robots,), value, device=device)

    trial = Trial(
        family=everywhere(names.index(PLANE_FAMILY)).long(),
        row=everywhere(0.0).long(),
        load=everywhere(LOAD_BEFORE),
        command=torch.tensor(COMMAND, device=device).expand(arena.num_robots, -1),
    )
    before, after = arena.num_steps(BEFORE), arena.num_steps(AFTER)
    walks = [_watch(arena, trial, seed, before, everywhere(LOAD_AFTER)) for seed in seeds]
    truth, means, spread, robots = zip(*walks, strict=True)
    return StepResponse(
        time=torch.arange(-before, after) * arena.step_dt,
        truth=torch.stack(truth),
        means=torch.stack(means),
        spread=torch.stack(spread),
        robots=min(robots),
    )


def _watch(
    arena: Arena, trial: Trial, seed: int, before: int, load: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]:
    """One walk with a step of the load: see :class:`StepResponse`, without seeds."""
    low_pass = LowPass(TIME_CONSTANTS, arena.step_dt, arena.device)
    begins = torch.ones(arena.num_robots, dtype=torch.bool, device=arena.device)
    stays = begins
    truths, signals = [], []
    walk = arena.walk(trial, seconds=BEFORE + AFTER, seed=seed)
    for number, step in enumerate(walk, start=1):
        estimate = step.estimate.mass
        truths.append(step.truth.mass)
        signals.append(torch.cat((estimate, low_pass(estimate, begins)), dim=-1))
        begins = step.dones
        stays = stays & ~step.dones
        if number == before:
            arena.set_load(load)
    truth = torch.stack(truths)[:, stays].cpu()
    signal = torch.stack(signals)[:, stays].cpu()
    spread = (signal[..., 0] - truth[..., 0]).std(dim=1)
    return truth[..., 0].mean(dim=1), signal.mean(dim=1), spread, truth.shape[1]
