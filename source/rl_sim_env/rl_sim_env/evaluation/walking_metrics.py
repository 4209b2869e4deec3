"""A short evaluation: does the robot walk where it is told, and does it know what it carries?"""

from __future__ import annotations

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
    from rl_sim_env.learning.estimation import Estimate

MAX_FORWARD_SPEED = 1.0
MAX_LATERAL_SPEED = 0.5
MAX_YAW_RATE = 1.0
"""Commands of the evaluation [m/s, m/s, rad/s]."""

MEASURABLE_TIME = 1.0
"""Time below which a walk says nothing: falls, steps and swings are zeros, for none can be done
[s]."""

_TERRAIN = "terrain"


def evaluation_env_cfg(cfg: AmpVaeEnvCfg) -> AmpVaeEnvCfg:
    """Turn a training configuration into one for evaluation.

    Robots, loads, sensor noise and delays vary as in training; commands are drawn from the whole
    evaluation range on every terrain; nothing happens at intervals (no pushes, loads stay), there
    are no curricula, and episodes start from standing. Terrain levels stay where they are drawn:
    all rows alike.
    """
    cfg.events.pop("motion", None)
    # A term that is None was switched off by a setting.
    cfg.events = {
        name: term
        for name, term in cfg.events.items()
        if term is not None and term.mode != "interval"
    }
    cfg.events["base"].params |= {"lin_vel": 0.0}
    cfg.events["legs"].params |= {"offset": 0.0}
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


@dataclass(kw_only=True)
class WalkingMetrics:
    """Figures of one group of robots; means over robots and time unless said otherwise."""

    robot_seconds: float
    """Simulated time of all robots together [s]."""
    velocity_error: float
    """Distance between commanded and actual horizontal velocity [m/s]."""
    yaw_rate_error: float
    """Distance between commanded and actual yaw rate [rad/s]."""
    falls_per_100_s: float
    """Falls in 100 robot-seconds."""
    duty_factor: float
    """Share of time in which a foot carries, while told to move."""
    steps_per_s: float
    """Touchdowns of each foot per second, while told to move [1/s]."""
    swing_height: float
    """Highest point of a swing: gap between foot and ground [m]."""
    velocity_rmse: float
    """Estimated against true base velocity, root mean square over the three axes [m/s]."""
    mass_rmse: float
    """Estimated against true change of mass [kg]."""
    mass_spread: float
    """Standard deviation of the true change of mass [kg]: the RMSE of guessing its mean."""
    com_rmse: float
    """Estimated against true centre of mass, root mean square over x and y [m]."""
    com_spread: float
    """Standard deviation of the true centre of mass, x and y [m]."""


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
        self._num_steps = 0

    @property
    def seconds(self) -> float:
        """How long each robot was watched [s]."""
        return self._num_steps * self._env.step_dt

    def add(self, step: EvaluationStep) -> None:
        """Take in one control step."""
        self._num_steps += 1
        self._add_estimation(step.truth, step.estimate)
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
        step_dt = self._env.step_dt
        sums = {name: self._totals(i) for i, name in enumerate(self._names)}
        sums["all"] = self._totals(range(len(self._names)))
        return {name: _metrics(of, step_dt) for name, of in sums.items() if of.get("steps")}

    def _totals(self, terrain: int | range) -> dict[str, float]:
        return {name: float(self._sums.total(name, terrain=terrain)) for name in self._sums.names}

    def _add_estimation(self, true: Estimate, guess: Estimate) -> None:
        com, com_guess = true.com[:, :2], guess.com[:, :2]
        mass, mass_guess = true.mass.squeeze(-1), guess.mass.squeeze(-1)
        self._sums.add(
            self._at,
            velocity_se=(true.velocity - guess.velocity).square().mean(dim=-1),
            mass_se=(mass - mass_guess).square(),
            mass=mass,
            mass_sq=mass.square(),
            com_se=(com - com_guess).square().mean(dim=-1),
            com_x=com[:, 0],
            com_y=com[:, 1],
            com_sq=com.square().sum(dim=-1),
        )

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
    vec_env: AmpVaeVecEnv,
    policy: InferencePolicy,
    *,
    seconds: float,
    p_boot: float = 1.0,
) -> dict[str, WalkingMetrics]:
    """Let the policy walk and measure.

    Args:
        vec_env: Environment, best configured by :func:`evaluation_env_cfg`; it is reset.
        policy: The policy; it acts without exploration noise.
        seconds: Simulated time per robot [s].
        p_boot: 1 feeds the policy its own estimates, 0 the truth.

    Returns:
        Reports by terrain family, where there are robots, and of all robots under ``all``.
    """
    meter = WalkingMeter(vec_env)
    evaluator = Evaluator(vec_env, policy, p_boot, on_step=meter.add)
    for _ in range(evaluator.num_steps(seconds)):
        evaluator.advance()
    return meter.metrics()


def _metrics(sums: dict[str, float], step_dt: float) -> WalkingMetrics:
    steps = max(sums["steps"], 1.0)
    moving = max(sums["moving_feet"], 1.0)
    mean = {name: value / steps for name, value in sums.items()}
    com_variance = mean["com_sq"] - mean["com_x"] ** 2 - mean["com_y"] ** 2
    return WalkingMetrics(
        robot_seconds=steps * step_dt,
        velocity_error=mean["velocity_error"],
        yaw_rate_error=mean["yaw_rate_error"],
        falls_per_100_s=100.0 * mean["falls"] / step_dt,
        duty_factor=sums["contacts"] / moving,
        steps_per_s=sums["touchdowns"] / moving / step_dt,
        swing_height=sums["swing_height"] / max(sums["touchdowns"], 1.0),
        velocity_rmse=mean["velocity_se"] ** 0.5,
        mass_rmse=mean["mass_se"] ** 0.5,
        mass_spread=max(mean["mass_sq"] - mean["mass"] ** 2, 0.0) ** 0.5,
        com_rmse=mean["com_se"] ** 0.5,
        com_spread=max(com_variance / 2.0, 0.0) ** 0.5,
    )


_COLUMNS: tuple[tuple[str, str, float, int], ...] = (
    ("velocity_error", "vel m/s", 1.0, 3),
    ("yaw_rate_error", "yaw rad/s", 1.0, 3),
    ("falls_per_100_s", "falls /100s", 1.0, 2),
    ("duty_factor", "duty", 1.0, 2),
    ("steps_per_s", "steps/s", 1.0, 2),
    ("swing_height", "swing cm", 100.0, 1),
    ("mass_rmse", "mass kg", 1.0, 2),
    ("com_rmse", "CoM cm", 100.0, 2),
)


def print_metrics(metrics: dict[str, WalkingMetrics], console: Console | None = None) -> None:
    """Print one line per terrain family; fits 80 columns. Without metrics it prints nothing."""
    if not metrics:
        return
    table = Table(title="Evaluation", box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("terrain", no_wrap=True)
    for _, heading, _, _ in _COLUMNS:
        table.add_column(heading, justify="right")
    shown = {"all": metrics["all"]} if len(metrics) == 2 else metrics
    for name, each in shown.items():
        values = asdict(each)
        table.add_row(name, *(f"{values[key] * k:.{d}f}" for key, _, k, d in _COLUMNS))
    console = console or Console()
    console.print(table)
    total = metrics["all"]
    console.print(
        f"{total.robot_seconds:.0f} robot-seconds; velocity estimate off by "
        f"{total.velocity_rmse:.3f} m/s RMS; guessing the mean would be off by "
        f"{total.mass_spread:.2f} kg and {100 * total.com_spread:.2f} cm"
    )
