"""What all programs share: parsing, one line for a mistake, exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from dataclasses import dataclass
from typing import Annotated

import pytest
import tyro

from rl_sim_env.cli.main import main
from rl_sim_env.cli.program import (
    INTERRUPTED,
    NOBODY_READS,
    USAGE_ERROR,
    parse_options,
    quiet,
    run_program,
)
from rl_sim_env.errors import Notice, UserError


@dataclass
class Options:
    """A program."""

    num_envs: int = 1
    """Robots."""


def complain(options: Options) -> None:
    raise UserError("no robots; give some")


def run(body, argv, capsys) -> tuple[int, str]:
    with pytest.raises(SystemExit) as end:
        run_program(Options, body, argv)
    return end.value.code, capsys.readouterr().err


def test_underscores_and_hyphens_mean_the_same():
    for flag in ("--num_envs", "--num-envs"):
        assert parse_options(Options, [flag, "5"]).num_envs == 5


def test_mistake_is_one_line_on_stderr_and_status_2(capsys):
    code, err = run(complain, [], capsys)
    assert code == USAGE_ERROR == 2
    assert err == "error: no robots; give some\n"


@pytest.mark.parametrize("argv", [["--robots", "3"], ["--num_envs", "three"]])
def test_unfit_argument_is_one_line_that_names_it(argv, capsys):
    code, err = run(complain, argv, capsys)
    assert code == USAGE_ERROR
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert argv[-1] in err
    assert "╭" not in err


def test_help_is_no_mistake(capsys):
    with pytest.raises(SystemExit) as end:
        run_program(Options, complain, ["--help"])
    assert end.value.code == 0
    assert "--num_envs" in capsys.readouterr().out.replace("-envs", "_envs")


def test_interrupt_ends_without_a_traceback(capsys):
    def interrupted(options: Options) -> None:
        raise KeyboardInterrupt

    code, err = run(interrupted, [], capsys)
    assert code == INTERRUPTED
    assert err == ""


def test_other_errors_are_not_hidden():
    def broken(options: Options) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_program(Options, broken, [])


def test_quiet_holds_output_back_unless_something_breaks(capsys):
    with quiet():
        print("chatter")
    assert capsys.readouterr() == ("", "")
    with pytest.raises(ZeroDivisionError), quiet():
        print("what led there")
        raise ZeroDivisionError
    assert "what led there" in capsys.readouterr().err


def test_unknown_command_lists_the_commands(capsys):
    with pytest.raises(SystemExit) as end:
        main(["plya"])
    assert end.value.code == USAGE_ERROR
    err = capsys.readouterr().err
    assert "plya" in err
    assert "play " in err


def test_command_gets_the_arguments_behind_it(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["rl-sim-env", "play", "--num_envs", "0"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == USAGE_ERROR
    assert "--num_envs 0" in capsys.readouterr().err


def test_a_notice_is_one_plain_line_and_other_warnings_keep_their_place(capsys):
    def notice(options: Options) -> None:
        warnings.warn("a floor was left out", Notice, stacklevel=1)
        warnings.warn("something else", RuntimeWarning, stacklevel=1)

    with pytest.warns(RuntimeWarning) as told:
        run_program(Options, notice, [])
    assert capsys.readouterr().err == "note: a floor was left out\n"
    assert [str(each.message) for each in told] == ["something else"]


@dataclass
class ManyOptions:
    motions: tuple[str, ...] | None = None
    settings: Annotated[tuple[str, ...], tyro.conf.Positional] = ()


def test_settings_behind_an_option_of_many_values_are_settings():
    argv = ["env.a.b=1", "--motions", "trot.npz", "folder/env.c=3.npz", "agent.x=2", "env.b=(1, 2)"]
    read = parse_options(ManyOptions, argv)
    assert read.settings == ("env.a.b=1", "agent.x=2", "env.b=(1, 2)")
    assert read.motions == ("trot.npz", "folder/env.c=3.npz")


@pytest.mark.parametrize("arguments", (["--help"], ["curves", "--help"]))
def test_help_that_nobody_reads_to_its_end_ends_quietly(arguments):
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [sys.executable, "-c", "from rl_sim_env.cli import main; main()", *arguments],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)
    assert ended.returncode == NOBODY_READS
    assert "Traceback" not in ended.stderr and "BrokenPipe" not in ended.stderr
