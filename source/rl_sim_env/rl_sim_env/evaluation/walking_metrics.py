"""A short evaluation: does the robot walk where it is told, and does it know what it carries?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import torch
from rich.console import Console
from rich.table import Table

from rl_sim_env.conventions import COMMAND_PERIOD
from rl_sim_env.evaluation.evaluator import Evaluator
from rl_sim_env.evaluation.gait_metrics import FeetMeter
from rl_sim_env.evaluation.grouped_sums import GroupedSums
from rl_sim_env.mdp.commands import TerrainCommandRanges, TerrainVelocityCommandCfg

if TYPE_CHECKING:
    from rl_sim_env.envs import AmpVaeEnvCfg, AmpVaeVecEnv
    from rl_sim_env.evaluation.evaluator import EvaluationStep
    from rl_sim_env.evaluation.inference_policy import InferencePolicy
    from rl_sim_env.learning.estimate_cfg import EstimateCfg
    from rl_sim_env.learning.estimation import Estimate

MAX_FORWARD_SPEED = 1.0
MAX_LATERAL_SPEED = 0.5
MAX_YAW_RATE = 1.0
"""Commands of the evaluation [m/s, m/s, rad/s]."""

MEASURABLE_TIME = 1.0
"""Time below which a walk says nothing: falls, steps and swings are zeros, for none can be done
[s]."""

_TERRAIN = "terrain"
_SQUARED_ERROR, _TRUE, _TRUE_SQUARED = "squared error of ", "true ", "squared true "


def leave_out_training(cfg: AmpVaeEnvCfg) -> None:
    """Have steps compute nothing that learning alone asks for: a third of the time of one robot.

    Args:
        cfg: Configuration of the environment; it is changed.
    """
    cfg.terminal_groups = ()
    for term in cfg.rewards.values():
        if term is not None:
            term.weight = 0.0


def evaluation_env_cfg(cfg: AmpVaeEnvCfg) -> AmpVaeEnvCfg:
    """Turn a training configuration into one for evaluation.

    Robots, loads, sensor noise and delays vary as in training; commands are drawn from the whole
    evaluation range on every terrain; nothing happens at intervals (no pushes, loads stay), there
    are no curricula, and episodes start from standing. Terrain levels stay where they are drawn:
    all rows alike. Rewards are not computed.
    """
    leave_out_training(cfg)
    cfg.events.pop("motion", None)
    # A term that is None was switched off by a setting.
    cfg.events = {
        name: term
        for name, term in cfg.events.items()
        if term is not None and term.mode != "interval"
    }
    for name, spread in (("base", "lin_vel"), ("legs", "offset")):
        if name in cfg.events:
            cfg.events[name].params |= {spread: 0.0}
    cfg.curriculum = {}
    terrain = cfg.scene.terrain
    if terrain is not None:
        terrain.max_init_terrain_level = None
    command = cfg.commands["velocity"]
    assert isinstance(command, TerrainVelocityCommandCfg)
    span = TerrainCommandRanges.constant(
        *((-limit, limit) for limit in (MAX_FORWARD_SPEED, MAX_LATERAL_SPEED, MAX_YAW_RATE))
    )
    cfg.commands["velocity"] = replace(
        command,
        terrains=dict.fromkeys(command.terrains, span),
        heading_prob=0.0,
        resampling_time_range=(COMMAND_PERIOD, COMMAND_PERIOD),
    )
    return cfg


@dataclass(frozen=True, kw_only=True)
class EstimateError:
    """How well one quantity is estimated; over all its elements alike."""

    rmse: float
    """Estimated against true, root mean square [SI unit of the quantity]."""
    spread: float
    """The same error of always guessing each element's mean."""


@dataclass(kw_only=True)
class WalkingMetrics:
    """Figures of one group of robots; means over robots and time unless said otherwise."""

    robot_seconds: float
    """Simulated time of all robots together [s]."""
    velocity_error: float
    """Distance between commanded and actual horizontal velocity [m/s]."""
    yaw_rate_error: float
    """Distance between commanded and actual yaw rate [rad/s]."""
    falls_per_1000_s: float
    """Falls in 1000 robot-seconds."""
    duty_factor: float
    """Share of time in which a foot carries, while told to move."""
    steps_per_s: float
    """Touchdowns of each foot per second, while told to move [1/s]."""
    swing_height: float
    """Highest point of a swing: gap between foot and ground [m]."""
    estimates: dict[str, EstimateError]
    """Of each quantity that the policy estimates, by name."""


class WalkingMeter:
    """Adds up, on the device, how robots walk and what they believe.

    Args:
        vec_env: The environment that is watched.
    """

    def __init__(self, vec_env: AmpVaeVecEnv) -> None:
        env = vec_env.unwrapped
        self._env = env
        self._names = env.terrain_types.names
        self._at = {_TERRAIN: env.terrain_types.ids[: env.num_robots].clone()}
        self._sums = GroupedSums({_TERRAIN: len(self._names)}, env.num_robots, env.device)
        self._feet = FeetMeter(env)
        self._estimated: tuple[str, ...] = ()
        self._num_steps = 0

    @property
    def seconds(self) -> float:
        """How long each robot was watched [s]."""
        return self._num_steps * self._env.step_dt

    def add(self, step: EvaluationStep) -> None:
        """Take in one control step."""
        self._num_steps += 1
        self._estimated = tuple(step.truth)
        self._add_estimation(step.truth, step.output.estimate)
        self._sums.add(
            self._at,
            steps=torch.ones_like(step.yaw_rate),
            velocity_error=step.velocity_error,
            yaw_rate_error=step.yaw_rate_error,
            falls=step.fell,
        )
        self._add_gait(step.command, step.dones)

    def metrics(self) -> dict[str, WalkingMetrics]:
        """Reports by terrain family, where robots walked, and of all robots under ``all``."""
        places: dict[str, int | range] = {name: i for i, name in enumerate(self._names)}
        places["all"] = range(len(self._names))
        metrics = {name: self._metrics(terrain) for name, terrain in places.items()}
        return {name: of for name, of in metrics.items() if of is not None}

    def _metrics(self, terrain: int | range) -> WalkingMetrics | None:
        """Figures of the robots on some terrain; None where nobody walked."""
        totals = {name: self._sums.total(name, terrain=terrain) for name in self._sums.names}
        steps = float(totals.get("steps", 0.0))
        if not steps:
            return None
        moving = max(float(totals["moving_feet"]), 1.0)
        touchdowns = float(totals["touchdowns"])
        mean = {name: total / steps for name, total in totals.items()}
        step_dt = self._env.step_dt
        return WalkingMetrics(
            robot_seconds=steps * step_dt,
            velocity_error=float(mean["velocity_error"]),
            yaw_rate_error=float(mean["yaw_rate_error"]),
            falls_per_1000_s=1000.0 * float(mean["falls"]) / step_dt,
            duty_factor=float(totals["contacts"]) / moving,
            steps_per_s=touchdowns / moving / step_dt,
            swing_height=float(totals["swing_height"]) / max(touchdowns, 1.0),
            estimates={name: _estimate_error(mean, name) for name in self._estimated},
        )

    def _add_estimation(self, truth: Estimate, estimate: Estimate) -> None:
        for name, true in truth.items():
            values = {
                _SQUARED_ERROR: (true - estimate[name]).square(),
                _TRUE: true,
                _TRUE_SQUARED: true.square(),
            }
            self._sums.add(self._at, **{of + name: value for of, value in values.items()})

    def _add_gait(self, command: torch.Tensor, done: torch.Tensor) -> None:
        moving = command[:, :2].any(dim=-1)
        feet = self._feet.observe()
        self._sums.add(
            self._at,
            moving_feet=moving * ~done * float(feet.contact.shape[1]),
            contacts=moving * feet.contact.sum(dim=-1),
            touchdowns=moving * feet.landed.sum(dim=-1),
            swing_height=moving * feet.swing_height.sum(dim=-1),
        )


def evaluate_walking(
    vec_env: AmpVaeVecEnv, policy: InferencePolicy, *, seconds: float
) -> dict[str, WalkingMetrics]:
    """Let the policy walk on its own estimates, and measure.

    Args:
        vec_env: Environment, best configured by :func:`evaluation_env_cfg`; it is reset.
        policy: The policy; it acts without exploration noise.
        seconds: Simulated time per robot [s].

    Returns:
        Reports by terrain family, where there are robots, and of all robots under ``all``.
    """
    meter = WalkingMeter(vec_env)
    evaluator = Evaluator(vec_env, policy, on_step=meter.add)
    for _ in range(evaluator.num_steps(seconds)):
        evaluator.advance()
    return meter.metrics()


def _estimate_error(mean: dict[str, torch.Tensor], name: str) -> EstimateError:
    variance = mean[_TRUE_SQUARED + name] - mean[_TRUE + name].square()
    return EstimateError(
        rmse=float(mean[_SQUARED_ERROR + name].mean().sqrt()),
        spread=float(variance.clamp(min=0.0).mean().sqrt()),
    )


_COLUMNS: tuple[tuple[str, str, float, int], ...] = (
    ("velocity_error", "velocity\nerror\nm/s", 1.0, 3),
    ("yaw_rate_error", "yaw\nerror\nrad/s", 1.0, 3),
    ("falls_per_1000_s", "falls\n/1000 s", 1.0, 1),
    ("duty_factor", "duty", 1.0, 2),
    ("steps_per_s", "steps\n/s", 1.0, 2),
    ("swing_height", "swing\ncm", 100.0, 1),
)


def print_metrics(
    metrics: dict[str, WalkingMetrics],
    declared: Mapping[str, EstimateCfg],
    console: Console | None = None,
) -> None:
    """Print one line per terrain family; fits 80 columns. Without metrics it prints nothing.

    Args:
        metrics: Figures by terrain family, and of all.
        declared: What is estimated: how people read it.
        console: Where to; by default the terminal.
    """
    if not metrics:
        return
    table = Table(title="Evaluation", box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("terrain", no_wrap=True)
    for _, heading, _, _ in _COLUMNS:
        table.add_column(heading, justify="right")
    for name, cfg in declared.items():
        table.add_column(f"{name}\noff\n{cfg.shown_unit}", justify="right")
    shown = {"all": metrics["all"]} if len(metrics) == 2 else metrics
    for terrain, of in shown.items():
        values = asdict(of)
        table.add_row(
            terrain,
            *(f"{values[key] * factor:.{digits}f}" for key, _, factor, digits in _COLUMNS),
            *(_shown(of.estimates[name].rmse, cfg) for name, cfg in declared.items()),
        )
    console = console or Console(markup=False)
    console.print(table)
    total = metrics["all"]
    means = ", ".join(
        f"{_shown(total.estimates[name].spread, cfg)} {cfg.shown_unit} ({name})"
        for name, cfg in declared.items()
    )
    console.print(f"{total.robot_seconds:.0f} robot-seconds; guessing the mean is off by {means}")


def _shown(value: float, cfg: EstimateCfg) -> str:
    return f"{value * cfg.shown_per_si:.{cfg.decimals}f}"
