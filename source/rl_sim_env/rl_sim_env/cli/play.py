"""Playing from the command line: a policy or the motion clips, in the browser or as a video."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from rl_sim_env.cli.options import find_policy, tell_differences, tell_what_a_gpu_is_for
from rl_sim_env.cli.play_options import PlayOptions
from rl_sim_env.cli.program import quiet, run_program
from rl_sim_env.envs import AmpVaeEnvCfg, AmpVaeVecEnv
from rl_sim_env.errors import found_in
from rl_sim_env.evaluation import Evaluator, WalkingMeter, print_metrics
from rl_sim_env.evaluation.paired_policy import PairedPolicy
from rl_sim_env.evaluation.walking_metrics import MEASURABLE_TIME, leave_out_training
from rl_sim_env.experiment import (
    EnvOptions,
    Training,
    build_policy,
    build_style_judge,
    build_vec_env,
    configure_env,
)
from rl_sim_env.learning.checkpoint import Checkpoint, resolve_checkpoint
from rl_sim_env.learning.distributed import resolve_device
from rl_sim_env.motions import load_clips
from rl_sim_env.tasks import find_task
from rl_sim_env.viewer.clip_viewer import ClipPlayer, ClipViewer
from rl_sim_env.viewer.comparison import caption
from rl_sim_env.viewer.daylight import daylight
from rl_sim_env.viewer.page import ADDRESS, address, open_page
from rl_sim_env.viewer.play_viewer import PlayViewer
from rl_sim_env.viewer.player_viewer import Player, PlayerViewer
from rl_sim_env.viewer.policy_panel import PolicySource, Walker
from rl_sim_env.viewer.video import record

DEFAULT_VIDEO_STEPS = 400


def main(argv: Sequence[str] | None = None) -> None:
    """Run the playing program."""
    run_program(PlayOptions, play, argv, prog="rl-sim-env play")


def play(options: PlayOptions) -> None:
    """Play as the options say.

    Raises:
        UserError: Something in the options or the surroundings is wrong.
    """
    # On a CPU a step is the launch of thousands of small operations, each of which else keeps
    # account for gradients that nobody asks for; on a GPU it is one graph.
    with torch.inference_mode(resolve_device(options.device) == "cpu"):
        if options.task is not None and find_task(options.task).shows_motions:
            _play_clips(options, options.task)
        elif options.compare is not None:
            _play_two_policies(options, options.compare)
        else:
            _play_policy(options)


def _play_policy(options: PlayOptions) -> None:
    path, task = find_policy(options, watched=True)
    checkpoint = Checkpoint.load(path)
    vec_env = _make_env(options, task, options.num_envs, Training.of(checkpoint, path, task))
    policy = build_policy(checkpoint, path, task, vec_env)
    # Commands as far as training got.
    with found_in(path):
        vec_env.unwrapped.velocity_command.load_training_state(checkpoint.command_state())
    print(f"{path}: iteration {checkpoint.iteration} of {checkpoint.task}")
    meter = WalkingMeter(vec_env)
    player = Evaluator(vec_env, policy, options.p_boot_mean, on_step=meter.add)

    def load(other: Path) -> Walker:
        nonlocal meter
        checkpoint = Checkpoint.load(other)
        policy = build_policy(checkpoint, other, task, vec_env)
        print(f"{other}: iteration {checkpoint.iteration}; figures begin anew", flush=True)
        meter = WalkingMeter(vec_env)
        player.on_step = meter.add
        return Walker(policy=policy, style=build_style_judge(checkpoint, other, vec_env))

    viewer = partial(
        PlayViewer,
        source=PolicySource(path, load, options.watch),
        style=build_style_judge(checkpoint, path, vec_env),
    )
    _run(options, player, viewer, partial(caption, player, vec_env.cfg.viewer.env_idx))
    if meter.seconds < MEASURABLE_TIME:
        print(
            f"nothing was measured: {meter.seconds:.2g} s is too short a walk; figures take "
            f"{MEASURABLE_TIME:g} s or more"
        )
    else:
        print_metrics(meter.metrics(), policy.targets.declared)
    vec_env.close()


def _play_two_policies(options: PlayOptions, rival: str) -> None:
    own, task = find_policy(options, watched=True)
    paths = (own, resolve_checkpoint(rival, root=Path(rival)))
    checkpoints = [Checkpoint.load(path) for path in paths]
    training = Training.of(checkpoints[0], own, task)
    vec_env = _make_env(options, task, 2 * (options.num_envs or 1), training)
    policies = [
        build_policy(checkpoint, path, task, vec_env)
        for checkpoint, path in zip(checkpoints, paths, strict=True)
    ]
    with found_in(paths[0]):
        vec_env.unwrapped.velocity_command.load_training_state(checkpoints[0].command_state())
    names = (str(paths[0]), str(paths[1]))
    with found_in(f"{names[0]} and {names[1]}"):
        player = Evaluator(vec_env, PairedPolicy(*policies), options.p_boot_mean)
    print(f"A: {names[0]}\nB: {names[1]}; the environment is that of A")
    viewers: list[PlayViewer] = []

    def viewer(*arguments: Any) -> PlayViewer:
        viewers.append(PlayViewer(*arguments, rivals=names))
        return viewers[0]

    _run(options, player, viewer, str)
    for name, score in viewers[0].scores.items():
        figures = "; ".join(f"{line.name} {line.value}" for line in score.lines())
        print(f"{name}\n   {score.seconds:.0f} s: {figures}")
    vec_env.close()


def _play_clips(options: PlayOptions, task: str) -> None:
    vec_env = _make_env(options, task, options.num_envs or 1, None)
    clips = load_clips(options.motions, vec_env.cfg.robot)
    player = ClipPlayer(vec_env, clips)
    first = player.index
    _run(options, player, ClipViewer, lambda: player.clip.name, default_steps=player.num_steps)
    if options.headless or options.video is not None:
        shown = f"from {player.clips[first].name} to {player.clip.name}"
        print(f"replayed {shown}, of {len(clips)} clips; --motions FILE ... chooses, --video films")
    vec_env.close()


def _make_env(
    options: PlayOptions, task: str, num_envs: int | None, training: Training | None
) -> AmpVaeVecEnv:
    def adapt(cfg: AmpVaeEnvCfg) -> None:
        # Robots that fall are reset at once: none may lie on the ground waiting for capacity.
        cfg.reset_share = 1.0
        cfg.scene.spec_fn = daylight
        cfg.viewer.max_extra_envs = (num_envs or cfg.scene.num_envs) - 1
        leave_out_training(cfg)

    setup = configure_env(
        EnvOptions(
            task=task,
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
    tell_what_a_gpu_is_for(setup, "a second will take minutes; give a smaller --num_envs")
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
        seconds, robots = length * player.vec_env.step_dt, player.vec_env.num_envs
        print(f"recording {seconds:g} s of {robots} robots into {options.video}", flush=True)
        if robots > 1 and str(player.vec_env.device) == "cpu":
            note = "without a GPU a picture takes half a second; --num_envs 1 is faster"
            print(f"note: {note}", flush=True)
        record(player, options.video, num_steps=length, caption=caption)
        print(f"video: {options.video.absolute()}, {seconds:g} s")
    elif options.headless:
        assert num_steps is not None, "checked with the options"
        for _ in range(num_steps):
            player.advance()
    else:
        with quiet():
            server = open_page(options.host, options.port)
        print(f"{ADDRESS}{address(server)} (Ctrl-C ends it)", flush=True)
        try:
            viewer_type(player, server).run(num_steps)
        finally:
            with quiet():
                server.stop()
