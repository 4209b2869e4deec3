"""Playing from the command line: a policy or the motion clips, in the browser or as a video."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rl_sim_env.cli.options import (
    ExperimentOptions,
    RobotOptions,
    TaskOptions,
    find_checkpoint,
    require_positive,
    tell_differences,
)
from rl_sim_env.cli.program import quiet, run_program
from rl_sim_env.envs import AmpVaeEnvCfg, AmpVaeVecEnv
from rl_sim_env.errors import UserError, found_in
from rl_sim_env.evaluation import Evaluator, WalkingMeter, print_metrics
from rl_sim_env.evaluation.walking_metrics import MEASURABLE_TIME
from rl_sim_env.experiment import EnvOptions, Training, build_policy, build_vec_env, configure_env
from rl_sim_env.learning.checkpoint import Checkpoint
from rl_sim_env.learning.distributed import resolve_device
from rl_sim_env.motions import load_clips
from rl_sim_env.tasks import find_task
from rl_sim_env.typed import typed
from rl_sim_env.viewer.clip_viewer import ClipPlayer, ClipViewer
from rl_sim_env.viewer.daylight import daylight
from rl_sim_env.viewer.load_panel import caption
from rl_sim_env.viewer.page import LAST_PORT, THIS_MACHINE, address, open_page
from rl_sim_env.viewer.play_viewer import PlayViewer
from rl_sim_env.viewer.player_viewer import Player, PlayerViewer
from rl_sim_env.viewer.video import check_video_path, record

DEFAULT_TASK = "Rl-Sim-Env-AmpVae-Grq20-V2d3-Play-v0"
DEFAULT_VIDEO_STEPS = 400


@dataclass(kw_only=True)
class PlayOptions(TaskOptions, RobotOptions, ExperimentOptions):
    """Watch a policy, or the motion clips that AMP learns from."""

    task: str = DEFAULT_TASK
    """Id of the task to play on."""

    num_envs: int | None = None
    """Robots; default: the task's own number."""

    p_boot_mean: float = 1.0
    """What the actor is fed: 1 its own estimates, 0 the truth (the upper bound), between them a
    linear blend, which training never showed it."""

    duration: float | None = None
    """Simulated time after which to end [s]; default: never."""

    video: Path | None = None
    """Write a video, FILE.mp4, instead of opening the viewer."""

    video_length: int | None = None
    """Control steps in the video; default: the duration, or 400, or every clip once."""

    headless: bool = False
    """No viewer: only play for the duration, and print the figures."""

    real_time: bool = False
    """Accepted for the commands people have; the viewer keeps real time anyway."""

    host: str = THIS_MACHINE
    """Address that the viewer's page listens at; 0.0.0.0 lets others watch and steer, too."""

    port: int | None = None
    """Port of the viewer's page; default: 8080, or the next one that is free."""

    seed: int = 42
    """Seed of all random numbers."""

    motions: tuple[str, ...] | None = None
    """Motion clips to show: files, folders or patterns; default: generated clips."""

    def __post_init__(self) -> None:
        require_positive(
            num_envs=self.num_envs, duration=self.duration, video_length=self.video_length
        )
        if not 0.0 <= self.p_boot_mean <= 1.0:
            raise UserError(
                f"--p_boot_mean {self.p_boot_mean}: must be from 0 (truth) to 1 (estimates)"
            )
        if self.headless and self.video is None and self.duration is None:
            raise UserError("--headless shows nothing: give --duration SECONDS or --video FILE.mp4")
        if self.port is not None and not 0 <= self.port <= LAST_PORT:
            raise UserError(f"--port {self.port}: ports are numbers up to {LAST_PORT}")
        if self.video is not None:
            check_video_path(self.video)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the playing program."""
    run_program(PlayOptions, play, argv, prog="rl-sim-env play")


def play(options: PlayOptions) -> None:
    """Play as the options say.

    Raises:
        UserError: Something in the options or the surroundings is wrong.
    """
    if find_task(options.task).shows_motions:
        _play_clips(options)
    else:
        _play_policy(options)


def _play_policy(options: PlayOptions) -> None:
    path = find_checkpoint(options, options.task)
    checkpoint = Checkpoint.load(path)
    vec_env = _make_env(options, options.num_envs, Training.of(checkpoint, path, options.task))
    policy = build_policy(checkpoint, path, options.task, vec_env)
    # Commands as far as training got.
    trained = checkpoint.processes[0]["env"]
    with found_in(path):
        command = typed(trained.get("command"), dict[str, Any], "processes.0.env.command")
        vec_env.unwrapped.velocity_command.load_training_state(command)
    print(f"{path}: iteration {checkpoint.iteration} of {checkpoint.task}")
    meter = WalkingMeter(vec_env)
    player = Evaluator(vec_env, policy, options.p_boot_mean, on_step=meter.add)
    _run(options, player, PlayViewer, partial(caption, player, vec_env.cfg.viewer.env_idx))
    if meter.seconds < MEASURABLE_TIME:
        print(
            f"nothing was measured: {meter.seconds:.2g} s is too short a walk; figures take "
            f"{MEASURABLE_TIME:g} s or more"
        )
    else:
        print_metrics(meter.metrics())
    vec_env.close()


def _play_clips(options: PlayOptions) -> None:
    vec_env = _make_env(options, options.num_envs or 1, None)
    clips = load_clips(options.motions, vec_env.cfg.robot)
    player = ClipPlayer(vec_env, clips)
    _run(options, player, ClipViewer, lambda: player.clip.name, default_steps=player.num_steps)
    vec_env.close()


def _make_env(
    options: PlayOptions, num_envs: int | None, training: Training | None
) -> AmpVaeVecEnv:
    def adapt(cfg: AmpVaeEnvCfg) -> None:
        # Robots that fall are reset at once: none may lie on the ground waiting for capacity.
        cfg.reset_share = 1.0
        cfg.scene.spec_fn = daylight
        cfg.viewer.max_extra_envs = (num_envs or cfg.scene.num_envs) - 1

    setup = configure_env(
        EnvOptions(
            task=options.task,
            device=resolve_device(options.device),
            arguments=options.task_arguments(),
            training=training,
            adapt=adapt,
            num_envs=num_envs,
            seed=options.seed,
            settings=options.settings,
        )
    )
    tell_differences(setup.differences)
    with quiet():
        return build_vec_env(setup)


def _run(
    options: PlayOptions,
    player: Player,
    viewer_type: Callable[..., PlayerViewer],
    caption: Callable[[], str],
    default_steps: int = DEFAULT_VIDEO_STEPS,
) -> None:
    """Show the player in the way that was asked for, until its time is over."""
    num_steps = None
    if options.duration is not None:
        num_steps = max(round(options.duration / player.vec_env.step_dt), 1)
    if options.video is not None:
        length = options.video_length or num_steps or default_steps
        record(player, options.video, num_steps=length, caption=caption)
        print(f"video: {options.video}")
    elif options.headless:
        assert num_steps is not None, "checked with the options"
        for _ in range(num_steps):
            player.advance()
    else:
        with quiet():
            server = open_page(options.host, options.port)
        print(f"viewer: {address(server)} (Ctrl-C ends it)", flush=True)
        try:
            viewer_type(player, server).run(num_steps)
        finally:
            with quiet():
                server.stop()
