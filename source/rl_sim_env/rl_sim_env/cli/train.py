"""Training from the command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro

from rl_sim_env.cli.overrides import apply_overrides
from rl_sim_env.cli.program import check_counts, quiet, run_program
from rl_sim_env.envs import AmpVaeEnv, AmpVaeVecEnv
from rl_sim_env.evaluation import evaluate_walking, evaluation_env_cfg
from rl_sim_env.evaluation.walking import print_reports
from rl_sim_env.learning.checkpoint import resolve_checkpoint
from rl_sim_env.learning.config import AmpVaeRunnerCfg
from rl_sim_env.learning.distributed import Distributed
from rl_sim_env.learning.runner import AmpVaeRunner
from rl_sim_env.motions import MotionSampler, load_clips
from rl_sim_env.robots import ArmMode
from rl_sim_env.tasks import family_ids, find_task, make_env_cfg

LOG_ROOT = Path("logs") / "rsl_rl"
EVALUATION_ROBOTS = 128
EVALUATION_SECONDS = 20.0


@dataclass(kw_only=True)
class TrainOptions:
    """Train a policy."""

    task: str
    """Id of the task."""

    num_envs: int | None = None
    """Robots per process; default: the task's own number."""

    seed: int | None = None
    """Seed of all random numbers; -1 draws one."""

    max_iterations: int | None = None
    """Iterations to train."""

    max_minutes: float | None = None
    """Wall-clock limit [min]."""

    device: str | None = None
    """cpu, cuda or cuda:N; default: CUDA if there is one."""

    distributed: bool = False
    """One of several processes that torchrun started."""

    headless: bool = False
    """Accepted for the commands people have; training never opens a window."""

    experiment_name: str | None = None
    """Folder of the runs, below logs/rsl_rl."""

    run_name: str = ""
    """Appended to the time stamp that names the run's folder."""

    resume: bool = False
    """Continue the newest run, or the one that load_run and checkpoint name."""

    load_run: str | None = None
    """Run to continue: folder name or regular expression."""

    checkpoint: str | None = None
    """Checkpoint to continue: file, file name in the run, run folder or experiment folder."""

    logger: Literal["tensorboard", "wandb"] | None = None
    """Where the curves go."""

    log_project_name: str | None = None
    """Project name for W&B."""

    motions: tuple[str, ...] | None = None
    """Motion clips to learn from: files, folders or patterns; default: generated clips."""

    mjcf: Path | None = None
    """Another model of the robot, with the same parts; default: the robot's own."""

    arm: ArmMode | None = None
    """Whether the boom is held where it was drawn; default: as the robot says."""

    evaluate: bool = False
    """End with a short evaluation."""

    export_on_save: bool = False
    """Export each saved checkpoint to ONNX, below exported/ in the run's folder; each takes a few
    seconds of the training time."""

    settings: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Further settings, as env.path=value or agent.path=value."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the training program."""
    run_program(TrainOptions, train, argv)


def train(options: TrainOptions) -> None:
    """Train as the options say.

    Raises:
        UserError: Something in the options or the surroundings is wrong.
    """
    task = find_task(options.task)
    check_counts(num_envs=options.num_envs)
    cfg = task.runner_cfg()
    _set_runner_options(cfg, options)
    with Distributed.launch(distributed=options.distributed, device=options.device) as processes:
        env_cfg = make_env_cfg(options.task, mjcf_path=options.mjcf, arm=options.arm)
        if "motion" in env_cfg.events:
            env_cfg.events["motion"].params["motion_paths"] = cfg.amp.motion_paths
        if options.num_envs is not None:
            env_cfg.scene.num_envs = options.num_envs
        env_cfg.suit(processes.device)
        apply_overrides(options.settings, {"env": env_cfg, "agent": cfg})
        env_cfg.seed = processes.seed_all(cfg.seed)
        torch.set_float32_matmul_precision("high")
        checkpoint_path = None
        if options.resume or options.load_run or options.checkpoint:
            checkpoint_path = resolve_checkpoint(
                options.checkpoint, root=LOG_ROOT / cfg.experiment_name, load_run=options.load_run
            )
        with quiet():
            env = AmpVaeVecEnv(AmpVaeEnv(env_cfg, processes.device))
        clips = load_clips(cfg.amp.motion_paths, env_cfg.robot)
        expert = MotionSampler(
            clips,
            env.observation_layout.names("amp_obs"),
            env.step_dt,
            processes.device,
            robot=env_cfg.robot,
        )
        runner = AmpVaeRunner(
            env,
            cfg,
            expert,
            processes.broadcast(_run_folder(cfg)),
            processes.device,
            task_id=options.task,
            processes=processes,
            on_save=_export_or_warn if options.export_on_save else None,
        )
        if checkpoint_path is not None:
            runner.load(checkpoint_path, tasks=family_ids(task.family))
        runner.learn(cfg.max_iterations - (runner.current_learning_iteration + 1))
        env.close()
        if options.evaluate and processes.is_main:
            evaluate(runner, options)


def evaluate(runner: AmpVaeRunner, options: TrainOptions) -> None:
    """Evaluate the trained policy for a short while and print the figures."""
    trained_cfg = make_env_cfg(options.task, mjcf_path=options.mjcf, arm=options.arm)
    apply_overrides(options.settings, {"env": trained_cfg, "agent": runner.cfg})
    env_cfg = evaluation_env_cfg(trained_cfg)
    env_cfg.scene.num_envs = EVALUATION_ROBOTS
    env_cfg.seed = runner.cfg.seed
    with quiet():
        env = AmpVaeVecEnv(AmpVaeEnv(env_cfg, runner.device))
    policy = runner.alg.get_inference_policy()
    print_reports(evaluate_walking(env, policy, seconds=EVALUATION_SECONDS))
    env.close()


def _export_or_warn(checkpoint_path: Path) -> None:
    """Export a checkpoint; whatever the exporter trips over, training goes on."""
    # Only here: the exporter's libraries would make every training start later.
    from rl_sim_env.deploy.export import export_folder, export_policy

    try:
        export_policy(checkpoint_path, export_folder(checkpoint_path))
    except Exception as error:
        reason = str(error).partition("\n")[0] or repr(error)
        print(f"warning: {checkpoint_path}: not exported: {reason}", file=sys.stderr, flush=True)


def _set_runner_options(cfg: AmpVaeRunnerCfg, options: TrainOptions) -> None:
    given = {
        "seed": options.seed,
        "max_iterations": options.max_iterations,
        "max_minutes": options.max_minutes,
        "experiment_name": options.experiment_name,
        "run_name": options.run_name,
        "logger": options.logger,
        "log_project_name": options.log_project_name,
    }
    for name, value in given.items():
        if value is not None:
            setattr(cfg, name, value)
    if cfg.seed == -1:
        cfg.seed = int.from_bytes(os.urandom(4), "little")
    if options.motions is not None:
        cfg.amp.motion_paths = options.motions


def _run_folder(cfg: AmpVaeRunnerCfg) -> Path:
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    name = f"{stamp}_{cfg.run_name}" if cfg.run_name else stamp
    return (LOG_ROOT / cfg.experiment_name / name).absolute()
