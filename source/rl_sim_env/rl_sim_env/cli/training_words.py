"""What training's program says before it begins and after it ends."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

from rl_sim_env.cli.options import ROBOTS_OF_A_CORE, relative, tell_what_a_gpu_is_for
from rl_sim_env.experiment import EnvSetup
from rl_sim_env.hardware import device_name
from rl_sim_env.learning.config import AmpVaeRunnerCfg
from rl_sim_env.learning.strategies import PENALTIES


def tell_plan(setup: EnvSetup, cfg: AmpVaeRunnerCfg, num_processes: int) -> None:
    """Say what is trained, where, with how many robots and until when."""
    robots, is_cpu = setup.cfg.scene.num_envs, setup.device == "cpu"
    where = f"{device_name(setup.device)} ({setup.device})"
    if is_cpu:
        where = f"{os.cpu_count() or 1} CPU cores"
    if num_processes > 1:
        where = f"each of {num_processes} processes, the first on {where}"
    strategy = cfg.constraints.strategy
    limits = [f"{cfg.max_iterations:,} iterations"]
    if cfg.max_minutes is not None:
        limits.insert(0, f"{cfg.max_minutes:g} minutes")
    print(
        f"training {setup.task}: {robots:,} robots on {where}, until {' or '.join(limits)}, "
        f"seed {cfg.seed}" + (f", limits kept by {strategy}" if strategy != PENALTIES else ""),
        flush=True,
    )
    tell_what_a_gpu_is_for(
        setup,
        "an iteration will take minutes. On a CPU, take a plane (a task that ends in -Flat-v0) or "
        f"fewer robots (--num_envs {ROBOTS_OF_A_CORE})",
    )
    terrain = setup.cfg.scene.terrain
    ground = terrain.terrain_generator if terrain is not None else None
    families = len(ground.sub_terrains) if ground is not None else 1
    if robots * num_processes < families:
        print(
            f"note: {robots} robots do not stand on all {families} kinds of ground; what is "
            f"learned is for some of them; take more (--num_envs) or a plane (-Flat-v0)",
            flush=True,
        )


def tell_what_next(checkpoint: Path | None) -> None:
    """Say where the policy is, and the commands that take it further."""
    if checkpoint is None:
        return
    # Where the environment that it is installed in is not active, it is named by its path.
    name = "rl-sim-env"
    program = name if shutil.which(name) else relative(Path(sys.executable).with_name(name))
    path = shlex.quote(relative(checkpoint))
    print(
        f"\npolicy: {checkpoint}\n"
        f"  watch:    {program} play --checkpoint {path}\n"
        f"  measure:  {program} evaluate --checkpoint {path}\n"
        f"  export:   {program} export --checkpoint {path}\n"
        f"  curves:   {program} curves {shlex.quote(relative(checkpoint.parent))}",
        flush=True,
    )
