"""What all programs share: parsing, one line for a mistake, exit codes."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass

import pytest

from rl_sim_env.cli.main import main
from rl_sim_env.cli.program import INTERRUPTED, USAGE_ERROR, parse_options, quiet, run_program
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
