"""Training from the command line."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch

from rl_sim_env.cli.options import (
    DEFAULT_TASK,
    LOG_ROOT,
    choose_task,
    relative,
    tell_differences,
    tell_other_task,
)
from rl_sim_env.cli.program import quiet, run_program
from rl_sim_env.cli.train_options import DRAWN, TrainOptions
from rl_sim_env.cli.training_viewer import TrainingViewer
from rl_sim_env.cli.training_words import tell_plan, tell_what_next
from rl_sim_env.configuration import to_plain
from rl_sim_env.continuity import is_same_environment, require_same_meaning
from rl_sim_env.envs import AmpVaeEnvCfg
from rl_sim_env.errors import UserError, found_in
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
    grows,
    split_settings,
)
from rl_sim_env.learning.algorithm import require_trainer
from rl_sim_env.learning.checkpoint import Checkpoint, resolve_checkpoint
from rl_sim_env.learning.config import AmpVaeRunnerCfg
from rl_sim_env.learning.distributed import Distributed
from rl_sim_env.learning.run_folder import make_run_folder, remove_leftovers
from rl_sim_env.learning.runner import AmpVaeRunner
from rl_sim_env.tasks import beginnings, family_ids, find_task

EVALUATION_ROBOTS = 128
EVALUATION_SECONDS = 20.0
OF_A_HOST = {"--device", "--mjcf", "--motions", "--checkpoint", "--rescue_dir"}
"""Options that may differ between the hosts of a run."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the training program."""
    run_program(TrainOptions, train, argv, prog="rl-sim-env train")


def train(options: TrainOptions) -> None:
    """Train as the options say.

    Raises:
        UserError: Something in the options or the surroundings is wrong.
    """
    if options.rescue_dir is not None:
        _make_rescue_dir(options.rescue_dir)
    env_settings, agent_settings = split_settings(options.settings)
    with Distributed.launch(distributed=options.distributed, device=options.device) as processes:
        processes.require_same(**_options_of_the_run(options))
        if options.seed == DRAWN:
            drawn = processes.broadcast(int.from_bytes(os.urandom(4), "little"))
            options = replace(options, seed=drawn)
        noted = processes.broadcast(processes.noted_run())
        if noted:
            # Where torchrun has started this anew, what the command says is behind us.
            options = replace(options, finetune=None)
        trainer = trainer_options(options, agent_settings)
        cfg, differences = configure_trainer(trainer)
        # A file server may show one host what it does not show another yet.
        path = processes.decided_by_main(
            lambda: resolve_checkpoint(root=noted) if noted else _starting_point(options, cfg)
        )
        processes.require_seen(path)
        start, training, is_same = None, None, True
        if path is not None:
            start = Checkpoint.load(path)
            trainer = replace(trainer, task=choose_task(options.task, start.task, path))
            training = Training.of(start, path, trainer.task, finetune=bool(options.finetune))
            # Mistakes of the command line have been told above.
            with found_in(path):
                if not options.finetune:
                    require_trainer(start.algorithm)
                cfg, differences = configure_trainer(trainer, start)
        setup = configure_env(
            EnvOptions(
                task=trainer.task,
                device=processes.device,
                arguments=options.task_arguments(),
                training=training,
                adapt=lambda env_cfg: _take_motions(env_cfg, cfg),
                num_envs=options.num_envs,
                seed=processes.seed_all(cfg.seed),
                settings=env_settings,
            )
        )
        if start is not None and training is not None and not options.finetune:
            env_cfgs = (training.env_cfg, to_plain(setup.cfg, classes=True))
            is_same = training.task == setup.task and is_same_environment(*env_cfgs)
            as_trained, _ = configure_trainer(TrainerOptions(task=trainer.task), start)
            require_same_meaning(str(path), env=env_cfgs, agent=(as_trained, cfg))
        if processes.is_main:
            tell_differences((*setup.differences, *differences))
            tell_plan(setup, cfg, processes.world_size)
        torch.set_float32_matmul_precision("high")
        with quiet():
            env = build_vec_env(setup)
        takers: list[Callable[[Path], None]] = [_export_or_warn] if options.export_on_save else []

        def on_save(checkpoint: Path) -> None:
            for take in takers:
                take(checkpoint)

        runner = build_trainer(setup, env, cfg, processes=processes, on_save=on_save)
        runner.rescue_dir = options.rescue_dir
        if start is not None and path is not None:
            task = find_task(trainer.task)
            if options.finetune:
                runner.load_policy(path, tasks=beginnings(task))
                if runner.alg.what_is_new and processes.is_main:
                    print(f"the policy has grown; {runner.alg.what_is_new}")
                # Commands as far as its training got.
                with found_in(path):
                    env.unwrapped.velocity_command.load_training_state(start.command_state())
            else:
                runner.load(path, tasks=family_ids(task.family), episodes=is_same)
        iterations_left = cfg.max_iterations - (runner.current_learning_iteration + 1)
        runner.require_iterations(iterations_left)
        # Only now, when nothing is left to be refused: no run, no folder.
        if start is not None and path is not None and processes.is_main:
            _tell_beginning(options, trainer.task, start, path)
        folder = (
            make_run_folder(LOG_ROOT / cfg.experiment_name, cfg.run_name)
            if processes.is_main
            else None
        )
        runner.log_dir = processes.broadcast(folder)
        if folder is not None:
            print(f"logs in {folder} (tensorboard --logdir {relative(folder.parent)})", flush=True)
        with ExitStack() as watched:
            if options.viewer and processes.is_main:
                takers.append(watched.enter_context(closing(TrainingViewer())).take)
            try:
                runner.learn(iterations_left)
            except SystemExit:
                if processes.is_main:
                    tell_what_next(runner.last_saved)
                raise
        env.close()
        if processes.is_main:
            try:
                if options.evaluate:
                    evaluate(runner, setup)
            finally:
                # Who is tired of the evaluation has a policy all the same.
                tell_what_next(runner.last_saved)


def _tell_beginning(options: TrainOptions, task: str, start: Checkpoint, path: Path) -> None:
    """Say what training goes on from, and tidy up there."""
    what = "fine-tuning" if options.finetune else "continuing"
    # As the console counts, from 1.
    print(f"{what} {path}: after iteration {start.iteration + 1}", flush=True)
    # A policy that grows has to be told its task: without, it would go on as it was.
    if not (options.finetune and grows(task, start)):
        tell_other_task(task, start.task)
    remove_leftovers(path.parent)


def _starting_point(options: TrainOptions, cfg: AmpVaeRunnerCfg) -> Path | None:
    """Checkpoint that training goes on from, or whose policy it begins with."""
    if not options.looks_alone:
        options.require_policy()
        options.require_whole_policy()
    root = LOG_ROOT / cfg.experiment_name
    if options.finetune:
        return resolve_checkpoint(options.finetune, root=root)
    if options.is_asked:
        return resolve_checkpoint(options.checkpoint, root=root, load_run=options.load_run)
    return None


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
    print(f"evaluating {EVALUATION_ROBOTS} robots for {EVALUATION_SECONDS:g} s", flush=True)
    with quiet():
        env = build_vec_env(evaluation)
    policy = runner.alg.get_inference_policy()
    metrics = evaluate_walking(env, policy, seconds=EVALUATION_SECONDS)
    print_metrics(metrics, policy.targets.declared)
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


def trainer_options(options: TrainOptions, settings: Sequence[str]) -> TrainerOptions:
    """What training's options ask of a trainer.

    Args:
        options: The options.
        settings: Those of their settings that are of the trainer.
    """
    return TrainerOptions(
        task=options.task or DEFAULT_TASK,
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
        finetune=bool(options.finetune),
    )
