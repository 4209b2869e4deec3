"""The ``rl-sim-env`` program: one entry, several commands."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

COMMANDS: dict[str, tuple[str, str]] = {
    "train": ("rl_sim_env.cli.train", "train a policy"),
    "compile": ("rl_sim_env.cli.compile", "compile the kernels of a GPU ahead of training"),
    "play": ("rl_sim_env.cli.play", "watch a policy"),
    "export": ("rl_sim_env.cli.export", "write a policy as ONNX files"),
    "evaluate": ("rl_sim_env.cli.evaluate", "measure a policy and write a report"),
    "curves": ("rl_sim_env.cli.curves", "draw the training curves of a run"),
    "motions": ("rl_sim_env.cli.motions", "make, inspect, import and replay motion clips"),
    "robot": ("rl_sim_env.cli.robot", "check a robot's file, and begin with a robot of your own"),
    "tasks": ("rl_sim_env.cli.tasks", "list the tasks"),
}
"""Module and purpose by command. Modules are imported on use: their imports take seconds."""


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
        print(f"error: unknown command '{name}'\n{_usage()}", file=sys.stderr)
        raise SystemExit(2)
    _load(name)(rest)


def _load(name: str) -> Callable[[Sequence[str]], None]:
    from importlib import import_module

    from rl_sim_env.cli.program import one_line_errors

    # With the tasks come packages of others, some of which may be broken.
    with one_line_errors():
        return import_module(COMMANDS[name][0]).main


def _usage() -> str:
    lines = [f"  {name:<10}{purpose}" for name, (_, purpose) in COMMANDS.items()]
    return "\n".join(("usage: rl-sim-env COMMAND ...", "", *lines, "", "COMMAND --help tells all."))
