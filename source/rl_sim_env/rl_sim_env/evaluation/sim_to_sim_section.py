"""How an exported policy walks in plain MuJoCo, as a section of the report."""

from __future__ import annotations

import itertools
import math
import multiprocessing
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rl_sim_env.configuration import to_plain
from rl_sim_env.deploy import open_session
from rl_sim_env.deploy.drawn_facts import drawn_facts
from rl_sim_env.deploy.metadata import Drawn
from rl_sim_env.deploy.mujoco_robot import GROUNDS, SOLVER_ITERATIONS, TIME_STEP
from rl_sim_env.deploy.sim_to_sim import (
    COMMAND_PERIOD,
    COMMAND_RANGE,
    FRICTION,
    Command,
    SensorNoise,
    SimToSimResult,
    rollout,
)
from rl_sim_env.errors import Notice
from rl_sim_env.evaluation.report import Column, Figure, Row, Section, Table
from rl_sim_env.mdp.hardware_sensors_cfg import SensorModel
from rl_sim_env.robots import Boom, Robot, load_model

if TYPE_CHECKING:
    from rl_sim_env.evaluation.arena import Arena

CLIMB: Command = (0.5, 0.0, 0.0)
"""Command on slope and stairs [m/s, m/s, rad/s]."""

MAPS_UNTIL = 2.0
"""When a policy that reads maps of the ground loses them for good, in rows of their own [s]."""

_DRAWN = (
    "with ideal sensors drives rub, and signals are late, as in the middle of training; as on "
    "hardware, all of it is drawn as training draws it"
)
"""Rows of both kinds of sensors share a table, whose words are those of whichever came first."""

_FIGURES: tuple[tuple[Column, Callable[[SimToSimResult], float]], ...] = (
    (Column(title="velocity error", unit="m/s", decimals=3), lambda of: of.velocity_error),
    (Column(title="yaw rate error", unit="rad/s", decimals=3), lambda of: of.yaw_rate_error),
    (Column(title="falls", unit="%", decimals=0), lambda of: 100.0 * of.fell),
    (Column(title="velocity RMSE", unit="m/s", decimals=3), lambda of: of.velocity_rmse),
    (Column(title="mass RMSE", unit="kg"), lambda of: of.mass_rmse),
    (Column(title="CoM RMSE", unit="cm"), lambda of: 100.0 * of.com_rmse),
)


def drawn_in(arena: Arena) -> Drawn | None:
    """What lies between the policy and the legs of an arena's robots; None where sensors are ideal.

    Raises:
        UserError: The environment does not say.
    """
    if arena.sensors == "ideal":
        return None
    return drawn_facts(to_plain(arena.env.cfg, classes=True))


def sim_to_sim(
    policy_path: Path,
    robot: Robot,
    *,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    robots: int = 4,
    seconds: float = 20.0,
    loads: Sequence[float] = (0.0,),
    grounds: Sequence[str] = tuple(GROUNDS),
    drawn: Drawn | None = None,
) -> Section:
    """Let an exported policy walk in plain MuJoCo on all grounds with all loads.

    Walks are spread over the processor's cores, in processes of their own. A policy that reads maps
    of the ground walks twice as often: with them, and without from :data:`MAPS_UNTIL` on.

    Args:
        policy_path: ``policy.onnx`` as exported.
        robot: The robot that it drives.
        seeds: Seeds; the spread of every figure is over them.
        robots: Walks of each seed on each ground with each load.
        seconds: Length of a rollout [s].
        loads: Loads that it carries [kg].
        grounds: Names in :data:`rl_sim_env.deploy.mujoco_robot.GROUNDS`.
        drawn: What lies between policy and legs, drawn anew for each walk; None: sensors are ideal,
            and drives the middle ones of training.

    Raises:
        UserError: The policy or the model cannot be read or do not fit each other.
    """
    metadata = open_session(policy_path)[1]
    sights = {"": math.inf}
    if metadata.map is not None:
        sights[f", no maps after {MAPS_UNTIL:g} s"] = MAPS_UNTIL
    sensors: SensorModel = "ideal" if drawn is None else "hardware"
    noise = SensorNoise(drawn=drawn)
    boom = robot.payload if isinstance(robot.payload, Boom) else None
    mounting = f"a rigid boom of {boom.default_length:g} m, " if boom else ""
    method = (
        f"The exported file {policy_path.name} drives the robot in plain MuJoCo, outside the "
        f"trainer: time step {TIME_STEP * 1000:g} ms, implicitfast, elliptic cone, "
        f"{SOLVER_ITERATIONS} solver iterations, {mounting}drives "
        f"written anew, Gaussian sensor noise, friction {FRICTION[0]:g} to {FRICTION[1]:g}; "
        f"{_DRAWN}. On the "
        f"plane commands are drawn every {COMMAND_PERIOD:g} s within +-{COMMAND_RANGE:g} (m/s, "
        "m/s, rad/s), as for the trainer's tracking figures; slope and stairs are climbed at "
        f"{CLIMB[0]:g} m/s. Walks of {seconds:g} s end with a fall."
    )
    # Fresh processes: a copy of this one would hold its GPU and its threads.
    with ProcessPoolExecutor(
        mp_context=multiprocessing.get_context("spawn"),
        # What is to be said of the robot's model was said when the environment was built.
        initializer=warnings.simplefilter,
        initargs=("ignore", Notice),
    ) as pool:

        def begin(
            ground: str, load: float, maps_until: float, seed: int, robot_number: int
        ) -> Future[SimToSimResult]:
            return pool.submit(
                rollout,
                policy_path,
                model=partial(load_model, robot),
                ground=ground,
                load=load,
                boom_length=boom.default_length if boom else 0.0,
                command=None if ground == "flat" else CLIMB,
                seconds=seconds,
                seed=(seed, robot_number),
                sensors=sensors,
                noise=replace(noise, maps_until=maps_until),
            )

        # All begin before anybody waits for one.
        begun = {
            f"{ground}, {load:.3g} kg{sight}": [
                [begin(ground, load, until, seed, robot_number) for robot_number in range(robots)]
                for seed in seeds
            ]
            for (sight, until), ground, load in itertools.product(sights.items(), grounds, loads)
        }
        rows = tuple(
            _row(label, [[each.result() for each in rollouts] for rollouts in by_seed])
            for label, by_seed in begun.items()
        )
    table = Table(
        title="In plain MuJoCo",
        rows_title="ground and load",
        columns=tuple(column for column, _ in _FIGURES),
        rows=rows,
    )
    return Section(name="sim_to_sim", title="Outside the trainer", method=method, tables=(table,))


def _row(label: str, by_seed: Sequence[Sequence[SimToSimResult]]) -> Row:
    """Means over the rollouts of each seed, with their spread over seeds."""
    cells = (
        Figure.over_seeds(
            (sum(map(read, rollouts)) / len(rollouts) for rollouts in by_seed),
            robots=len(by_seed[0]),
        )
        for _, read in _FIGURES
    )
    return Row(label=label, cells=tuple(cells))
