"""From what the user says about a checkpoint to a policy in an environment."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from rl_sim_env.cli.train import LOG_ROOT
from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.learning.checkpoint import Checkpoint, resolve_checkpoint
from rl_sim_env.learning.policy import AmpVaePolicy
from rl_sim_env.tasks import family_ids, find_task

DEFAULT_TASK = "Rl-Sim-Env-AmpVae-Grq20-V2d3-v0"
"""Task of programs that look for a policy where none is named."""

SHIPPED = Path(__file__).parents[4] / "policies" / "grq20_v2d3"
"""The trained policy that comes with the checkout."""


class PolicyOptions(Protocol):
    """Options that say which policy is meant."""

    task: str
    checkpoint: str | None
    load_run: str | None
    experiment_name: str | None


def find_checkpoint(options: PolicyOptions) -> Path:
    """Find the checkpoint's file; by default the newest of the task's experiment.

    Where nothing was trained yet and nothing is asked for, it is the policy of the checkout.

    Raises:
        UserError: There is no such task or file.
    """
    experiment = options.experiment_name or find_task(options.task).runner_cfg().experiment_name
    root = LOG_ROOT / experiment
    is_asked = options.checkpoint or options.load_run or options.experiment_name
    if not is_asked and not root.is_dir() and SHIPPED.is_dir():
        print(f"nothing trained in {root} yet: taking the policy in {SHIPPED}", flush=True)
        root = SHIPPED
    return resolve_checkpoint(options.checkpoint, root=root, load_run=options.load_run)


def build_policy(
    checkpoint: Checkpoint, path: Path, task_id: str, vec_env: AmpVaeVecEnv
) -> AmpVaePolicy:
    """Rebuild the policy of a checkpoint for an environment, on its device.

    Args:
        checkpoint: The checkpoint.
        path: Where it was read from, for messages.
        task_id: Task of the environment.
        vec_env: The environment.

    Raises:
        UserError: It was trained on another family of tasks, on other observations, or with
            settings that this program does not know.
    """
    layout = vec_env.observation_layout
    checkpoint.require(path, tasks=family_ids(find_task(task_id).family), layout=layout)
    return AmpVaePolicy.from_saved(
        checkpoint.algorithm,
        layout,
        vec_env.num_actions,
        checkpoint.runner_cfg(path),
        str(vec_env.device),
    )
