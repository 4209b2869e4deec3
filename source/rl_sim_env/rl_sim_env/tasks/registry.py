"""The tasks by id, for the command line and for gymnasium."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import gymnasium

from rl_sim_env.envs import AmpVaeEnvCfg
from rl_sim_env.errors import UserError, known_names
from rl_sim_env.learning.config import AmpVaeRunnerCfg
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
                vector_entry_point="rl_sim_env.experiment:make_gym_env",
                kwargs={"task_id": task_id},
            )
