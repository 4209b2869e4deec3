"""The ``rl-sim-env`` program: one entry, several commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from rl_sim_env.errors import known_names


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command, named without importing it: that may take seconds."""

    purpose: str
    """What it is for, in a few words."""

    module: str
    """Module that has its ``main``."""

    options: str
    """Its options, as ``module:name``; importing them takes no seconds."""

    example: str
    """How it may be called, behind the program's name."""

    loads: str = ""
    """What takes seconds to import, which is said before; empty where nothing does, or where other
    programs may read what it prints."""

    @property
    def main(self) -> Callable[[Sequence[str]], None]:
        """Runs it with its arguments."""
        return import_module(f"rl_sim_env.cli.{self.module}").main

    @property
    def options_type(self) -> Any:
        """What its arguments are read into."""
        module, _, name = self.options.partition(":")
        return getattr(import_module(f"rl_sim_env.cli.{module}"), name)


COMMANDS: dict[str, Command] = {
    "train": Command(
        purpose="train a policy",
        module="train",
        options="train_options:TrainOptions",
        example="train --task Rl-Sim-Env-AmpVae-Grq20-V2d3-Flat-v0 --max_minutes 15 "
        "env.rewards.feet_slide.weight=-0.2",
        loads="torch and the simulator",
    ),
    "compile": Command(
        purpose="compile the kernels of a GPU ahead of training",
        module="compile",
        options="compile:CompileOptions",
        example="compile --output /shared/kernels",
    ),
    "play": Command(
        purpose="watch a policy",
        module="play",
        options="play_options:PlayOptions",
        example="play --num_envs 4 --checkpoint policies/grq20_v2d3",
        loads="torch and the simulator",
    ),
    "export": Command(
        purpose="write a policy as ONNX files",
        module="export",
        options="export:ExportOptions",
        example="export --checkpoint logs/rsl_rl/grq20_v2d3_amp_vae_flat",
    ),
    "web": Command(
        purpose="write a page that runs a policy in any browser",
        module="web",
        options="web:WebOptions",
        example="web policies/grq20_v2d3 --output site",
    ),
    "evaluate": Command(
        purpose="measure a policy and write a report",
        module="evaluate",
        options="evaluate_options:EvaluateOptions",
        example="evaluate --task Rl-Sim-Env-AmpVae-Grq20-V2d3-Flat-v0 --quick",
        loads="torch and the simulator",
    ),
    "report": Command(
        purpose="write the page of a report anew, without measuring",
        module="report",
        options="report:ReportOptions",
        example="report policies/grq20_v2d3/report",
    ),
    "compare": Command(
        purpose="put reports side by side, with their differences",
        module="compare",
        options="compare:CompareOptions",
        example="compare policies/grq20_v2d3/report logs/rsl_rl/grq20_v2d3_amp_vae/report",
    ),
    "sweep": Command(
        purpose="train and compare several settings with several seeds",
        module="sweep",
        options="sweep_options:SweepOptions",
        example="sweep sweeps/baselines.yaml --dry_run",
    ),
    "curves": Command(
        purpose="draw the training curves of a run",
        module="curves",
        options="curves:CurvesOptions",
        example="curves logs/rsl_rl/grq20_v2d3_amp_vae_flat/2026-01-02_03-04-05",
    ),
    "motions": Command(
        purpose="make, inspect, import and replay motion clips",
        module="motions",
        options="motions:MotionsCommand",
        example="motions inspect --diagram footfalls.png",
    ),
    "robot": Command(
        purpose="check a robot's file, and begin with a robot of your own",
        module="robot",
        options="robot:RobotCommand",
        example="robot check my_robot.xml",
    ),
    "tasks": Command(
        purpose="list the tasks",
        module="tasks",
        options="tasks:TasksOptions",
        example="tasks",
    ),
    "settings": Command(
        purpose="list what can be set, with its value",
        module="settings",
        options="settings:SettingsOptions",
        example="settings --task Rl-Sim-Env-AmpVae-Grq20-V2d3-v0 rewards weight",
    ),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command.

    Raises:
        SystemExit: Status 2 for an unknown command, or after a mistake of the user.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        from rl_sim_env.cli.program import until_nobody_reads

        with until_nobody_reads():
            print(_usage())
        raise SystemExit(0 if arguments else 2)
    name, *rest = arguments
    if name not in COMMANDS:
        nearest = known_names(name, COMMANDS)
        print(f"error: unknown command '{name}'; {nearest}\n{_usage()}", file=sys.stderr)
        raise SystemExit(2)
    _run(name, rest)


def _run(name: str, arguments: Sequence[str]) -> None:
    from rl_sim_env.cli.program import one_line_errors, parse_options, until_nobody_reads

    command = COMMANDS[name]
    # With the tasks come packages of others, some of which may be broken.
    with until_nobody_reads(), one_line_errors():
        from rl_sim_env.cli.options import Options

        # A first reading, for help and slips alone: behind it come imports that take seconds.
        options = parse_options(
            command.options_type, arguments, prog=f"rl-sim-env {name}", notes=_notes(name)
        )
        if isinstance(options, Options):
            options.check_early()
        # Once for all processes that torchrun starts.
        if command.loads and os.environ.get("RANK", "0") == "0":
            print(f"loading {command.loads}", flush=True)
        run = command.main
    run(arguments)


def _notes(name: str) -> str:
    """What the help says beside the options."""
    lines = [f"example: rl-sim-env {COMMANDS[name].example}"]
    if hasattr(COMMANDS[name].options_type, "task"):
        from rl_sim_env.tasks import TASKS

        lines += [
            "settings: rl-sim-env settings --task TASK lists all, with their values",
            f"tasks: {', '.join(TASKS)}",
        ]
    return "\n\n".join(lines)


def _usage() -> str:
    lines = [f"  {name:<10}{command.purpose}" for name, command in COMMANDS.items()]
    return "\n".join(("usage: rl-sim-env COMMAND ...", "", *lines, "", "COMMAND --help tells all."))
