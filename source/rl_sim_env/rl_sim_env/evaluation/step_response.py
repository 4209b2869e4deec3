"""How long an estimate takes to follow a load that changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from rl_sim_env.evaluation.arena import Scenario
from rl_sim_env.evaluation.grouped_sums import figure
from rl_sim_env.evaluation.report import Column, Plot, Row, Series, Table
from rl_sim_env.terrains.terrain_types import PLANE_FAMILY

if TYPE_CHECKING:
    from rl_sim_env.evaluation.arena import Arena

BEFORE, AFTER = 2.0, 6.0
"""How long robots are watched before and after the step [s]."""

COMMAND = (0.5, 0.0, 0.5)
"""Command during the step [m/s, m/s, rad/s]: a circle of 1 m radius, which stays on a tile."""

STEPS = ((0.0, 1.0), (1.0, 0.0), (1.0 / 3.0, 1.0 / 2.0), (2.0 / 3.0, 1.0 / 3.0))
"""Loads before and after a step, as shares of the heaviest of training: all of it taken up, put
down, and parts of it."""

TOLERANCE = 0.1
"""Settled is what stays this near to its final value, as a share of the step."""

NOISE = 0.3
"""A single robot's estimate has settled when it stays this near to its final value [kg], though a
small step be less than ten times of it: about twice its noise."""

FOLLOWED = 0.5
"""An estimate has followed where it moves by this share of the step; what has not does not
settle."""

QUANTILES = (0.5, 0.9)
"""Shares of the robots whose own settling times are told."""

PLATEAU = 1.0
"""Initial and final value are means over this time [s]."""

ABOUT = (
    f" Steps of the load: on level ground, told {COMMAND[0]:g} m/s and {COMMAND[2]:g} rad/s, "
    "robots that do not fall. Settled is what stays within "
    f"{100.0 * TOLERANCE:g} % of the step from what it is {AFTER:g} s later: the mean over "
    "robots, and each robot for itself, for which "
    f"{NOISE:g} kg is near enough; told is within which time a share of the robots has. What "
    f"moves by less than {100.0 * FOLLOWED:g} % of the step has not followed it, and does not "
    "settle. Errors are root mean squares over robots in the last second; tared are estimates that "
    "count from what was estimated before the step, as a robot does that weighs itself without its "
    "load."
)
"""What the tables of a report say of it."""


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

    followed: torch.Tensor
    """Share of the robots whose own estimate has followed. Shape (num_seeds,)."""

    settled: torch.Tensor
    """Time within which a share :data:`QUANTILES` of the robots has followed and settled, each for
    itself [s]; NaN where fewer have. Shape (num_seeds, 2)."""

    errors: torch.Tensor
    """Root mean square over robots of the final error: of the estimate, and of the estimate whose
    error before the step is taken off, as a tare does, :meth:`.DeployedPolicy.tare` [kg].
    Shape (num_seeds, 2)."""

    robots: int
    """Robots behind the means, in the seed with the fewest."""

    @property
    def step(self) -> torch.Tensor:
        """By how much the estimate rose [kg]. Shape (num_seeds,)."""
        return _final(self.means, self.time) - _initial(self.means, self.time)

    def settling_times(self) -> torch.Tensor:
        """Time until the estimate stays near its final value [s]; NaN where it has not followed.

        Shape (num_seeds,).
        """
        times = settling_times(self.means, self.time, TOLERANCE * self.step.abs())
        return times.where(has_followed(self.means, self.truth, self.time), torch.nan)


def has_followed(estimates: torch.Tensor, truths: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
    """Whether estimates move with a step of the truth, by :data:`FOLLOWED` of it or more.

    Args:
        estimates: Shape (..., num_steps).
        truths: Of the same shape.
        time: Time since the step [s]. Shape (num_steps,).

    Returns:
        Shape (...), bool.
    """
    moved, step = (_final(of, time) - _initial(of, time) for of in (estimates, truths))
    return moved * step.sign() >= FOLLOWED * step.abs()


def settling_times(
    signals: torch.Tensor, time: torch.Tensor, tolerance: torch.Tensor
) -> torch.Tensor:
    """Times from which signals stay near their final values [s]; NaN for what is not known.

    Args:
        signals: Shape (..., num_steps).
        time: Time since the step [s]. Shape (num_steps,).
        tolerance: What is near. Shape (...).

    Returns:
        Shape (...).
    """
    distance = (signals - _final(signals, time)[..., None]).abs()
    outside = (distance > tolerance[..., None]) & (time >= 0.0)
    # From the first sample after the last one outside.
    last = (outside * torch.arange(1, len(time) + 1)).amax(dim=-1)
    settled = time[last.clamp(max=len(time) - 1)].clamp(min=0.0)
    return torch.where(signals.isnan().any(dim=-1), torch.nan, settled)


def tared_errors(errors: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
    """Final errors of single robots, root mean square, without and with a tare before the step.

    Args:
        errors: Estimate minus truth. Shape (robots, num_steps).
        time: Time since the step [s]. Shape (num_steps,).

    Returns:
        Shape (2,).
    """
    before, after = _initial(errors, time), _final(errors, time)
    return torch.stack((after, after - before)).square().mean(dim=1).sqrt()


def _initial(signals: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
    return signals[..., (time >= -PLATEAU) & (time < 0.0)].mean(dim=-1)


def _final(signals: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
    return signals[..., time >= float(time[-1]) - PLATEAU].mean(dim=-1)


def load_step(arena: Arena, seeds: Sequence[int], *, before: float, after: float) -> StepResponse:
    """Change the load of walking robots at once.

    Only robots whose episode did not end meanwhile count.

    Args:
        arena: Where to walk; on level ground.
        seeds: One rollout each.
        before: Load before the step [kg].
        after: Load after it [kg].
    """
    names, device = arena.env.terrain_types.names, arena.device

    def everywhere(value: float) -> torch.Tensor:
        return torch.full((arena.num_robots,), value, device=device)

    scenario = Scenario(
        family=everywhere(names.index(PLANE_FAMILY)).long(),
        row=everywhere(0.0).long(),
        load=everywhere(before),
        command=torch.tensor(COMMAND, device=device).expand(arena.num_robots, -1),
    )
    steps = arena.num_steps(BEFORE)
    time = torch.arange(-steps, arena.num_steps(AFTER)) * arena.step_dt
    rollouts = [_rollout(arena, scenario, seed, time, everywhere(after)) for seed in seeds]
    truth, means, spread, followed, settled, errors, robots = zip(*rollouts, strict=True)
    return StepResponse(
        time=time,
        truth=torch.stack(truth),
        means=torch.stack(means),
        spread=torch.stack(spread),
        followed=torch.stack(followed),
        settled=torch.stack(settled),
        errors=torch.stack(errors),
        robots=min(robots),
    )


def _rollout(
    arena: Arena, scenario: Scenario, seed: int, time: torch.Tensor, load: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, int]:
    """One rollout with a step of the load: see :class:`StepResponse`, without seeds."""
    stays = torch.ones(arena.num_robots, dtype=torch.bool, device=arena.device)
    truths, estimates = [], []
    rollout = arena.rollout(scenario, seconds=BEFORE + AFTER, seed=seed)
    for number, step in enumerate(rollout, start=1):
        truths.append(step.truth.mass.squeeze(-1))
        estimates.append(step.output.estimate.mass.squeeze(-1))
        stays = stays & ~step.dones
        if number == int((time < 0.0).sum()):
            arena.set_load(load)
    truth = torch.stack(truths)[:, stays].cpu()
    estimate = torch.stack(estimates)[:, stays].cpu()
    spread = (estimate - truth).std(dim=1)
    step = (truth[-1] - truth[0]).abs()
    own = settling_times(estimate.T, time, (TOLERANCE * step).clamp(min=NOISE))
    followed = has_followed(estimate.T, truth.T, time)
    settled = _quantiles(own.where(followed, torch.inf))
    errors = tared_errors((estimate - truth).T, time)
    means = truth.mean(dim=1), estimate.mean(dim=1)
    return *means, spread, followed.float().mean(), settled, errors, truth.shape[1]


def _quantiles(times: torch.Tensor) -> torch.Tensor:
    """Times within which :data:`QUANTILES` of the robots are done; NaN where fewer ever are."""
    if not len(times):
        return torch.full((len(QUANTILES),), torch.nan)
    found = times.quantile(torch.tensor(QUANTILES), interpolation="higher")
    return found.where(found.isfinite(), torch.nan)


def step_table(responses: Mapping[tuple[float, float], StepResponse]) -> Table:
    """How far and how fast the estimate follows steps of the load."""
    rows = []
    for (before, after), response in responses.items():
        values = (
            response.step,
            100.0 * response.followed,
            response.settling_times(),
            *response.settled.unbind(dim=1),
            *response.errors.unbind(dim=1),
        )
        cells = tuple(figure(value, robots=response.robots) for value in values)
        rows.append(Row(label=f"{before:.3g} to {after:.3g} kg", cells=cells))
    return Table(
        title="Mass estimate after a step of the load",
        rows_title="true step",
        columns=(
            Column(title="rise", unit="kg", decimals=2),
            Column(title="robots that followed", unit="%", decimals=0),
            Column(title="settling time of the mean", unit="s", decimals=2),
            *(
                Column(title=f"{100 * share:g} % of robots settled", unit="s", decimals=2)
                for share in QUANTILES
            ),
            Column(title="error", unit="kg", decimals=2),
            Column(title="error, tared", unit="kg", decimals=2),
        ),
        rows=tuple(rows),
    )


def response_plot(response: StepResponse, load: float) -> Plot:
    """Estimates before and after the step of the load, means over seeds."""
    time = tuple(response.time.tolist())
    means, spread = response.means.nanmean(dim=0), response.spread.nanmean(dim=0)
    truth = response.truth.nanmean(dim=0)
    return Plot(
        name="load_step",
        title=f"Mass estimate when the load steps from 0 to {load:.3g} kg",
        x_label="time since the step [s]",
        y_label="mass above nominal [kg]",
        series=(
            Series(label="truth", x=time, y=tuple(truth.tolist())),
            Series(
                label="estimate",
                x=time,
                y=tuple(means.tolist()),
                spread=tuple(spread.tolist()),
            ),
        ),
    )
