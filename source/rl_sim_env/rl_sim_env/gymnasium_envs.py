"""What ``gymnasium.make`` and ``gymnasium.make_vec`` call with the id of a task."""

from __future__ import annotations

import contextlib
import io
from typing import Any

from rl_sim_env.envs import AmpVaeEnv, AmpVaeEnvCfg, AmpVaeGymEnv, AmpVaeSingleGymEnv
from rl_sim_env.experiment import EnvOptions, build_env, configure_env
from rl_sim_env.learning.distributed import resolve_device


def make_vec_env(
    task_id: str,
    num_envs: int,
    *,
    device: str | None = None,
    seed: int | None = None,
    render_mode: str | None = None,
    numpy: bool = False,
    **arguments: Any,
) -> AmpVaeGymEnv:
    """Environment of a task with many robots: what ``gymnasium.make_vec`` calls.

    Args:
        task_id: Id of the task.
        num_envs: Number of robots.
        device: ``cpu`` or ``cuda:N``; CUDA where there is any, if left out.
        seed: Seed of the terrain's and the robots' randomness; a random one if left out.
        render_mode: ``rgb_array`` or None.
        numpy: Whether it gives NumPy arrays instead of torch tensors on the device.
        **arguments: Arguments of the task's configuration, such as ``mjcf_path`` or ``arm``.

    Raises:
        UserError: There is no such task or device, or ``num_envs`` is not positive.
    """
    options = EnvOptions(
        task=task_id,
        device=resolve_device(device),
        arguments=arguments,
        num_envs=num_envs,
        seed=seed,
    )
    return AmpVaeGymEnv(_build(options, render_mode), numpy=numpy)


def make_env(
    task_id: str,
    *,
    device: str = "cpu",
    seed: int | None = None,
    render_mode: str | None = None,
    **arguments: Any,
) -> AmpVaeSingleGymEnv:
    """Environment of a task with one robot, in NumPy: what ``gymnasium.make`` calls.

    One robot is for trying things out; to train, take :func:`make_vec_env`.

    Args:
        task_id: Id of the task.
        device: ``cpu``, which is faster for one robot, or ``cuda:N``.
        seed: Seed of the terrain's and the robot's randomness; a random one if left out.
        render_mode: ``rgb_array`` or None.
        **arguments: Arguments of the task's configuration, such as ``mjcf_path`` or ``arm``.

    Raises:
        UserError: There is no such task or device.
    """

    def all_groups_at_the_end(cfg: AmpVaeEnvCfg) -> None:
        cfg.terminal_groups = tuple(cfg.observations)

    options = EnvOptions(
        task=task_id,
        device=resolve_device(device),
        arguments=arguments,
        adapt=all_groups_at_the_end,
        num_envs=1,
        seed=seed,
    )
    return AmpVaeSingleGymEnv(AmpVaeGymEnv(_build(options, render_mode), numpy=True))


def _build(options: EnvOptions, render_mode: str | None) -> AmpVaeEnv:
    setup = configure_env(options)
    # mjlab prints tables of its managers.
    with contextlib.redirect_stdout(io.StringIO()):
        return build_env(setup, render_mode)
