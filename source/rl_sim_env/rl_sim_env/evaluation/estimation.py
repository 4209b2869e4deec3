"""Does the policy know its velocity, what it carries and where?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import torch

from rl_sim_env.evaluation.grid import (
    LOAD,
    TERRAIN,
    GridStep,
    describe_grid,
    grid_axes,
    grid_loads,
    report_terrains,
    walk_grid,
)
from rl_sim_env.evaluation.regression import Moments, fit, fit_best, mean_squared_error, selection
from rl_sim_env.evaluation.report import Column, Figure, Plot, Row, Section, Series, Table
from rl_sim_env.evaluation.settling import (
    AFTER,
    COMMAND,
    TOLERANCE,
    StepResponse,
    load_step,
)
from rl_sim_env.evaluation.sums import Index, Sums, figure
from rl_sim_env.learning.estimation import ESTIMATED_TERMS, Estimate

if TYPE_CHECKING:
    from rl_sim_env.evaluation.arena import Arena, EvaluationCfg

QUANTITIES = (
    ("velocity x", "m/s", 1.0),
    ("velocity y", "m/s", 1.0),
    ("velocity z", "m/s", 1.0),
    ("mass", "kg", 1.0),
    ("CoM x", "cm", 100.0),
    ("CoM y", "cm", 100.0),
    ("CoM z", "cm", 100.0),
)
"""What is estimated, in the order of an estimate: name, unit as reported, units per SI unit."""

VELOCITY, MASS, COM = slice(0, 3), 3, slice(4, 7)
"""Where they stand in that order."""

SPEED = "speed"
SPEED_LIMITS = (0.3, 0.7)
"""Actual horizontal speeds at which slow ends and fast begins [m/s]."""

SPEED_NAMES = (
    f"slow, below {SPEED_LIMITS[0]:g} m/s",
    "medium",
    f"fast, {SPEED_LIMITS[1]:g} m/s and above",
)

AGE = "age"
AGE_LIMITS = (0.2, 1.0, 3.0)
"""Times since an episode began at which estimates are told apart [s]: the policy gathers what it
knows of a robot."""

AGE_NAMES = (
    *(f"{begin:g} to {end:g} s" for begin, end in pairwise((0.0, *AGE_LIMITS))),
    f"after {AGE_LIMITS[-1]:g} s",
)

SAMPLING_STEPS = 5
"""The baselines and the calibration see every so many control steps: neighbours are alike."""

FIT, CHOOSE, JUDGE = range(3)
_QUARTERS = (1, 1, 2)
"""Parts of the robots [quarters]: the regression is fitted on one, its penalty chosen on another,
and all predictions are judged on the rest."""

CALIBRATION_BINS = {
    "velocity": (-1.5, 1.5, 30),
    "mass": (-4.0, 12.0, 32),
    "CoM": (-16.0, 16.0, 32),
}
"""Range of the true values in the calibration plots, in reported units, and number of bins."""

_LEAST_SHARE = 1e-3
"""Bins with a smaller share of the samples are left out of the plots."""

_COLUMNS = (
    Column(title="velocity", unit="m/s", decimals=3),
    Column(title="mass", unit="kg", decimals=2),
    *(Column(title=f"CoM {axis}", unit="cm", decimals=2) for axis in "xyz"),
)


def estimation(arena: Arena, cfg: EvaluationCfg) -> Section:
    """Errors of the estimates, baselines, calibration, and the answer to a change of the load.

    No figures of this kind have been published for a learned estimator of mass and centre of mass.
    RMSEs are over robots and time; that of the velocity is the root mean square over its three
    axes too. See :mod:`~rl_sim_env.evaluation.regression` for the baselines and
    :mod:`~rl_sim_env.evaluation.settling` for the step of the load.

    Args:
        arena: Where to walk; the policy is fed its own estimates.
        cfg: Its ``seeds``, ``seconds`` and ``levels`` count.
    """
    errors = _ErrorMeter(arena, cfg)
    baselines = _BaselineMeter(arena, len(cfg.seeds))
    curves = _CalibrationCurves(arena.device)
    for number, at in enumerate(walk_grid(arena, cfg)):
        errors.add(at)
        if number % SAMPLING_STEPS == 0:
            truth, estimate = _row(at.step.truth), _row(at.step.estimate)
            baselines.add(at, truth, estimate)
            curves.add(truth, estimate)
    load = arena.env.cfg.robot.max_load
    response = load_step(arena, cfg.seeds) if load else None
    about_the_step = (
        f" Step of the load: from 0 to {load:g} kg on level ground, told {COMMAND[0]:g} m/s and "
        f"{COMMAND[2]:g} rad/s, robots that do not fall; settled is a mean over robots that stays "
        f"within {100.0 * TOLERANCE:g} % of the step from what it is {AFTER:g} s later."
    )
    return Section(
        name="estimation",
        title="Estimates of velocity, mass and centre of mass",
        method=(
            "Root mean square errors over robots and time, that of the velocity also over its "
            "three axes. Mass is that of the whole robot above nominal, centre of mass that of "
            f"robot and load in the trunk's frame. {describe_grid(arena, cfg)} Baselines: "
            "predicting the mean, and a linear (ridge) regression that sees what the critic sees "
            "but for the estimated terms themselves (true motion, heights of the ground) beside "
            "the estimator's own input; fitted on half of the robots, the penalty chosen within "
            "that half; all rows of that table are of the other half. A robot's mass is one "
            "sample however long it walks, so few robots make that regression look worse than it "
            f"is.{about_the_step if response else ''}"
        ),
        tables=(
            *errors.tables(),
            baselines.table(),
            *((_step_table(response, load),) if response else ()),
            baselines.calibration_table(),
        ),
        plots=(*curves.plots(), *((_response_plot(response, load),) if response else ())),
    )


def _row(estimate: Estimate) -> torch.Tensor:
    """An estimate as one row per robot, in the order of ``QUANTITIES``."""
    return torch.cat(estimate, dim=-1)


def _rmse_cells(squared_error: torch.Tensor, robots: int) -> tuple[Figure | None, ...]:
    """Mean square errors in SI units, shape (num_seeds, quantities), as the cells of a row."""
    units = torch.tensor([per_si for _, _, per_si in QUANTITIES], dtype=squared_error.dtype)
    mean_squares = squared_error * units.square()
    columns = (
        mean_squares[:, VELOCITY].mean(dim=1),
        mean_squares[:, MASS],
        *mean_squares[:, COM].unbind(dim=1),
    )
    return tuple(figure(column.sqrt(), robots=robots) for column in columns)


class _ErrorMeter:
    """Squared errors by terrain, load, speed and age of the episode."""

    def __init__(self, arena: Arena, cfg: EvaluationCfg) -> None:
        axes = grid_axes(arena, cfg) | {SPEED: len(SPEED_NAMES), AGE: len(AGE_NAMES)}
        self._sums = Sums(axes, arena.num_robots, arena.device)
        self._loads = grid_loads(arena)
        self._step_dt = arena.step_dt
        self._age = torch.zeros(arena.num_robots, device=arena.device)
        self._speeds = torch.tensor(SPEED_LIMITS, device=arena.device)
        self._ages = torch.tensor(AGE_LIMITS, device=arena.device)
        self._terrains = report_terrains(arena.env.terrain_types.names)

    def add(self, at: GridStep) -> None:
        """Take in a control step."""
        step = at.step
        if at.begins:
            self._age.zero_()
        speed = torch.bucketize(step.truth.velocity[:, :2].norm(dim=-1), self._speeds, right=True)
        age = torch.bucketize(self._age, self._ages, right=True)
        self._sums.add(
            at.place | {SPEED: speed, AGE: age},
            steps=torch.ones_like(step.yaw_rate),
            squared_error=(_row(step.estimate) - _row(step.truth)).square(),
        )
        self._age = torch.where(step.dones, 0.0, self._age + self._step_dt)

    def tables(self) -> tuple[Table, ...]:
        """Errors by terrain, by load, by speed and by age."""
        loads = {f"{load:g} kg": {LOAD: index} for index, load in enumerate(self._loads)}
        terrains = {label: {TERRAIN: families} for label, families in self._terrains.items()}
        speeds = {label: {SPEED: index} for index, label in enumerate(SPEED_NAMES)}
        ages = {label: {AGE: index} for index, label in enumerate(AGE_NAMES)}
        return tuple(
            Table(
                title=f"RMSE of the estimates by {axis}",
                rows_title=axis,
                columns=_COLUMNS,
                rows=tuple(
                    Row(label=label, cells=self._cells(**where)) for label, where in places.items()
                ),
            )
            for axis, places in (
                ("terrain", terrains),
                ("load", loads),
                ("actual speed", speeds),
                ("time since the episode began", ages),
            )
        )

    def _cells(self, **where: Index) -> tuple[Figure | None, ...]:
        mean = self._sums.total("squared_error", **where) / self._count(**where)
        return _rmse_cells(mean, self._sums.robots(**where))

    def _count(self, **where: Index) -> torch.Tensor:
        return self._sums.total("steps", **where)[:, None]


class _BaselineMeter:
    """Second moments of inputs, estimates and truth: enough for all baselines."""

    def __init__(self, arena: Arena, num_seeds: int) -> None:
        layout = arena.vec_env.observation_layout
        self._layout = layout
        self._seen_by_critic = tuple(
            name for name in layout.names("critic_obs") if name not in ESTIMATED_TERMS
        )
        num_inputs = layout.width("vae_obs") + sum(
            layout.term("critic_obs", name).width for name in self._seen_by_critic
        )
        # Column 0 is the constant; then what predicts, what is predicted, what is true.
        width = len(QUANTITIES)
        self._inputs = range(1, 1 + num_inputs)
        self._estimates = range(self._inputs.stop, self._inputs.stop + width)
        self._truths = range(self._estimates.stop, self._estimates.stop + width)
        groups = (len(_QUARTERS), num_seeds)
        self._moments = Moments(groups, self._truths.stop, arena.device)
        order = torch.randperm(arena.num_robots, generator=torch.Generator().manual_seed(0))
        ends = [arena.num_robots * end // sum(_QUARTERS) for end in accumulate(_QUARTERS)]
        parts = order.to(arena.device).tensor_split(ends[:-1])
        self._robots = dict(enumerate(parts))

    def add(self, at: GridStep, truth: torch.Tensor, estimate: torch.Tensor) -> None:
        """Take in a control step."""
        obs = at.step.obs
        critic = self._layout.gather("critic_obs", self._seen_by_critic, obs["critic_obs"])
        constant = torch.ones_like(truth[:, :1])
        columns = torch.cat((constant, critic, obs["vae_obs"], estimate, truth), dim=-1)
        for part, robots in self._robots.items():
            self._moments.add((part, at.seed), columns[robots])

    def table(self) -> Table:
        """Errors of the estimator and of the baselines, on the robots that judge."""
        pooled, judge = self._moments.sums.sum(dim=1), self._moments.sums[JUDGE]
        predictions = {
            "the policy's estimator": selection(judge, self._estimates),
            "predicting the mean": fit(pooled[FIT] + pooled[CHOOSE], [], self._truths),
            "regression on the privileged state": fit_best(
                pooled[FIT], pooled[CHOOSE], self._inputs, self._truths
            ),
        }
        robots = len(self._robots[JUDGE])
        return Table(
            title="RMSE of the estimates beside baselines",
            rows_title="prediction",
            columns=_COLUMNS,
            rows=tuple(
                Row(
                    label=label,
                    cells=_rmse_cells(
                        mean_squared_error(judge, weights, self._truths).cpu(), robots
                    ),
                )
                for label, weights in predictions.items()
            ),
        )

    def calibration_table(self) -> Table:
        """Truth as a straight line over the estimate."""
        by_seed = self._moments.sums.sum(dim=0)
        robots = sum(map(len, self._robots.values()))
        rows = []
        for (name, unit, per_si), estimate, truth in zip(
            QUANTITIES, self._estimates, self._truths, strict=True
        ):
            lines = torch.stack([fit(of_seed, [estimate], [truth]) for of_seed in by_seed]).cpu()
            slope, offset = lines[:, estimate, 0], per_si * lines[:, 0, 0]
            cells = (figure(slope, robots=robots), figure(offset, robots=robots))
            rows.append(Row(label=f"{name} [{unit}]", cells=cells))
        return Table(
            title="Calibration: truth = slope x estimate + offset",
            rows_title="quantity",
            columns=(Column(title="slope", decimals=2), Column(title="offset", decimals=2)),
            rows=tuple(rows),
        )


class _CalibrationCurves:
    """Mean estimate over the truth, in bins."""

    def __init__(self, device: str) -> None:
        kinds = [name.split()[0] for name, _, _ in QUANTITIES]
        low, high, self._bins = zip(*(CALIBRATION_BINS[kind] for kind in kinds), strict=True)
        units = [per_si for _, _, per_si in QUANTITIES]
        self._kinds = kinds
        self._low, self._high, self._units = (
            torch.tensor(values, device=device) for values in (low, high, units)
        )
        self._counts = torch.tensor(self._bins, device=device)
        self._first = self._counts.cumsum(0) - self._counts
        # One row a bin: number of samples, sums of truth, of estimate and of its square.
        self._sums = torch.zeros(sum(self._bins), 4, dtype=torch.double, device=device)

    def add(self, truth: torch.Tensor, estimate: torch.Tensor) -> None:
        """Take in samples in SI units, shape (num_robots, quantities)."""
        truth, estimate = truth * self._units, estimate * self._units
        share = (truth - self._low) / (self._high - self._low)
        inside = (share >= 0.0) & (share < 1.0)
        cell = self._first + (share * inside * self._counts).long()
        values = torch.stack((torch.ones_like(truth), truth, estimate, estimate.square()), dim=-1)
        values = (values * inside[..., None]).double()
        self._sums.index_add_(0, cell.flatten(), values.flatten(0, 1))

    def plots(self) -> tuple[Plot, ...]:
        """One plot for velocity, mass and centre of mass."""
        series: dict[str, list[Series]] = {}
        for kind, quantity, sums in zip(
            self._kinds, QUANTITIES, self._sums.cpu().split(self._bins), strict=True
        ):
            series.setdefault(kind, []).append(_curve(quantity[0], sums))
        units = {kind: unit for kind, (_, unit, _) in zip(self._kinds, QUANTITIES, strict=True)}
        return tuple(
            Plot(
                name=f"calibration_{kind.lower()}",
                title=f"Mean estimate over the truth: {kind}",
                x_label=f"true {kind} [{units[kind]}]",
                y_label=f"estimated {kind} [{units[kind]}]",
                series=(*lines, _diagonal(lines)),
            )
            for kind, lines in series.items()
        )


def _curve(label: str, sums: torch.Tensor) -> Series:
    sums = sums[sums[:, 0] > _LEAST_SHARE * sums[:, 0].sum()]
    _, truth, estimate, square = (sums / sums[:, :1]).unbind(dim=1)
    deviation = (square - estimate.square()).clamp(min=0.0).sqrt()
    return Series(
        label=label,
        x=tuple(truth.tolist()),
        y=tuple(estimate.tolist()),
        spread=tuple(deviation.tolist()),
    )


def _diagonal(lines: Sequence[Series]) -> Series:
    x = [value for line in lines for value in line.x] or [0.0]
    ends = (min(x), max(x))
    return Series(label="truth", x=ends, y=ends)


def _step_table(response: StepResponse, load: float) -> Table:
    """How far and how fast the estimate follows a step of the load."""
    robots = response.robots
    cells = figure(response.step, robots=robots), figure(response.settling_times(), robots=robots)
    return Table(
        title="Mass estimate after a step of the load",
        rows_title="true step",
        columns=(
            Column(title="rise", unit="kg", decimals=2),
            Column(title="settling time", unit="s", decimals=2),
        ),
        rows=(Row(label=f"{load:g} kg", cells=cells),),
    )


def _response_plot(response: StepResponse, load: float) -> Plot:
    """Estimates before and after the step of the load, means over seeds."""
    time = tuple(response.time.tolist())
    means, spread = response.means.nanmean(dim=0), response.spread.nanmean(dim=0)
    truth = response.truth.nanmean(dim=0)
    return Plot(
        name="load_step",
        title=f"Mass estimate when the load steps from 0 to {load:g} kg",
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
