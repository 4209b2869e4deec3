"""Compiling a task's kernels ahead from the command line, for the image of a cluster, say."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rl_sim_env.cli.options import RobotOptions, TaskOptions, Unset, require_output
from rl_sim_env.cli.program import check_counts, quiet, run_program
from rl_sim_env.errors import UserError
from rl_sim_env.hardware import has_driver

NUM_STEPS = 5
"""Control steps to run: some by themselves, the one that is captured, and one replay."""

NO_GPU = (
    "no GPU to compile for: on CPUs physics is native MuJoCo, which has no kernels; run this on a "
    "machine with a GPU of the kind that will train, once, into a folder that all can read "
    "(--output)"
)


@dataclass(kw_only=True)
class CompileOptions(TaskOptions, RobotOptions):
    """Compile the kernels that training on a GPU launches, so that no first start waits for them.

    It needs a GPU of the kind that will train, for kernels are made for one architecture.
    """

    num_envs: Unset[int] = None
    """Robots; default: the task's own number."""

    output: Unset[Path] = None
    """Folder for the kernels, which WARP_CACHE_PATH names wherever they are used; default: where
    it points now, else Warp's own below ~/.cache."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(num_envs=self.num_envs)
        require_output(self.output, "the kernels")

    def check_early(self) -> None:
        """See :meth:`.Options.check_early`."""
        super().check_early()
        if not has_driver():
            raise UserError(NO_GPU)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the compiling program."""
    run_program(CompileOptions, compile_kernels, argv, prog="rl-sim-env compile")


def compile_kernels(options: CompileOptions) -> None:
    """Compile as the options say, and tell what was compiled and where it is.

    Raises:
        UserError: There is no GPU, or something in the options is wrong.
    """
    # Only here: these imports take seconds, and a slip in the options should be told at once.
    from rl_sim_env.experiment import EnvOptions, build_vec_env, configure_env
    from rl_sim_env.hardware import device_name
    from rl_sim_env.learning.distributed import resolve_device
    from rl_sim_env.simulation.kernels import compiled_modules, kernel_cache, use_kernel_cache

    device = resolve_device(options.device)
    if device == "cpu":
        raise UserError(NO_GPU)
    setup = configure_env(
        EnvOptions(
            task=options.task,
            device=device,
            arguments=options.task_arguments(),
            num_envs=options.num_envs,
            seed=0,
            settings=options.settings,
        )
    )
    if options.output is not None:
        use_kernel_cache(options.output)
    before = compiled_modules()
    begin = time.monotonic()
    with quiet():
        env = build_vec_env(setup)
        for _ in range(NUM_STEPS):
            env.step(env.get_observations()["actor_obs"].new_zeros(env.num_envs, env.num_actions))
        env.close()
    seconds = time.monotonic() - begin
    num_compiled = len(compiled_modules() - before)
    print(f"compiled {num_compiled} modules for {device_name(device)} in {seconds:.0f} s")
    cache = kernel_cache()
    size = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
    print(f"kernels: {cache}, {size / 2**20:.0f} MiB")
    print(f"to use them elsewhere: copy them and set WARP_CACHE_PATH={cache.parent}")
