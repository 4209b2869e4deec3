"""Training from the command line."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import torch

from rl_sim_env.cli.options import (
    LOG_ROOT,
    ExperimentOptions,
    RobotOptions,
    TaskOptions,
    tell_differences,
)
from rl_sim_env.cli.program import check_counts, quiet, run_program
from rl_sim_env.configuration import to_plain
from rl_sim_env.envs import AmpVaeEnvCfg
from rl_sim_env.errors import UserError
from rl_sim_env.evaluation import evaluate_walking, evaluation_env_cfg
from rl_sim_env.evaluation.walking_metrics import print_metrics
from rl_sim_env.experiment import (
    EnvOptions,
    EnvSetup,
    TrainerOptions,
    Training,
    build_trainer,
    build_vec_env,
    configure_env,
    configure_trainer,
    split_settings,
)
from rl_sim_env.learning.checkpoint import Checkpoint, resolve_checkpoint
from rl_sim_env.learning.config import AmpVaeRunnerCfg
from rl_sim_env.learning.distributed import Distributed
from rl_sim_env.learning.run_folder import make_run_folder, remove_leftovers
from rl_sim_env.learning.runner import AmpVaeRunner
from rl_sim_env.tasks import family_ids, find_task

EVALUATION_ROBOTS = 128
EVALUATION_SECONDS = 20.0
DRAWN = -1
"""Seed that stands for one that is drawn."""
OF_A_HOST = {"--device", "--mjcf", "--motions", "--checkpoint", "--rescue_dir"}
"""Options that may differ between the hosts of a run."""


@dataclass(kw_only=True)
class TrainOptions(TaskOptions, RobotOptions, ExperimentOptions):
    """Train a policy."""

    num_envs: int | None = None
    """Robots per process; default: the task's own number."""

    seed: int | None = None
    """Seed of all random numbers; -1 draws one."""

    max_iterations: int | None = None
    """Iterations to train."""

    max_minutes: float | None = None
    """Wall-clock limit [min]."""

    distributed: bool = False
    """One of several processes that torchrun started."""

    headless: bool = False
    """Accepted for the commands people have; training never opens a window."""

    run_name: str = ""
    """Appended to the time stamp that names the run's folder."""

    resume: bool = False
    """Continue the newest run, or the one that load_run and checkpoint name."""

    logger: Literal["tensorboard", "wandb"] | None = None
    """Where the curves go."""

    log_project_name: str | None = None
    """Project name for W&B."""

    motions: tuple[str, ...] | None = None
    """Motion clips to learn from: files, folders or patterns; default: generated clips."""

    evaluate: bool = False
    """End with a short evaluation."""

    rescue_dir: Path | None = None
    """Where checkpoints go that the run's folder does not take, because its disk is full or gone;
    default: the system's temporary folder."""

    export_on_save: bool = False
    """Export each saved checkpoint to ONNX, below exported/ in the run's folder; each takes a few
    seconds of the training time."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the training program."""
    run_program(TrainOptions, train, argv, prog="rl-sim-env train")


def train(options: TrainOptions) -> None:
    """Train as the options say.

    Raises:
        UserError: Something in the options or the surroundings is wrong.
    """
    task = find_task(options.task)
    check_counts(num_envs=options.num_envs)
    if options.rescue_dir is not None:
        _make_rescue_dir(options.rescue_dir)
    env_settings, agent_settings = split_settings(options.settings)
    with Distributed.launch(distributed=options.distributed, device=options.device) as processes:
        processes.require_same(**_options_of_the_run(options))
        if options.seed == DRAWN:
            drawn = processes.broadcast(int.from_bytes(os.urandom(4), "little"))
            options = replace(options, seed=drawn)
        trainer = _trainer_options(options, agent_settings)
        cfg, differences = configure_trainer(trainer)
        path, resumed, training = None, None, None
        noted = processes.noted_run()
        if noted or options.resume or options.load_run or options.checkpoint:
            root = LOG_ROOT / cfg.experiment_name
            # Where torchrun has started this anew, what the command says is behind us.
            path = (
                resolve_checkpoint(root=noted)
                if noted
                else resolve_checkpoint(options.checkpoint, root=root, load_run=options.load_run)
            )
            resumed = Checkpoint.load(path)
            if processes.is_main:
                print(f"continuing {path}: iteration {resumed.iteration}", flush=True)
                remove_leftovers(path.parent)
            training = Training.of(resumed, path, options.task)
            cfg, differences = configure_trainer(trainer, resumed)
        setup = configure_env(
            EnvOptions(
                task=options.task,
                device=processes.device,
                arguments=options.task_arguments(),
                training=training,
                adapt=lambda env_cfg: _take_motions(env_cfg, cfg),
                num_envs=options.num_envs,
                seed=processes.seed_all(cfg.seed),
                settings=env_settings,
            )
        )
        if processes.is_main:
            tell_differences((*setup.differences, *differences))
        torch.set_float32_matmul_precision("high")
        with quiet():
            env = build_vec_env(setup)
        runner = build_trainer(
            setup,
            env,
            cfg,
            processes=processes,
            on_save=_export_or_warn if options.export_on_save else None,
        )
        runner.rescue_dir = options.rescue_dir
        if path is not None:
            runner.load(path, tasks=family_ids(task.family))
        iterations_left = cfg.max_iterations - (runner.current_learning_iteration + 1)
        runner.require_iterations(iterations_left)
        # Only now, when nothing is left to be refused: no run, no folder.
        folder = (
            make_run_folder(LOG_ROOT / cfg.experiment_name, cfg.run_name)
            if processes.is_main
            else None
        )
        runner.log_dir = processes.broadcast(folder)
        runner.learn(iterations_left)
        env.close()
        if options.evaluate and processes.is_main:
            evaluate(runner, setup)


def evaluate(runner: AmpVaeRunner, setup: EnvSetup) -> None:
    """Evaluate the trained policy for a short while and print the figures.

    Args:
        runner: The trainer.
        setup: What its environment was built of.
    """
    training = Training(
        task=setup.task,
        env_cfg=to_plain(setup.cfg, classes=True),
        arguments=setup.arguments,
    )
    evaluation = configure_env(
        EnvOptions(
            task=setup.task,
            device=setup.device,
            training=training,
            adapt=evaluation_env_cfg,
            num_envs=EVALUATION_ROBOTS,
            seed=runner.cfg.seed,
        )
    )
    with quiet():
        env = build_vec_env(evaluation)
    policy = runner.alg.get_inference_policy()
    print_metrics(evaluate_walking(env, policy, seconds=EVALUATION_SECONDS))
    env.close()


def _take_motions(env_cfg: AmpVaeEnvCfg, cfg: AmpVaeRunnerCfg) -> None:
    """Let episodes begin in the clips that the trainer learns from."""
    term = env_cfg.events.get("motion")
    if term is not None:
        term.params["motion_paths"] = cfg.amp.motion_paths


def _export_or_warn(checkpoint_path: Path) -> None:
    """Export a checkpoint; whatever the exporter trips over, training goes on."""
    # Only here: the exporter's libraries would make every training start later.
    from rl_sim_env.deploy.onnx_export import export_folder, export_policy

    try:
        export_policy(checkpoint_path, export_folder(checkpoint_path))
    except Exception as error:
        reason = str(error).partition("\n")[0] or repr(error)
        with contextlib.suppress(OSError):
            print(
                f"warning: {checkpoint_path}: not exported: {reason}", file=sys.stderr, flush=True
            )


def _make_rescue_dir(folder: Path) -> None:
    """Make the folder now: later would be too late to hear that it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"--rescue_dir {folder}: cannot be made ({error.strerror}); give a folder that can be "
            "written"
        ) from error


def _options_of_the_run(options: TrainOptions) -> dict[str, Any]:
    """Options that all processes must agree on: all but those that name places on a host."""
    named = {f"--{field.name}": getattr(options, field.name) for field in fields(options)}
    return {name: value for name, value in named.items() if name not in OF_A_HOST}


def _trainer_options(options: TrainOptions, settings: Sequence[str]) -> TrainerOptions:
    return TrainerOptions(
        task=options.task,
        given={
            "seed": options.seed,
            "max_iterations": options.max_iterations,
            "max_minutes": options.max_minutes,
            "experiment_name": options.experiment_name,
            "run_name": options.run_name,
            "logger": options.logger,
            "log_project_name": options.log_project_name,
        },
        motion_paths=options.motions,
        settings=settings,
    )
