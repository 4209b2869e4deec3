"""The arena: one environment in which every protocol lets a policy walk under its own conditions.

A protocol describes a :class:`Scenario`, what is fixed robot by robot, and iterates over the steps
of a rollout::

    for seed in cfg.seeds:
        for step in arena.rollout(Scenario(load=load), seconds=cfg.seconds, seed=seed):
            sums.add(..., error=step.velocity_error)

Between two steps it may change the world: change a load, push. Nothing in a rollout is read
from the device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from mjlab.managers.event_manager import EventTermCfg, RecomputeLevel, requires_model_fields
from mjlab.managers.termination_manager import TerminationTermCfg
from mjlab.utils.lab_api.math import wrap_to_pi
from mjlab.utils.random import seed_rng

from rl_sim_env.conventions import COMMAND_PERIOD
from rl_sim_env.errors import UserError
from rl_sim_env.evaluation.evaluator import EvaluationStep, Evaluator
from rl_sim_env.evaluation.inference_policy import InferencePolicy
from rl_sim_env.evaluation.starts import BeginOnFeature
from rl_sim_env.evaluation.walking_metrics import evaluation_env_cfg
from rl_sim_env.mdp import events
from rl_sim_env.mdp.commands import (
    TerrainCommandRanges,
    TerrainVelocityCommand,
    TerrainVelocityCommandCfg,
)
from rl_sim_env.mdp.terminations import left_tile

if TYPE_CHECKING:
    from rl_sim_env.envs import AmpVaeEnv, AmpVaeEnvCfg, AmpVaeVecEnv
    from rl_sim_env.mdp.hardware_sensors_cfg import SensorModel

MAX_COMMAND = (1.0, 1.0, 1.0)
"""Largest magnitudes of drawn commands [m/s, m/s, rad/s], as in HIM (Long et al., ICLR 2024)."""

DRAWN_COMMANDS = (
    f"commands drawn every {COMMAND_PERIOD:g} s up to {MAX_COMMAND[0]:g} m/s forward and sideways "
    f"and {MAX_COMMAND[2]:g} rad/s"
)
"""What robots are told where a scenario fixes nothing, in words."""

STEERING_GAIN = 1.0
"""Yaw rate by which robots are steered to a heading, for each radian that they are off [1/s]."""

UNSEEN_GROUND = 1000
"""Added to the seed of an evaluation, it seeds the ground; training has the small numbers."""

_SCENARIO, _START = "scenario", "start"


@dataclass(frozen=True, kw_only=True)
class EvaluationCfg:
    """Size of an evaluation."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Seeds of the rollouts; the spread of every figure is over them."""

    robots: int = 2048
    """Robots in each rollout; at least 1."""

    seconds: float = 20.0
    """Length of a rollout [s]."""

    survival_seconds: float = 600.0
    """Length of a survival rollout [s]."""

    outside_walks: int = 4
    """Walks of each seed in plain MuJoCo, on each ground with each load."""

    levels: tuple[int, ...] = (1, 2, 3, 4)
    """Rows of the terrain grid that robots stand on in equal shares, from 0, the easiest; the
    default is HIM's."""

    load_steps: int | None = None
    """Steps of the load that the estimates' answer is measured for, from the first of them, which
    is the whole load; None: all."""

    terrain_columns: int = 3
    """Tiles of each level of a terrain family whose tiles are drawn at random."""

    sensors: tuple[SensorModel | None, ...] = (None,)
    """How sensors are, None: as the environment has them. All is measured with each of them."""

    @classmethod
    def for_device(cls, device: str) -> EvaluationCfg:
        """The size that suits a device: on a CPU, a report of the flat task in some minutes."""
        if torch.device(device).type == "cpu":
            return cls(robots=128, seconds=10.0, survival_seconds=60.0, outside_walks=2)
        return cls()

    @classmethod
    def quick(cls) -> EvaluationCfg:
        """The smallest size that fills every table of the flat task; its figures mean little."""
        return cls(
            seeds=(0,),
            robots=24,
            seconds=2.0,
            survival_seconds=4.0,
            outside_walks=1,
            load_steps=1,
        )


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What is fixed robot by robot; all else varies as in training.

    A robot that falls begins anew under the same conditions.
    """

    family: torch.Tensor | None = None
    """Terrain: index into ``env.terrain_types.names``. Shape (num_robots,), long. None: the task's
    shares. Without meaning on a plane."""

    row: torch.Tensor | None = None
    """Level of the terrain, from 0. Shape (num_robots,), long. None: drawn. Without meaning on a
    plane."""

    load: torch.Tensor | None = None
    """Load of each robot [kg]. Shape (num_robots,). NaN, or None for all: drawn as in training."""

    boom_length: torch.Tensor | None = None
    """Length of the boom [m]. Shape (num_robots,). NaN, or None for all: drawn as in training."""

    command: torch.Tensor | None = None
    """Velocity command (vx, vy, yaw rate) [m/s, m/s, rad/s]. Shape (num_robots, 3). Where it is NaN
    the component is drawn uniformly up to ``MAX_COMMAND`` every ``COMMAND_PERIOD``; None: all."""

    heading: torch.Tensor | None = None
    """Direction that robots begin in and are steered to, in place of a yaw rate, world frame [rad].
    Shape (num_robots,). NaN, or None for all: drawn, and told yaw rates."""

    friction: torch.Tensor | None = None
    """Sliding friction between feet and ground. Shape (num_robots,). NaN, or None for all: drawn as
    in training."""

    from_middle: bool = False
    """Whether robots begin in the middle of a tile, as in training; else they do so on its feature:
    see :class:`~rl_sim_env.evaluation.starts.BeginOnFeature`."""


class Arena(Evaluator):
    """A policy in an environment that protocols set up as they need.

    Args:
        vec_env: The environment, configured by :func:`arena_env_cfg`.
        policy: The policy; it acts without exploration noise.
        p_boot: What it is fed where a rollout does not say: 1 its own estimates, 0 the truth.
        on_step: Called with each step once it is done.
        sensors: How sensors are; None: as the environment has them.

    Attributes:
        sensors: As given, or as the environment has them; may be set between rollouts.

    Raises:
        UserError: The environment is configured otherwise.
    """

    def __init__(
        self,
        vec_env: AmpVaeVecEnv,
        policy: InferencePolicy,
        p_boot: float = 1.0,
        on_step: Callable[[EvaluationStep], None] | None = None,
        sensors: SensorModel | None = None,
    ) -> None:
        self.sensors: SensorModel = sensors or vec_env.cfg.sensors
        super().__init__(vec_env, policy, p_boot, on_step=on_step)
        self._usual_p_boot = p_boot
        self._families = self.env.terrain_types.ids[: self.num_robots].clone()
        command = self.env.velocity_command
        if not isinstance(command, _ScenarioCommand):
            raise UserError("the arena needs an environment that arena_env_cfg has configured")
        self._command = command
        conditions, start = map(self.env.event_manager.get_term_cfg, (_SCENARIO, _START))
        # Of all environments, with the padding one that fixed shapes bring along.
        self._load, self._boom_length, self._friction = torch.full(
            (3, self.env.num_envs), torch.nan, device=self.device
        )
        conditions.params |= {
            "load": self._load,
            "boom_length": self._boom_length,
            "friction": self._friction,
        }
        self._from_middle = torch.zeros_like(self._load, dtype=torch.bool)
        start.params |= {"heading": self._command.heading, "from_middle": self._from_middle}

    def rollout(
        self, scenario: Scenario, *, seconds: float, seed: int, p_boot: float | None = None
    ) -> Iterator[EvaluationStep]:
        """Begin anew everywhere and run the policy.

        The same scenario and seed give the same rollout on the CPU; MuJoCo Warp is not
        deterministic.

        Args:
            scenario: What is fixed.
            seconds: Simulated time [s].
            seed: Seed of all that is drawn.
            p_boot: 1 feeds the policy its own estimates, 0 the truth; None: as the arena does.

        Yields:
            Each control step once it is done; what the caller changes before asking for the next
            is seen by it. Observations show it one step later, as a sensor would.
        """
        seed_rng(seed)
        self._apply(scenario)
        self.p_boot = self._usual_p_boot if p_boot is None else p_boot
        self.reset()
        for _ in range(self.num_steps(seconds)):
            yield self.advance()

    def set_load(self, load: torch.Tensor, robots: torch.Tensor | None = None) -> None:
        """Change loads, in mid-rollout and for all episodes that follow in it.

        Args:
            load: Loads [kg]. Shape (len(robots),).
            robots: Their indices; None for all.
        """
        ids = self._all if robots is None else robots
        self._load[ids] = load
        events.set_load(self.env, ids, load, recompute=True)

    def push(self, velocity_xy: torch.Tensor) -> None:
        """Add to the velocity of the bases, world frame [m/s]. Shape (num_robots, 2)."""
        events.push_by_velocity(self.env, self._all, velocity_xy)

    @property
    def _all(self) -> torch.Tensor:
        return torch.arange(self.num_robots, device=self.device)

    def _apply(self, scenario: Scenario) -> None:
        terrain = self.env.terrain
        if terrain.terrain_origins is not None:
            num_rows = terrain.terrain_origins.shape[0]
            drawn = torch.randint(num_rows, (self.num_robots,), device=self.device)
            family = self._families if scenario.family is None else scenario.family
            row = drawn if scenario.row is None else scenario.row
            column = self.env.terrain_types.draw_columns(family)
            terrain.terrain_types[: self.num_robots] = column
            terrain.terrain_levels[: self.num_robots] = row
            terrain.env_origins[: self.num_robots] = terrain.terrain_origins[row, column]
        self._from_middle.fill_(scenario.from_middle)
        self._set_sensors()
        for wanted, fixed in (
            (scenario.load, self._load),
            (scenario.boom_length, self._boom_length),
            (scenario.command, self._command.fixed),
            (scenario.heading, self._command.heading),
            (scenario.friction, self._friction),
        ):
            fixed[: self.num_robots] = torch.nan if wanted is None else wanted

    def _set_sensors(self) -> None:
        errors = self.env.scene["proprioception"].hardware
        if errors is not None:
            errors.active.fill_(self.sensors == "hardware")
        elif self.sensors == "hardware":
            raise UserError(
                "sensors as on hardware: the environment has ideal ones; set env.sensors=hardware"
            )


def arena_env_cfg(cfg: AmpVaeEnvCfg) -> AmpVaeEnvCfg:
    """Turn a training configuration into the arena's.

    Robots, sensor noise and delays vary as in training. Episodes begin from standing, on the
    feature of the terrain that the scenario says, and end by a fall or where a robot leaves its
    tile of the terrain, which counts as a time-out; there are no pushes, no changes of load, no
    curricula and no limit of time.

    Args:
        cfg: A task's configuration; it is changed.
    """
    cfg = evaluation_env_cfg(cfg)
    # Robots that fall are reset at once: none may lie on the ground waiting for capacity.
    cfg.reset_share = 1.0
    cfg.terminations.pop("time_out", None)
    if cfg.terminations.pop("left_terrain", None) is not None:
        # Also where training let robots walk on.
        cfg.terminations["left_tile"] = TerminationTermCfg(
            func=left_tile, time_out=True, params={"threshold_fraction": 1.0}
        )
    # Last, so that they overrule what the task has drawn.
    for name, func, params in (
        (_START, BeginOnFeature, ("heading", "from_middle")),
        (_SCENARIO, _apply_conditions, ("load", "boom_length", "friction")),
    ):
        cfg.events[name] = EventTermCfg(func=func, mode="reset", params=dict.fromkeys(params))
    command = cfg.commands[cfg.command_name]
    assert isinstance(command, TerrainVelocityCommandCfg)
    span = TerrainCommandRanges.constant(*((-limit, limit) for limit in MAX_COMMAND))
    cfg.commands[cfg.command_name] = _ScenarioCommandCfg(
        terrains=dict.fromkeys(command.terrains, span),
        heading_prob=0.0,
        yaw_only_prob=0.0,
        standing_prob=0.0,
        min_lin_vel=0.0,
        min_ang_vel=0.0,
        resampling_time_range=(COMMAND_PERIOD, COMMAND_PERIOD),
    )
    return cfg


def on_unseen_ground(cfg: AmpVaeEnvCfg, sizes: EvaluationCfg) -> None:
    """Have tiles that are drawn at random drawn anew, so that training has not seen them.

    Args:
        cfg: Configuration of the environment; it is changed.
        sizes: The first of its ``seeds``, and ``terrain_columns``, count.
    """
    terrain = cfg.scene.terrain
    if terrain is not None and terrain.terrain_generator is not None:
        terrain.terrain_generator.seed = UNSEEN_GROUND + sizes.seeds[0]
    cfg.terrain_columns = sizes.terrain_columns


@requires_model_fields(
    "body_mass", "body_inertia", "geom_friction", recompute=RecomputeLevel.set_const
)
def _apply_conditions(
    env: AmpVaeEnv,
    env_ids: torch.Tensor,
    *,
    load: torch.Tensor | None,
    boom_length: torch.Tensor | None,
    friction: torch.Tensor | None,
) -> None:
    """Put the scenario's load [kg], boom [m] and friction in place of those drawn.

    Args:
        env: The environment.
        env_ids: Environments that begin anew.
        load: Shape (num_envs,); NaN: as drawn. None before there is an arena, as are the others.
        boom_length: The same for the boom.
        friction: The same for the feet.
    """
    if load is None or boom_length is None or friction is None:
        return
    feet = env.index.foot_geoms_global
    drawn, wanted = env.sim.model.geom_friction[env_ids[:, None], feet, 0], friction[env_ids, None]
    env.sim.model.geom_friction[env_ids[:, None], feet, 0] = torch.where(
        wanted.isnan(), drawn, wanted
    )
    if env.cfg.robot.payload is None:
        return
    drawn, wanted = events.get_load(env)[env_ids], load[env_ids]
    events.set_load(env, env_ids, torch.where(wanted.isnan(), drawn, wanted))
    joints = env.index.boom_joints
    if not len(joints):
        return
    address = env.robot.indexing.joint_q_adr[joints]
    angle, drawn = env.robot.data.data.qpos[env_ids[:, None], address].unbind(dim=-1)
    wanted = boom_length[env_ids]
    position = torch.stack((angle, torch.where(wanted.isnan(), drawn, wanted)), dim=-1)
    events.hold_joints(env, env_ids, joints, position)


@dataclass(kw_only=True)
class _ScenarioCommandCfg(TerrainVelocityCommandCfg):
    """Commands of a scenario."""

    def build(self, env: AmpVaeEnv) -> _ScenarioCommand:  # type: ignore[override]
        """Build the term."""
        return _ScenarioCommand(self, env)


class _ScenarioCommand(TerrainVelocityCommand):
    """Holds the components that the scenario fixes; the others are as drawn.

    Attributes:
        fixed: (vx, vy, yaw rate) [m/s, m/s, rad/s]; NaN: drawn. Shape (num_envs, 3).
        heading: Direction to steer to in place of a yaw rate [rad]; NaN: none. Shape (num_envs,).
    """

    def __init__(self, cfg: TerrainVelocityCommandCfg, env: AmpVaeEnv) -> None:
        super().__init__(cfg, env)
        self.fixed = torch.full_like(self.command, torch.nan)
        self.heading = torch.full_like(self.command[:, 0], torch.nan)

    def _update_command(self, env_ids: torch.Tensor | None) -> None:
        super()._update_command(env_ids)
        self.command.copy_(torch.where(self.fixed.isnan(), self.command, self.fixed))
        limit = MAX_COMMAND[2]
        error = wrap_to_pi(self.heading - self._env.robot_heading())
        toward = (STEERING_GAIN * error).clamp(-limit, limit)
        yaw = torch.where(self.heading.isnan(), self.command[:, 2], toward)
        self.command[:, 2] = yaw
