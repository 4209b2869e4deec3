"""Does the policy know its velocity, what it carries and where?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import nan
from typing import TYPE_CHECKING

import torch

from rl_sim_env.errors import UserError
from rl_sim_env.evaluation.calibration import CalibrationCurves
from rl_sim_env.evaluation.coverage import CoverageMeter, describe_coverage
from rl_sim_env.evaluation.grid import (
    LEVEL,
    GridStep,
    Places,
    describe_grid,
    grid_axes,
    grid_places,
    on_levels,
    rollout_grid,
)
from rl_sim_env.evaluation.grouped_sums import GroupedSums, Index, figure
from rl_sim_env.evaluation.map_errors import MapMeter
from rl_sim_env.evaluation.regression import Moments, fit, fit_best, mean_squared_error, selection
from rl_sim_env.evaluation.report import Column, Figure, Row, Section, Table
from rl_sim_env.evaluation.sensed_load import METHODS, SensedLoad
from rl_sim_env.evaluation.step_response import ABOUT, STEPS, load_step, response_plot, step_table
from rl_sim_env.learning.estimation import EstimationTargets

if TYPE_CHECKING:
    from rl_sim_env.evaluation.arena import Arena, EvaluationCfg

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


def estimation(arena: Arena, cfg: EvaluationCfg) -> Section:
    """Errors of the estimates, baselines, calibration, and the answer to a change of the load.

    No figures of this kind have been published for a learned estimator of mass and centre of mass.
    RMSEs are over robots and time; that of the velocity is the root mean square over its three
    axes too. See :mod:`~rl_sim_env.evaluation.regression` for the baselines and
    :mod:`~rl_sim_env.evaluation.step_response` for the step of the load.

    Args:
        arena: Where to walk; the policy is fed its own estimates.
        cfg: Its ``seeds``, ``seconds`` and ``levels`` count.
    """
    baselines = _BaselineMeter(arena, len(cfg.seeds))
    curves = CalibrationCurves(arena.policy.targets, arena.device)

    errors, coverage = _ErrorMeter(arena, cfg), CoverageMeter(arena, cfg)
    maps = MapMeter(arena, cfg)
    for number, at in enumerate(rollout_grid(arena, cfg)):
        errors.add(at)
        coverage.add(at)
        baselines.follow(at)
        maps.add(at)
        if number % SAMPLING_STEPS == 0:
            truth, estimate = at.step.truth.joined(), at.step.output.estimate.joined()
            baselines.add(at, truth, estimate)
            curves.add(truth, estimate)
    declared = arena.policy.targets.declared
    load = arena.env.cfg.robot.max_load
    # The responses to steps of the load say something about an estimated mass alone.
    steps = STEPS[: cfg.load_steps] if load and "mass" in declared else ()
    responses = {
        (before * load, after * load): load_step(
            arena, cfg.seeds, before=before * load, after=after * load
        )
        for before, after in steps
    }
    tables = (*errors.tables(), *coverage.tables(), *maps.tables(), baselines.table())
    return Section(
        name="estimation",
        title=f"Estimates of {', '.join(each.label for each in declared.values())}",
        method=(
            "Root mean square errors over robots and time, those of vectors that stand in one "
            "column also over their axes. Mass is that of the whole robot above nominal, centre of "
            "mass (CoM) that of robot and load in the trunk's frame. "
            f"{describe_grid(arena, cfg)} Baselines: "
            "predicting the mean, and a linear (ridge) regression that sees what the critic sees "
            "but for the estimated terms themselves (true motion, heights of the ground) beside "
            "the estimator's own input, fitted on half of the robots, the penalty chosen within "
            "that half; all rows of that table are of the other half. A robot's mass is one "
            "sample however long it walks, so few robots make that regression look worse than it "
            f"is.{baselines.about_sensed}{ABOUT if responses else ''}"
            f"{describe_coverage(arena)}{maps.description}"
        ),
        tables=(
            *on_levels(arena, cfg, tables),
            *([step_table(responses)] if responses else []),
            *on_levels(arena, cfg, [baselines.calibration_table()]),
        ),
        plots=(
            *curves.plots(),
            *([response_plot(responses[0.0, load], load)] if responses else []),
        ),
    )


class _ErrorColumns:
    """Columns of a table of errors: one for each number of an estimate, or for a whole vector.

    Args:
        targets: What is estimated.
    """

    def __init__(self, targets: EstimationTargets) -> None:
        columns, self._parts = [], []
        start = 0
        for name, each in targets.declared.items():
            stop = start + targets.widths[name]
            labels = [part.label for part in targets.components[start:stop]]
            whole = ([each.label], [slice(start, stop)])
            apart = (labels, [slice(place, place + 1) for place in range(start, stop)])
            for label, part in zip(*(apart if each.by_axis else whole), strict=True):
                columns.append(Column(title=label, unit=each.shown_unit, decimals=each.decimals))
                self._parts.append(part)
            start = stop
        self.columns = tuple(columns)
        self._per_si = torch.tensor([part.per_si for part in targets.components])

    def cells(self, squared_error: torch.Tensor, robots: int) -> tuple[Figure | None, ...]:
        """The cells of a row.

        Args:
            squared_error: Mean square errors in SI units, shape (num_seeds, width of an estimate).
            robots: Robots behind them.
        """
        mean_squares = squared_error * self._per_si.to(squared_error.dtype).square()
        rmse = (mean_squares[:, part].mean(dim=1).sqrt() for part in self._parts)
        return tuple(figure(column, robots=robots) for column in rmse)


class _ErrorMeter:
    """Squared errors by terrain, load, speed and age of the episode."""

    def __init__(self, arena: Arena, cfg: EvaluationCfg) -> None:
        axes = grid_axes(arena, cfg) | {SPEED: len(SPEED_NAMES), AGE: len(AGE_NAMES)}
        del axes[LEVEL]
        self._sums = GroupedSums(axes, arena.num_robots, arena.device)
        self._places: Places = {
            **grid_places(arena),
            "actual speed": {label: {SPEED: index} for index, label in enumerate(SPEED_NAMES)},
            "time since the episode began": {
                label: {AGE: index} for index, label in enumerate(AGE_NAMES)
            },
        }
        self._columns = _ErrorColumns(arena.policy.targets)
        self._step_dt = arena.step_dt
        self._age = torch.zeros(arena.num_robots, device=arena.device)
        self._speeds = torch.tensor(SPEED_LIMITS, device=arena.device)
        self._ages = torch.tensor(AGE_LIMITS, device=arena.device)

    def add(self, at: GridStep) -> None:
        """Take in a control step."""
        step = at.step
        if at.begins:
            self._age.zero_()
        speed = torch.bucketize(step.velocity.norm(dim=-1), self._speeds, right=True)
        age = torch.bucketize(self._age, self._ages, right=True)
        self._sums.add(
            at.place | {SPEED: speed, AGE: age},
            steps=torch.ones_like(step.yaw_rate),
            squared_error=(step.output.estimate.joined() - step.truth.joined()).square(),
        )
        self._age = torch.where(step.dones, 0.0, self._age + self._step_dt)

    def tables(self) -> tuple[Table, ...]:
        """Errors by terrain, by load, by speed and by age."""
        return tuple(
            Table(
                title=f"RMSE of the estimates by {axis}",
                rows_title=axis,
                columns=self._columns.columns,
                rows=tuple(
                    Row(label=label, cells=self._cells(**where)) for label, where in places.items()
                ),
            )
            for axis, places in self._places.items()
        )

    def _cells(self, **where: Index) -> tuple[Figure | None, ...]:
        steps = self._sums.total("steps", **where)[:, None]
        mean = self._sums.total("squared_error", **where) / steps
        return self._columns.cells(mean, self._sums.robots(**where))


class _BaselineMeter:
    """Second moments of inputs, estimates and truth: enough for all baselines.

    Attributes:
        about_sensed: What the report says of methods without learning.
    """

    def __init__(self, arena: Arena, num_seeds: int) -> None:
        layout = arena.vec_env.observation_layout
        self._layout = layout
        targets = arena.policy.targets
        self._columns = _ErrorColumns(targets)
        self._components = targets.components
        estimated = {(each.group, each.term) for each in targets.declared.values()}
        self._seen_by_critic = tuple(
            name for name in layout.names("critic_obs") if ("critic_obs", name) not in estimated
        )
        num_inputs = layout.width("vae_obs") + sum(
            layout.term("critic_obs", name).width for name in self._seen_by_critic
        )
        # Column 0 is the constant; then what predicts, what is predicted, what is true.
        width = targets.width
        self._inputs = range(1, 1 + num_inputs)
        self._sensed, self.about_sensed = _sensed_load(arena)
        num_told = 0 if self._sensed is None else len(self._sensed.places)
        self._told = torch.zeros(arena.num_robots, num_told * len(METHODS), device=arena.device)
        first = self._inputs.stop
        self._by_method = {
            method.NAME: range(first + place * num_told, first + (place + 1) * num_told)
            for place, method in enumerate(METHODS)
        }
        first += self._told.shape[1]
        self._estimates = range(first, first + width)
        self._truths = range(self._estimates.stop, self._estimates.stop + width)
        groups = (len(_QUARTERS), num_seeds)
        self._moments = Moments(groups, self._truths.stop, arena.device)
        order = torch.randperm(arena.num_robots, generator=torch.Generator().manual_seed(0))
        ends = [arena.num_robots * end // sum(_QUARTERS) for end in accumulate(_QUARTERS)]
        parts = order.to(arena.device).tensor_split(ends[:-1])
        self._robots = dict(enumerate(parts))

    def follow(self, at: GridStep) -> None:
        """Look at a control step: what is sensed is followed through all of them."""
        if self._sensed is not None:
            self._told = self._sensed.update(at.step, begins=at.begins)

    def add(self, at: GridStep, truth: torch.Tensor, estimate: torch.Tensor) -> None:
        """Take in a control step that was followed."""
        obs = at.step.obs
        critic = self._layout.gather("critic_obs", self._seen_by_critic, obs["critic_obs"])
        constant = torch.ones_like(truth[:, :1])
        columns = (constant, critic, obs["vae_obs"], self._told, estimate, truth)
        columns = torch.cat(columns, dim=-1)
        for part, robots in self._robots.items():
            self._moments.add((part, at.seed), columns[robots])

    def table(self) -> Table:
        """Errors of the estimator and of the baselines, on the robots that judge."""
        pooled, judge = self._moments.sums.sum(dim=1), self._moments.sums[JUDGE]
        known = pooled[FIT] + pooled[CHOOSE]
        everything = range(len(self._truths))
        predictions: dict[str, tuple[torch.Tensor, Sequence[int]]] = {
            "the policy's estimator": (selection(judge, self._estimates), everything),
            "predicting the mean": (fit(known, [], self._truths), everything),
            "regression on the privileged state": (
                fit_best(pooled[FIT], pooled[CHOOSE], self._inputs, self._truths),
                everything,
            ),
        }
        if self._sensed is not None:
            places = self._sensed.places
            truths = [self._truths[place] for place in places]
            for name, columns in self._by_method.items():
                predictions[name] = (selection(judge, columns), places)
                predictions[f"{name}, calibrated"] = (fit(known, columns, truths), places)
        return Table(
            title="RMSE of the estimates beside baselines",
            rows_title="prediction",
            columns=self._columns.columns,
            rows=tuple(
                Row(label=label, cells=self._cells(judge, *predicted))
                for label, predicted in predictions.items()
            ),
        )

    def _cells(
        self, judge: torch.Tensor, weights: torch.Tensor, places: Sequence[int]
    ) -> tuple[Figure | None, ...]:
        """Errors of a prediction of some numbers of the estimate; the others have no figure."""
        places = list(places)
        errors = judge.new_full((len(judge), len(self._truths)), nan)
        truths = [self._truths[place] for place in places]
        errors[:, places] = mean_squared_error(judge, weights, truths)
        return self._columns.cells(errors.cpu(), len(self._robots[JUDGE]))

    def calibration_table(self) -> Table:
        """Truth as a straight line over the estimate."""
        by_seed = self._moments.sums.sum(dim=0)
        robots = sum(map(len, self._robots.values()))
        rows = []
        for (_, name, unit, per_si), estimate, truth in zip(
            self._components, self._estimates, self._truths, strict=True
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


def _sensed_load(arena: Arena) -> tuple[SensedLoad | None, str]:
    """What tells loads without learning, None where nothing can or need, and words on it."""
    try:
        sensed = SensedLoad.of(arena)
    except UserError as error:
        return None, f" Nothing tells loads without learning here: {error}."
    if sensed is None:
        return None, ""
    methods = "; ".join(method.METHOD for method in METHODS)
    return sensed, (
        " Of what robots sense, without learning, raw and calibrated by a linear fit on the "
        f"same half: {methods}."
    )
