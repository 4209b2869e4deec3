"""List what can be set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from rl_sim_env.cli.options import DEFAULT_TASK
from rl_sim_env.cli.program import run_program
from rl_sim_env.configuration import AGENT, ENV, to_plain
from rl_sim_env.errors import UserError, known_names
from rl_sim_env.tasks import find_task, make_env_cfg


@dataclass(kw_only=True)
class SettingsOptions:
    """List everything of a task that can be set on the command line, with its value."""

    task: str = DEFAULT_TASK
    """Id of the task."""

    words: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="WORD ...", help_behavior_hint=""),
    ] = ()
    """Only paths that have all of these words in them."""

    def __post_init__(self) -> None:
        find_task(self.task)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    run_program(SettingsOptions, print_settings, argv, prog="rl-sim-env settings")


def print_settings(options: SettingsOptions) -> None:
    """Print the settings, one a line, as they may be written behind a command.

    Raises:
        UserError: There are none with the words.
    """
    cfgs = {ENV: make_env_cfg(options.task), AGENT: find_task(options.task).runner_cfg()}
    lines = [line for root, cfg in cfgs.items() for line in _lines(root, to_plain(cfg))]
    paths = [line.partition("=")[0] for line in lines]
    chosen = [
        line
        for path, line in zip(paths, lines, strict=True)
        if all(word in path for word in options.words)
    ]
    if not chosen:
        told = f"no setting has {' and '.join(options.words)} in its path"
        names = {name for path in paths for name in path.split(".")}
        for word in options.words:
            if not any(word in path for path in paths):
                command = f"rl-sim-env settings --task {options.task}"
                told += f"; {word}: {known_names(word, names, listed_by=command)}"
        raise UserError(told)
    print("\n".join(chosen))


def _lines(path: str, value: Any) -> Iterator[str]:
    """Settings below a path, as ``path=value``."""
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _lines(f"{path}.{name}", item)
    elif isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        for place, item in enumerate(value):
            yield from _lines(f"{path}.{place}", item)
    else:
        yield f"{path}={value}"
