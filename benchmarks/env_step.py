"""Time of an environment step and of its parts; ``--help`` lists the options."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mjlab.envs import ManagerBasedRlEnv

from cases import (
    CaseOptions,
    as_written,
    build,
    interleaved_rounds,
    our_setup,
    step_parts,
    stock_env_cfg,
    stock_task,
)
from profilers import MemoryMeter, PartTimer, host_syncs, synchronize
from record import Figures, leave_record, prepare_output
from rl_sim_env.cli.program import check_counts, quiet, run_program
from rl_sim_env.experiment import build_env
from rl_sim_env.learning.distributed import resolve_device

ACTION_STD = 0.5
"""Standard deviation of the random actions: enough for robots to move and to fall."""

ROLLOUT_STEPS = 24
"""Steps in which waits of the host are counted: one rollout."""

PHYSICS_STATE = ("qpos", "qvel", "act", "qacc_warmstart")
"""Fields that a physics step changes and that the next one depends on."""

MILLISECONDS = 1e3


@dataclass(kw_only=True)
class EnvStepOptions(CaseOptions):
    """Measure an environment step, its parts, and physics alone from the same states."""

    steps: int = 100
    """Environment steps in a repeat."""

    repeats: int = 5
    """Repeats that count; one more before them warms up."""

    against: tuple[str, ...] = ()
    """Settings under which a second environment of the task is measured interleaved with it, as
    env.path=value, besides those of both."""

    output: Path = Path("env_step.json")
    """Where the record goes."""


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """Means over the steps of one repeat."""

    step_ms: float
    """A whole step, the device synchronised only at the ends of the repeat [ms]."""

    physics_ms: float
    """The physics steps of one step, nothing else in between [ms]."""

    physics_and_forward_ms: float
    """The same and one computation of the derived fields [ms]."""

    parts_ms: dict[str, float]
    """The parts of a step that is synchronised around each of them [ms]."""

    @property
    def instrumented_step_ms(self) -> float:
        """A step with a synchronisation around each part [ms]."""
        return sum(self.parts_ms.values())


class EnvStepCase:
    """An environment under random actions.

    Args:
        name: Name of the task.
        make: Makes the environment.
        device: Torch device.
        num_envs: Robots that actions are given to.
        steps: Environment steps in a repeat.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], ManagerBasedRlEnv],
        device: str,
        *,
        num_envs: int,
        steps: int,
    ) -> None:
        self._device = device
        self._memory = MemoryMeter(device)
        self._env, self._build_s = build(name, make, device, self._memory)
        with quiet(), self._memory:
            self._env.reset()
        # As in training: otherwise all episodes would run out of time together.
        ages = self._env.episode_length_buf
        ages[:] = torch.randint_like(ages, high=self._env.max_episode_length)
        self._actions_shape = (steps, num_envs, self._env.action_manager.total_action_dim)
        self._repeats: list[Repeat] = []

    @torch.no_grad()
    def repeat(self) -> None:
        """Run a repeat; the first one warms up: robots begin to move, kernels load."""
        with quiet(), self._memory:
            self._repeats.append(self._repeat())

    @torch.no_grad()
    def figures(self) -> Figures:
        """Medians over the repeats but the first; the parts are those of the one in the middle."""
        _, *repeats = self._repeats
        step_ms, physics_ms, both_ms = (
            statistics.median(getattr(repeat, name) for repeat in repeats)
            for name in ("step_ms", "physics_ms", "physics_and_forward_ms")
        )
        by_time = sorted(repeats, key=lambda repeat: repeat.instrumented_step_ms)
        middle = by_time[len(by_time) // 2]
        num_envs, cfg = self._actions_shape[1], self._env.cfg
        return {
            "num_envs": num_envs,
            "decimation": cfg.decimation,
            "physics_dt_s": cfg.sim.mujoco.timestep,
            "cone": cfg.sim.mujoco.cone,
            "build_s": self._build_s,
            "step_ms": step_ms,
            "env_steps_per_s": num_envs / step_ms * MILLISECONDS,
            "physics_ms": physics_ms,
            "physics_and_forward_ms": both_ms,
            "physics_per_step": physics_ms / step_ms,
            "physics_and_forward_per_step": both_ms / step_ms,
            "memory_gib": self._memory.gib,
            **self._host_syncs(),
            "instrumented_step_ms": middle.instrumented_step_ms,
            "parts_ms": middle.parts_ms,
            "repeats": [asdict(repeat) for repeat in repeats],
        }

    def _repeat(self) -> Repeat:
        step_s = self._time_steps()
        physics_s = physics_and_forward_s = 0.0
        timer = PartTimer(step_parts(self._env), self._device)
        actions = self._random_actions()
        for action in actions:
            one_s, other_s = time_physics(self._env)
            physics_s += one_s
            physics_and_forward_s += other_s
            with as_written(self._env), timer:
                self._env.step(action)
        to_ms = MILLISECONDS / len(actions)
        return Repeat(
            step_ms=step_s * to_ms,
            physics_ms=physics_s * to_ms,
            physics_and_forward_ms=physics_and_forward_s * to_ms,
            parts_ms={name: seconds * to_ms for name, seconds in timer.seconds.items()},
        )

    def _time_steps(self) -> float:
        """Time of a repeat's steps [s]."""
        actions = self._random_actions()
        synchronize(self._device)
        begin = time.perf_counter()
        for action in actions:
            self._env.step(action)
        synchronize(self._device)
        return time.perf_counter() - begin

    def _host_syncs(self) -> dict[str, Any]:
        """How often, and where, the host waits for the device in the steps of one rollout."""
        if self._device == "cpu":
            return {"host_syncs": None}
        actions = self._random_actions()

        def rollout() -> None:
            for step in range(ROLLOUT_STEPS):
                self._env.step(actions[step % len(actions)])

        places = host_syncs(rollout)
        return {"host_syncs": places.total(), "host_syncs_by_line": dict(places.most_common())}

    def _random_actions(self) -> torch.Tensor:
        return ACTION_STD * torch.randn(self._actions_shape, device=self._device)


def time_physics(env: ManagerBasedRlEnv) -> tuple[float, float]:
    """Time the physics of one step from the present state, which is put back; controls stay.

    Returns:
        Time of the physics steps, and of these and a forward [s].
    """
    sim, device = env.sim, env.device
    before = {name: getattr(sim.data, name).clone() for name in PHYSICS_STATE}
    synchronize(device)
    begin = time.perf_counter()
    for _ in range(env.cfg.decimation):
        sim.step()
    synchronize(device)
    stepped = time.perf_counter()
    sim.forward()
    synchronize(device)
    end = time.perf_counter()
    for name, value in before.items():
        getattr(sim.data, name)[:] = value
    sim.forward()
    return stepped - begin, end - begin


def main(argv: Sequence[str] | None = None) -> None:
    run_program(EnvStepOptions, benchmark, argv)


def benchmark(options: EnvStepOptions) -> None:
    """Measure as the options say, print the table and write the record."""
    check_counts(steps=options.steps, repeats=options.repeats)
    prepare_output(options.output)
    device = resolve_device(options.device)
    setup, runner_cfg = our_setup(options, device)
    stock = stock_task(options, setup.cfg, device)
    if device == "cpu":
        torch.set_num_threads(runner_cfg.rollout_threads)
    make: dict[str, Callable[[], ManagerBasedRlEnv]] = {options.task: partial(build_env, setup)}
    if options.against:
        other = replace(options, settings=(*options.settings, *options.against))
        name = " ".join((options.task, *options.against))
        make[name] = partial(build_env, our_setup(other, device)[0])
    if stock is not None:
        make[stock] = partial(ManagerBasedRlEnv, stock_env_cfg(stock, setup.cfg), device)
    sizes = {"num_envs": setup.cfg.scene.num_envs, "steps": options.steps}
    cases = {name: EnvStepCase(name, of, device, **sizes) for name, of in make.items()}
    for _ in interleaved_rounds(1 + options.repeats, "repeat"):
        for case in cases.values():
            case.repeat()
    figures = {name: case.figures() for name, case in cases.items()}
    leave_record("Environment step", options, device, figures)


if __name__ == "__main__":
    main()
