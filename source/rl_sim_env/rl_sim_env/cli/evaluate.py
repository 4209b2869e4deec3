"""Evaluation from the command line: a checkpoint or an ONNX file in, a report out."""

from __future__ import annotations

import math
import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table as Grid

from rl_sim_env.cli.evaluate_options import EvaluateOptions
from rl_sim_env.cli.options import (
    ONNX_SUFFIX,
    POLICIES,
    find_policy,
    relative,
    require_networks,
    tell_differences,
)
from rl_sim_env.cli.program import quiet, run_program
from rl_sim_env.configuration import to_plain
from rl_sim_env.deploy import open_session
from rl_sim_env.deploy.environment_facts import require_same_environment
from rl_sim_env.deploy.onnx_export import export_policy
from rl_sim_env.envs import AmpVaeEnvCfg, AmpVaeVecEnv
from rl_sim_env.errors import UserError, found_in
from rl_sim_env.evaluation.arena import (
    Arena,
    EvaluationCfg,
    arena_env_cfg,
    on_unseen_ground,
)
from rl_sim_env.evaluation.inference_policy import (
    InferencePolicy,
    OnnxInferencePolicy,
    exported_range,
    exported_targets,
)
from rl_sim_env.evaluation.printed import figure_text
from rl_sim_env.evaluation.protocols import (
    NOT_QUICK,
    OUTSIDE,
    PROTOCOLS,
    Protocol,
    choose_protocols,
    outside_protocol,
)
from rl_sim_env.evaluation.rendering import (
    COMMAND,
    HTML_NAME,
    MARKDOWN_NAME,
    check_writable,
    write_report,
)
from rl_sim_env.evaluation.report import FOLDER_NAME, Report, Section
from rl_sim_env.evaluation.verdict import QUICK, ROBOTS, SEEDS, SEES, SENSORS, judge
from rl_sim_env.evaluation.wording import in_house_style
from rl_sim_env.experiment import (
    MODEL_ARGUMENT,
    EnvOptions,
    EnvSetup,
    Training,
    build_policy,
    build_vec_env,
    configure_env,
)
from rl_sim_env.hardware import device_name
from rl_sim_env.learning.algorithm import FOOTHOLDS
from rl_sim_env.learning.checkpoint import Checkpoint, package_versions, require_fit
from rl_sim_env.learning.distributed import resolve_device
from rl_sim_env.learning.foothold_learner import QUALITY
from rl_sim_env.learning.layout import ObservationLayout
from rl_sim_env.learning.run_files import RunFiles, code_commit
from rl_sim_env.learning.structure import require_like
from rl_sim_env.mdp.exteroception import ExteroceptionCfg
from rl_sim_env.tasks import family_ids, find_task
from rl_sim_env.typed import typed
from rl_sim_env.viewer.daylight import daylight
from rl_sim_env.viewer.offscreen import photograph

NOT_RECORDED = "not recorded"

SIGHT = "the ground, in a map that its lidars make"

UNFINISHED_SUFFIX = ".unfinished"
"""End of the name of the folder that holds the report until all protocols are done."""

SPEED_WINDOW = 120.0
"""Time over which the progress bar takes the speed [s]."""

SUMMARY_FIGURES = 3
"""Figures of each section on the console."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the evaluation program."""
    run_program(EvaluateOptions, evaluate, argv, prog="rl-sim-env evaluate")


def evaluate(options: EvaluateOptions) -> None:
    """Evaluate as the options say.

    Raises:
        UserError: Something in the options or the surroundings is wrong.
    """
    device = resolve_device(options.device)
    cfg = _sizes(options, device)
    path, task = find_policy(options)
    print(f"evaluating {path} on {task}", flush=True)
    # The walks in plain MuJoCo need the history inside the file: a checkpoint can export it. There
    # nobody tells the truth.
    can_leave = path.suffix != ONNX_SUFFIX and options.p_boot_mean == 1.0
    names = choose_protocols(options.protocols, (*PROTOCOLS, OUTSIDE) if can_leave else PROTOCOLS)
    if options.quick and not options.protocols:
        names = [name for name in names if name not in NOT_QUICK]
    beside = Path() if path.parent.parent == POLICIES else path.parent
    output = beside / FOLDER_NAME if options.output is None else options.output
    check_writable(output)
    # An unfinished report has a folder of its own: nothing measured is lost if the program ends
    # early, and an earlier report is replaced by a complete one only.
    unfinished = Path(f"{output.resolve()}{UNFINISHED_SUFFIX}")
    check_writable(unfinished)
    saved = _open_policy(path, task)
    setup = _configure(options, task, cfg, device, saved.training)
    saved.check(setup)
    _require_levels(setup.cfg, cfg.levels)
    tell_differences(setup.differences)
    if options.quick:
        print(f"quick: {_of_a_quick_try(cfg, names)}", flush=True)
    print(f"building the ground and {cfg.robots} robots", flush=True)
    with quiet():
        vec_env = build_vec_env(setup)
    facts = {
        **saved.facts,
        "Robot": setup.cfg.robot.name,
        **({SEES: SIGHT} if _sees(setup.cfg) else {}),
        "Evaluated on": task,
        **({"Settings": " ".join(options.settings)} if options.settings else {}),
        **({QUICK: _of_a_quick_try(cfg, names)} if options.quick else {}),
        SEEDS: ", ".join(map(str, cfg.seeds)),
        SENSORS: ", ".join(options.sensors or (setup.cfg.sensors,)),
        **(
            {"Fed": f"estimates by {options.p_boot_mean:g}, else the truth"}
            if options.p_boot_mean < 1.0
            else {}
        ),
        ROBOTS: f"{cfg.robots} in each walk",
        "Hardware": f"{device_name(device)} ({device}), {os.cpu_count()} CPU cores",
        "Packages": ", ".join(f"{name} {of}" for name, of in package_versions().items()),
        "Evaluated at commit": code_commit() or NOT_RECORDED,
        "Date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        COMMAND: _command(options, task, cfg, path, names),
    }
    begin = time.monotonic()
    report = Report(facts=facts, sections=())
    arena = Arena(vec_env, saved.build(vec_env), options.p_boot_mean, sensors=cfg.sensors[0])
    photo = photograph(arena)
    with tempfile.TemporaryDirectory() as folder:
        protocols = dict(PROTOCOLS)
        if OUTSIDE in names:
            exported, _ = export_policy(path, Path(folder))
            protocols[OUTSIDE] = outside_protocol(exported)
        for section in _run({name: protocols[name] for name in names}, arena, cfg):
            sections = (*report.sections, section)
            report = Report(facts={**facts, "Duration": _duration(begin)}, sections=sections)
            write_report(report, unfinished if len(sections) < len(names) else output, photo)
    shutil.rmtree(unfinished, ignore_errors=True)
    vec_env.close()
    _print_summary(report)
    verdict = judge(in_house_style(report))
    for line in (*verdict.warnings, *verdict.sentences):
        print(line)
    print(f"report: {output / HTML_NAME} and, for reading as text, {output / MARKDOWN_NAME}")


def _command(
    options: EvaluateOptions, task: str, cfg: EvaluationCfg, path: Path, names: Sequence[str]
) -> str:
    """What measures the same again, with every size spelt out."""
    sizes = {
        "seeds": cfg.seeds,
        "robots": (cfg.robots,),
        "seconds": (f"{cfg.seconds:g}",),
        "survival_seconds": (f"{cfg.survival_seconds:g}",),
        "levels": cfg.levels,
        "sensors": options.sensors,
        "protocols": names,
        "p_boot_mean": (f"{options.p_boot_mean:g}",) if options.p_boot_mean < 1.0 else (),
    }
    words = ["rl-sim-env", "evaluate", *options.settings, "--task", task]
    words += ["--checkpoint", relative(path)]
    for name, value in options.task_arguments().items():
        words += [f"--{'mjcf' if name == MODEL_ARGUMENT else name}", str(value)]
    for name, values in sizes.items():
        words += [f"--{name}", *map(str, values)] if values else []
    return shlex.join([*words, "--quick"] if options.quick else words)


def check_evaluation(options: EvaluateOptions, task: str) -> None:
    """Refuse an evaluation on a task that no policy could be given, before there is one.

    Raises:
        UserError: A setting, a value or a level is none that the task's evaluation has.
    """
    cfg = _sizes(options, "cpu")
    _require_levels(_configure(options, task, cfg, "cpu", None).cfg, cfg.levels)


def _of_a_quick_try(cfg: EvaluationCfg, names: Sequence[str]) -> str:
    """What a quick evaluation is, in words that nobody takes for a result."""
    left_out = [name for name in (*PROTOCOLS, OUTSIDE) if name not in names]
    line = (
        f"{cfg.robots} robots in walks of {cfg.seconds:g} s, seeds {', '.join(map(str, cfg.seeds))}"
    )
    if left_out:
        line += f", without {', '.join(left_out)}"
    if cfg.load_steps is not None:
        line += f", {cfg.load_steps} of the steps of the load"
    return f"{line}; shows what a report looks like, its figures mean little"


@dataclass(frozen=True, kw_only=True)
class _SavedPolicy:
    """A policy that was read from a file and has no environment yet."""

    facts: Mapping[str, str]
    """Where it comes from."""

    training: Training | None
    """In what it was trained; None where the file does not hold all of it."""

    check: Callable[[EnvSetup], None]
    """Refuses an environment that is not that of the training."""

    build: Callable[[AmpVaeVecEnv], InferencePolicy]
    """Makes it fit an environment."""


def _open_policy(path: Path, task_id: str) -> _SavedPolicy:
    if path.suffix == ONNX_SUFFIX:
        return _open_onnx(path, task_id)
    checkpoint = Checkpoint.load(path)
    with found_in(path):
        foretold = _foretold(checkpoint)
    facts = {
        "Policy": path.name,
        "Trained on": checkpoint.task,
        "Training": ", begun with the policy of ".join(map(_told, reversed(checkpoint.lineage()))),
        **foretold,
        "Trained at commit": RunFiles.read(path.parent).commit or NOT_RECORDED,
    }
    return _SavedPolicy(
        facts=facts,
        training=Training.of(checkpoint, path, task_id),
        check=lambda setup: None,
        build=lambda vec_env: build_policy(checkpoint, path, task_id, vec_env),
    )


def _told(training: dict[str, Any]) -> str:
    return (
        f"{training['iterations']} iterations, {training['total_steps']:,} environment steps, "
        f"{training['total_seconds'] / 60.0:.1f} minutes"
    )


def _foretold(checkpoint: Checkpoint) -> dict[str, str]:
    """How well touchdowns were foretold at the end of training, where that was learned.

    Raises:
        UserError: It is not told as it should be.
    """
    learners = typed(checkpoint.algorithm.get("learners", {}), dict[str, Any], "algorithm.learners")
    if FOOTHOLDS not in learners:
        return {}
    require_like(learners[FOOTHOLDS], {QUALITY: torch.zeros(3)}, f"algorithm.learners.{FOOTHOLDS}")
    squared, *shares = learners[FOOTHOLDS][QUALITY].tolist()
    one, two = (f"{100.0 * share:.0f} %" for share in shares)
    error = f"{100.0 * math.sqrt(squared):.1f} cm off (RMS) in training"
    inside = f"{one} and {two} within one and two stated deviations"
    return {"Touchdowns foretold": f"{error}, {inside} (39 % and 86 % of a Gaussian)"}


def _open_onnx(path: Path, task_id: str) -> _SavedPolicy:
    require_networks(path)
    session, metadata = open_session(path)
    facts = {
        "Policy": f"{path.name}, exported from {metadata.checkpoint}",
        "Trained on": metadata.task,
        "Training": f"{metadata.iteration + 1} iterations",
        "Trained at commit": metadata.training_commit or NOT_RECORDED,
    }

    def check(setup: EnvSetup) -> None:
        require_same_environment(metadata, to_plain(setup.cfg), path)

    def build(vec_env: AmpVaeVecEnv) -> InferencePolicy:
        layout = vec_env.observation_layout
        require_fit(
            path,
            task=metadata.task,
            layout=metadata.layout,
            tasks=family_ids(find_task(task_id).family),
            present=layout,
        )
        trained = ObservationLayout.from_dict(metadata.layout)
        with found_in(path):
            policy = OnnxInferencePolicy(
                session, trained, exported_targets(metadata), exported_range(metadata)
            )
        if policy.num_actions != vec_env.num_actions:
            raise UserError(
                f"{path}: gives {policy.num_actions} actions, the robot takes "
                f"{vec_env.num_actions}; export it anew"
            )
        return policy

    return _SavedPolicy(facts=facts, training=None, check=check, build=build)


def _sizes(options: EvaluateOptions, device: str) -> EvaluationCfg:
    cfg = EvaluationCfg.quick() if options.quick else EvaluationCfg.for_device(device)
    sizes = ("seeds", "robots", "seconds", "survival_seconds", "levels")
    given = {name: getattr(options, name) for name in sizes}
    given["sensors"] = options.sensors or None
    return replace(cfg, **{name: value for name, value in given.items() if value is not None})


def _configure(
    options: EvaluateOptions,
    task: str,
    cfg: EvaluationCfg,
    device: str,
    training: Training | None,
) -> EnvSetup:
    return configure_env(
        EnvOptions(
            task=task,
            device=device,
            arguments=options.task_arguments(),
            training=training,
            adapt=lambda env_cfg: _adapt(env_cfg, cfg),
            num_envs=cfg.robots,
            seed=cfg.seeds[0],
            settings=options.settings,
        )
    )


def _sees(env_cfg: AmpVaeEnvCfg) -> bool:
    """Whether a robot is given a map of the ground."""
    return any(isinstance(sensor, ExteroceptionCfg) for sensor in env_cfg.scene.sensors)


def _require_levels(env_cfg: AmpVaeEnvCfg, levels: Sequence[int]) -> None:
    """Refuse levels that the ground does not have."""
    terrain = env_cfg.scene.terrain
    generator = None if terrain is None else terrain.terrain_generator
    if generator is not None and max(levels) >= generator.num_rows:
        raise UserError(
            f"--levels {' '.join(map(str, levels))}: this ground has levels 0 to "
            f"{generator.num_rows - 1}"
        )


def _adapt(env_cfg: AmpVaeEnvCfg, cfg: EvaluationCfg) -> None:
    """Turn a configuration into the arena's, on ground and with sensors as an evaluation wants."""
    arena_in_daylight(env_cfg)
    on_unseen_ground(env_cfg, cfg)
    if cfg.sensors[0] is not None:
        env_cfg.sensors = "hardware" if "hardware" in cfg.sensors else "ideal"


def arena_in_daylight(env_cfg: AmpVaeEnvCfg) -> None:
    """Turn a configuration into the arena's, where robots can be photographed."""
    arena_env_cfg(env_cfg)
    env_cfg.scene.spec_fn = daylight


def _run(protocols: Mapping[str, Protocol], arena: Arena, cfg: EvaluationCfg) -> Iterator[Section]:
    """Run the protocols one by one, with a bar that shows which, and the time left."""
    expected = [of.duration(cfg) * len(cfg.seeds) / arena.step_dt for of in protocols.values()]
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        speed_estimate_period=SPEED_WINDOW,
    ) as progress:
        bar = progress.add_task("", total=sum(expected))
        arena.on_step = lambda _: progress.advance(bar)
        for number, (name, protocol) in enumerate(protocols.items(), start=1):
            progress.update(bar, description=f"{name} ({number} of {len(protocols)})")
            begin = time.monotonic()
            section = protocol.measure(arena, cfg)
            progress.update(bar, completed=sum(expected[:number]))
            progress.console.print(f"{name}: done in {_duration(begin)}")
            yield section


def _duration(begin: float) -> str:
    """Time since ``begin``, of the monotonic clock, as h:mm:ss."""
    return str(timedelta(seconds=round(time.monotonic() - begin)))


def _print_summary(report: Report) -> None:
    """Print the last row of each section's first table, which tells most, as far as it fits."""
    summary = Grid.grid(padding=(0, 2, 0, 0))
    for section in report.sections:
        for table in section.tables[:1]:
            row = table.rows[-1]
            figures = [
                f"{column.title} {figure_text(figure, column)} {column.unit}".rstrip()
                for figure, column in zip(row.cells, table.columns, strict=True)
                if figure is not None
            ]
            summary.add_row(section.title, row.label, ", ".join(figures[:SUMMARY_FIGURES]))
    Console(markup=False).print(summary)
