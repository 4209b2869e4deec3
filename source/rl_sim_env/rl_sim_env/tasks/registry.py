"""The tasks by id, for the command line and for gymnasium."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium

from rl_sim_env.envs import AmpVaeEnv, AmpVaeEnvCfg, AmpVaeGymEnv
from rl_sim_env.errors import UserError, known_names
from rl_sim_env.learning.config import AmpVaeRunnerCfg
from rl_sim_env.learning.distributed import resolve_device
from rl_sim_env.tasks.grq20_v2d3 import amp_vae_env_cfg, amp_vae_runner_cfg


@dataclass(kw_only=True, frozen=True)
class Task:
    """A task: how to make its environment and its trainer."""

    family: str
    """Tasks of one family share robot and observation layout, so that their checkpoints fit."""

    env_cfg: Callable[..., AmpVaeEnvCfg]
    """Makes a fresh environment configuration; takes ``mjcf_path`` and ``arm``."""

    runner_cfg: Callable[[], AmpVaeRunnerCfg]
    """Makes a fresh trainer configuration."""

    purpose: str
    """What the task is for, in a few words."""

    shows_motions: bool = False
    """Whether playing it shows the motion clips instead of a policy."""


_FAMILY = "Rl-Sim-Env-AmpVae-Grq20-V2d3"

TASKS: dict[str, Task] = {
    f"{_FAMILY}-v0": Task(
        family=_FAMILY,
        env_cfg=amp_vae_env_cfg,
        runner_cfg=amp_vae_runner_cfg,
        purpose="training on seven kinds of terrain with 0 to 6 kg",
    ),
    f"{_FAMILY}-Flat-v0": Task(
        family=_FAMILY,
        env_cfg=partial(amp_vae_env_cfg, terrain="flat"),
        runner_cfg=partial(amp_vae_runner_cfg, terrain="flat"),
        purpose="training on a plane, sized for a CPU",
    ),
    f"{_FAMILY}-Play-v0": Task(
        family=_FAMILY,
        env_cfg=partial(amp_vae_env_cfg, play=True),
        runner_cfg=amp_vae_runner_cfg,
        purpose="watching on all terrains with 4 to 6 kg",
    ),
    f"{_FAMILY}-Flat-Play-v0": Task(
        family=_FAMILY,
        env_cfg=partial(amp_vae_env_cfg, terrain="flat", play=True),
        runner_cfg=partial(amp_vae_runner_cfg, terrain="flat"),
        purpose="watching on a plane with 4 to 6 kg",
    ),
    f"{_FAMILY}-ReplayAmpData-v0": Task(
        family=_FAMILY,
        env_cfg=partial(amp_vae_env_cfg, terrain="flat", play=True),
        runner_cfg=partial(amp_vae_runner_cfg, terrain="flat"),
        purpose="watching the motion clips that AMP learns from",
        shows_motions=True,
    ),
}


def find_task(task_id: str) -> Task:
    """Look a task up.

    Raises:
        UserError: There is no such task; the message names the nearest.
    """
    if task_id in TASKS:
        return TASKS[task_id]
    raise UserError(f"unknown task '{task_id}'; {known_names(task_id, TASKS, cutoff=0.5)}")


def family_ids(family: str) -> tuple[str, ...]:
    """Ids of the tasks of one family, whose checkpoints fit each other."""
    return tuple(task_id for task_id, task in TASKS.items() if task.family == family)


def register_gymnasium_tasks() -> None:
    """Make the tasks known to ``gymnasium.make_vec``; harmless when repeated."""
    for task_id in TASKS:
        if task_id not in gymnasium.registry:
            gymnasium.register(
                id=task_id,
                vector_entry_point=f"{__name__}:{make_gym_env.__name__}",
                kwargs={"task_id": task_id},
            )


def make_env_cfg(task_id: str, **overrides: Any) -> AmpVaeEnvCfg:
    """Environment configuration of a task.

    Args:
        task_id: Id of the task.
        **overrides: Arguments of the task's configuration, such as ``mjcf_path`` or ``arm``.

    Raises:
        UserError: There is no such task.
    """
    return find_task(task_id).env_cfg(**overrides)


def make_gym_env(
    task_id: str,
    num_envs: int,
    *,
    device: str | None = None,
    seed: int | None = None,
    render_mode: str | None = None,
    **overrides: Any,
) -> AmpVaeGymEnv:
    """Environment of a task for gymnasium: what ``gymnasium.make_vec`` calls.

    Args:
        task_id: Id of the task.
        num_envs: Number of robots.
        device: ``cpu`` or ``cuda:N``; CUDA where there is any, if left out.
        seed: Seed of the terrain's and the robots' randomness; a random one if left out.
        render_mode: ``rgb_array`` or None.
        **overrides: Arguments of the task's configuration, such as ``mjcf_path`` or ``arm``.

    Raises:
        UserError: There is no such task or device, or ``num_envs`` is not positive.
    """
    cfg = make_env_cfg(task_id, **overrides)
    cfg.scene.num_envs = num_envs
    cfg.seed = seed
    return AmpVaeGymEnv(AmpVaeEnv(cfg, resolve_device(device), render_mode))
