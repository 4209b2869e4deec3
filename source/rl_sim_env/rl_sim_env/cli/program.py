"""What all command line programs share: parsing, one-line messages, quiet libraries."""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tyro

from rl_sim_env.errors import Notice, UserError

USAGE_ERROR = 2
INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""
NOBODY_READS = 141
"""Exit status after a broken pipe, as shells have it."""

_SETTING = re.compile(r"(env|agent)(\.[^=/]+)?=")
"""How a setting begins; paths do not."""

_PLAINER = (
    (r"(Got errors|Argument helptext): .*?(?=For full helptext|$)", ""),
    (
        r"Error parsing (\S+): no type matching INT .*? \['(.*?)'\]",
        r"\1 \2: expected a whole number",
    ),
    (r"Error parsing (\S+): no type matching FLOAT .*? \['(.*?)'\]", r"\1 \2: expected a number"),
    (
        r"Error parsing (\S+): no type matching \{\[(INT|FLOAT) .*?from \[(.*?)\]\.?",
        r"\1 \3: expected numbers.",
    ),
    (r"Error parsing (\S+): invalid literal for int.*?'(.*?)'", r"\1 \2: expected a whole number."),
    (r"Error parsing (\S+): could not convert .*?'(.*?)'", r"\1 \2: expected a number."),
    (r", 'None'|'None', ", ""),
    (r"([^.:]) (For full helptext|Available subcommands)", r"\1. \2"),
)
"""Words of the parser, which speaks of python's types, and ours."""


def run_program(
    options_type: Any,
    body: Callable[[Any], None],
    argv: Sequence[str] | None,
    *,
    prog: str | None = None,
) -> None:
    """Parse the command line and run a program.

    Args:
        options_type: Dataclass of options, or a union of such for a program with commands.
        body: The program.
        argv: Arguments without the program's name; None takes the process's own.
        prog: How its users call it, for the help; by default the script's name.

    Raises:
        SystemExit: With status 2 after a mistake of the user, told in one line on stderr.
    """
    with until_nobody_reads(), one_line_errors(), plain_notices():
        body(parse_options(options_type, argv, prog=prog))


def parse_options(
    options_type: Any, argv: Sequence[str] | None, *, prog: str | None = None, notes: str = ""
) -> Any:
    """Read options from the command line; ``--a_b`` and ``--a-b`` mean the same.

    Settings may stand anywhere, also behind an option that takes many values.

    Args:
        options_type: Dataclass of options, or a union of such for a program with commands.
        argv: Arguments without the program's name; None takes the process's own.
        prog: How its users call it, for the help; by default the script's name.
        notes: What the help says beside the options.

    Raises:
        UserError: The arguments do not fit the options.
        SystemExit: ``--help`` was asked for.
    """
    complaint = io.StringIO()
    purpose = inspect.getdoc(options_type) if isinstance(options_type, type) else None
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                options_type,
                prog=prog,
                description="\n\n".join(filter(None, (purpose, notes))) or None,
                args=_settings_first(options_type, sys.argv[1:] if argv is None else argv),
                use_underscores=True,
                config=(tyro.conf.DisallowNone, tyro.conf.FlagCreatePairsOff),
            )
    except SystemExit as end:
        if not end.code:
            raise
        raise UserError(
            _in_one_line(complaint.getvalue()) or "the arguments do not fit; see --help"
        ) from None


def _in_one_line(complaint: str) -> str:
    """The parser's complaint without the box around it, and without the help of the option."""
    words = re.sub(r"╭.*?╮|[^\x20-\x7e]+|\x1b\[[0-9;]*m|-{4,}", " ", complaint).split()
    text = " ".join(words)
    for pattern, plain in _PLAINER:
        text = re.sub(pattern, plain, text)
    return text


def _settings_first(options_type: Any, arguments: Sequence[str]) -> list[str]:
    if not hasattr(options_type, "settings"):
        return list(arguments)
    return sorted(arguments, key=lambda argument: _SETTING.match(argument) is None)


def check_counts(**counts: int | None) -> None:
    """Refuse options below 1.

    Args:
        **counts: Options by name; None where one was not given.

    Raises:
        UserError: One is below 1; the message names it.
    """
    for name, count in counts.items():
        if count is not None and count < 1:
            raise UserError(f"--{name} {count}: must be at least 1")


@contextlib.contextmanager
def until_nobody_reads() -> Iterator[None]:
    """End quietly where the reader of the output has gone, as that of ``| head`` does."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # What is still held back would fail once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(NOBODY_READS) from None


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn :class:`UserError` into one line on stderr and exit status 2."""
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        raise SystemExit(USAGE_ERROR) from None
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


@contextlib.contextmanager
def plain_notices() -> Iterator[None]:
    """Print each :class:`Notice` as one line on stderr; other warnings as Python does."""
    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **rest: Any) -> None:
        if issubclass(category, Notice):
            print(f"note: {message}", file=sys.stderr, flush=True)
        else:
            usual(message, category, *place, **rest)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = usual


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back what libraries print; shown only if something goes wrong."""
    held = io.StringIO()
    try:
        with contextlib.redirect_stdout(held):
            yield
    except UserError:
        raise
    except BaseException:
        sys.stderr.write(held.getvalue())
        raise
