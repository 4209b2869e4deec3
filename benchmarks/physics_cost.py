"""What settings of physics cost, and what they change: ``--help`` lists the options."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cases import build
from env_step import MILLISECONDS, time_physics
from profilers import MemoryMeter
from record import leave_record, prepare_output
from rl_sim_env.cli.options import (
    EnvironmentOptions,
    PolicyOptions,
    find_policy,
    tell_differences,
)
from rl_sim_env.cli.program import check_counts, run_program
from rl_sim_env.errors import UserError, known_names
from rl_sim_env.evaluation.arena import Arena, Scenario, arena_env_cfg
from rl_sim_env.evaluation.gait_metrics import GaitMeter
from rl_sim_env.experiment import EnvOptions, Training, build_policy, build_vec_env, configure_env
from rl_sim_env.learning.checkpoint import Checkpoint
from rl_sim_env.learning.distributed import resolve_device
from rl_sim_env.mdp import observations
from rl_sim_env.tasks import make_env_cfg

AS_IT_IS = "as it is"

TERRAIN = "env.scene.terrain.terrain_generator.sub_terrains"

VARIANTS: dict[str, tuple[str, ...]] = {
    AS_IT_IS: (),
    "3 solver iterations": ("env.sim.mujoco.iterations=3",),
    "5 solver iterations": ("env.sim.mujoco.iterations=5",),
    "20 solver iterations": ("env.sim.mujoco.iterations=20",),
    "2 steps of 10 ms": ("env.sim.mujoco.timestep=0.01", "env.decimation=2"),
    "3 steps of 6.7 ms": (f"env.sim.mujoco.timestep={0.02 / 3}", "env.decimation=3"),
    "4 steps of 5 ms": ("env.sim.mujoco.timestep=0.005", "env.decimation=4"),
    "10 steps of 2 ms": ("env.sim.mujoco.timestep=0.002", "env.decimation=10"),
    "10 steps of line search": ("env.sim.mujoco.ls_iterations=10",),
    "elliptic cone": ("env.sim.mujoco.cone=elliptic",),
    "50 iterations of convex collision": ("env.sim.mujoco.ccd_iterations=50",),
    "convex contacts with height fields": ("env.sim.hfield_contacts=convex",),
    "every pair with the ground tested": ("env.sim.static_broadphase=pairs",),
    "room for twice the contacts": ("env.sim.nconmax=70", "env.sim.njmax=400"),
    "slopes in cells of 0.1 m": (
        f"{TERRAIN}.hf_pyramid_slope.horizontal_scale=0.1",
        f"{TERRAIN}.hf_pyramid_slope_inv.horizontal_scale=0.1",
    ),
    "blocks in cells of 0.05 m": (
        f"{TERRAIN}.boxes.horizontal_scale=0.05",
        f"{TERRAIN}.boxes.cell_width=0.45",
    ),
}
"""Settings by a name for them; those of the rough terrain make no sense for the flat preset."""

TIMED_STATES = 20
"""States from which physics is timed."""

STATE_PERIOD = 0.1
"""Time from one of these to the next [s]."""

MILLIMETRES = 1e3


@dataclass(kw_only=True)
class PhysicsCostOptions(EnvironmentOptions, PolicyOptions):
    """Let a policy walk under each variant of the physics settings, and time the physics."""

    variants: tuple[str, ...] = ()
    """Names of the variants; default: all that the task knows the settings of."""

    num_envs: int = 4096
    """Robots."""

    seconds: float = 20.0
    """Length of the walk [s]."""

    seed: int = 0
    """Seed of all random numbers."""

    output: Path = Path("physics_cost.json")
    """Where the record goes."""


def main(argv: Sequence[str] | None = None) -> None:
    run_program(PhysicsCostOptions, benchmark, argv)


def benchmark(options: PhysicsCostOptions) -> None:
    """Measure as the options say, print the table and write the record.

    Raises:
        UserError: There is no such task, policy or variant.
    """
    check_counts(num_envs=options.num_envs)
    for name in options.variants:
        if name not in VARIANTS:
            raise UserError(f"--variants '{name}'; {known_names(name, VARIANTS)}")
    prepare_output(options.output)
    device = resolve_device(options.device)
    path, task = find_policy(options)
    checkpoint = Checkpoint.load(path)
    terrain = make_env_cfg(task).scene.terrain
    is_rough = terrain is not None and terrain.terrain_generator is not None
    names = options.variants or tuple(
        name
        for name, settings in VARIANTS.items()
        if is_rough or not any(setting.startswith(TERRAIN) for setting in settings)
    )
    figures = {name: _measure(name, options, checkpoint, path, task, device) for name in names}
    leave_record(f"Physics of {task}", options, device, figures)


def _measure(
    name: str,
    options: PhysicsCostOptions,
    checkpoint: Checkpoint,
    path: Path,
    task: str,
    device: str,
) -> dict[str, Any]:
    setup = configure_env(
        EnvOptions(
            task=task,
            device=device,
            training=Training.of(checkpoint, path, task),
            adapt=arena_env_cfg,
            num_envs=options.num_envs,
            seed=options.seed,
            settings=(*VARIANTS[name], *options.settings),
        )
    )
    tell_differences(setup.differences)
    memory = MemoryMeter(device)
    vec_env, _ = build(name, lambda: build_vec_env(setup), device, memory)
    arena = Arena(vec_env, build_policy(checkpoint, path, task, vec_env))
    env = arena.env
    squared_errors: dict[str, torch.Tensor] = {}
    gait = GaitMeter(env)
    sums = torch.zeros(7, dtype=torch.double, device=device)
    times = []
    state_period = arena.num_steps(STATE_PERIOD)
    timed_from = arena.num_steps(options.seconds) - TIMED_STATES * state_period
    for number, step in enumerate(
        arena.rollout(Scenario(), seconds=options.seconds, seed=options.seed)
    ):
        seen = gait.sample(step.command)
        # Wrong by up to the height of an edge within a cell of the height map, as in all variants.
        depth = (-observations.foot_height(env)[: arena.num_robots]).clamp(min=0.0)
        of_step = (
            step.velocity_error.mean(),
            step.fell.float().mean(),
            seen["slip"].sum(),
            seen["stance"].sum(),
            (depth * seen["stance"]).sum(),
            seen["foot_seconds"].sum(),
            env.buried_feet.newly.float().mean(),
        )
        sums += torch.stack(of_step)
        for target, truth in step.truth.items():
            squared = (step.output.estimate[target] - truth).square().sum(dim=-1).mean()
            squared_errors[target] = squared_errors.get(target, 0.0) + squared
        if number >= timed_from and number % state_period == 0:
            times.append(time_physics(env)[0])
    vec_env.close()
    steps = arena.num_steps(options.seconds)
    error, falls, slip, stance, depth, foot_seconds, stuck = sums.tolist()
    return {
        "physics_ms": MILLISECONDS * statistics.median(times),
        "memory_gib": memory.gib,
        "velocity_error": error / steps,
        "falls_per_100_s": 100.0 * falls / (steps * arena.step_dt),
        "slip_m_per_s": slip / stance,
        "depth_mm": MILLIMETRES * depth / stance,
        "stuck_feet_per_minute": 60.0 * stuck / (steps * arena.step_dt),
        "duty_factor": stance / foot_seconds,
        **{
            f"{target}_rms": (squared.item() / steps) ** 0.5
            for target, squared in squared_errors.items()
        },
        "settings": " ".join(VARIANTS[name]),
    }


if __name__ == "__main__":
    main()
