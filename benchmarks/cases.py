"""What is measured: a task of this package and, beside it, one of mjlab's, both as they train."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import mjlab.tasks  # noqa: F401 (makes mjlab's tasks known)
from mjlab.envs import ManagerBasedRlEnv, ManagerBasedRlEnvCfg
from mjlab.tasks.registry import list_tasks, load_env_cfg

from profilers import MemoryMeter, Part, synchronize
from rl_sim_env.cli.options import TaskOptions
from rl_sim_env.cli.program import quiet
from rl_sim_env.envs import AmpVaeEnv, AmpVaeEnvCfg
from rl_sim_env.errors import UserError, known_names
from rl_sim_env.experiment import (
    EnvOptions,
    EnvSetup,
    TrainerOptions,
    configure_env,
    configure_trainer,
    split_settings,
)
from rl_sim_env.learning.config import AmpVaeRunnerCfg

NO_STOCK = "none"

STOCK_TASKS = {
    "generator": "Mjlab-Velocity-Rough-Unitree-Go1",
    "plane": "Mjlab-Velocity-Flat-Unitree-Go1",
}
"""mjlab's task on the same kind of ground."""

Built = TypeVar("Built")


@dataclass(kw_only=True)
class CaseOptions(TaskOptions):
    """What is measured, and where."""

    stock: str | None = None
    """Id of mjlab's task to measure interleaved with it, or none; default: its Go1 on the same kind
    of ground on a GPU, none on a CPU, where Warp takes minutes."""

    num_envs: int | None = None
    """Robots, the same number for both; default: the task's own."""

    seed: int = 0
    """Seed of all random numbers."""


def our_setup(options: CaseOptions, device: str) -> tuple[EnvSetup, AmpVaeRunnerCfg]:
    """Environment and trainer of the task, configured as training does.

    Raises:
        UserError: There is no such task or setting.
    """
    env_settings, agent_settings = split_settings(options.settings)
    runner_cfg, _ = configure_trainer(
        TrainerOptions(task=options.task, given={"seed": options.seed}, settings=agent_settings)
    )
    setup = configure_env(
        EnvOptions(
            task=options.task,
            device=device,
            num_envs=options.num_envs,
            seed=options.seed,
            settings=env_settings,
        )
    )
    return setup, runner_cfg


def stock_task(options: CaseOptions, env_cfg: AmpVaeEnvCfg, device: str) -> str | None:
    """Id of mjlab's task to measure beside the task; None for no such.

    Raises:
        UserError: mjlab has no such task.
    """
    if options.stock is None:
        assert env_cfg.scene.terrain is not None, "the task needs ground"
        return None if device == "cpu" else STOCK_TASKS[env_cfg.scene.terrain.terrain_type]
    if options.stock.lower() == NO_STOCK:
        return None
    if options.stock not in list_tasks():
        raise UserError(f"--stock {options.stock}; {known_names(options.stock, list_tasks())}")
    return options.stock


def stock_env_cfg(task_id: str, ours: AmpVaeEnvCfg) -> ManagerBasedRlEnvCfg:
    """Environment of one of mjlab's tasks, of as many robots and the same seed as ours."""
    env_cfg = load_env_cfg(task_id)
    env_cfg.scene.num_envs = ours.scene.num_envs
    env_cfg.seed = ours.seed
    return env_cfg


def build(
    name: str, make: Callable[[], Built], device: str, memory: MemoryMeter
) -> tuple[Built, float]:
    """Build something, and say so.

    Returns:
        What was built, and the time it took [s].
    """
    once = "" if device == "cpu" else "; the first time, kernels are compiled for minutes"
    print(f"building {name}{once}", flush=True)
    begin = time.perf_counter()
    with quiet(), memory:
        built = make()
        synchronize(device)
    return built, time.perf_counter() - begin


def step_parts(env: ManagerBasedRlEnv) -> tuple[Part, ...]:
    """The parts that a step is taken apart into."""
    written = "actions, write_data_to_sim"
    derived = "refresh" if isinstance(env, AmpVaeEnv) else "forward"
    return (
        Part("Simulation.step", env.sim, "step"),
        Part("Simulation.forward", env.sim, derived),
        Part("Simulation.sense", env.sim, "sense"),
        Part("Scene.update", env.scene, "update"),
        Part(written, env.action_manager, "process_action"),
        Part(written, env.action_manager, "apply_action"),
        Part(written, env.scene, "write_data_to_sim"),
        Part("TerminationManager.compute", env.termination_manager, "compute"),
        Part("RewardManager.compute", env.reward_manager, "compute"),
        Part("EventManager.apply", env.event_manager, "apply"),
        Part("_reset_idx", env, "_reset_idx"),
        Part("CommandManager.compute", env.command_manager, "compute"),
        Part("ObservationManager.compute", env.observation_manager, "compute"),
        # The observations of the state before resets.
        Part("ObservationManager.compute", env.observation_manager, "compute_group"),
    )


@contextmanager
def as_written(env: ManagerBasedRlEnv) -> Iterator[None]:
    """Let a step run as it is written, not from its CUDA graph, which has no parts."""
    if not isinstance(env, AmpVaeEnv):
        yield
        return
    graphed, env._run_step = env._run_step, env._step
    yield
    env._run_step = graphed


def interleaved_rounds(rounds: int, what: str) -> Iterator[int]:
    """Count the rounds in each of which all cases are measured, one after another, and say so."""
    for number in range(rounds):
        print(f"{what} {number + 1} of {rounds}", flush=True)
        yield number
