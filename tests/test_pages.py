"""What the pages tell users to type exists."""

from __future__ import annotations

import ast
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest

from pages import DOCS, PAGES, ROOT, commands, python_snippets, settings
from rl_sim_env.cli.compile import CompileOptions
from rl_sim_env.cli.curves import CurvesOptions
from rl_sim_env.cli.evaluate import EvaluateOptions
from rl_sim_env.cli.export import ExportOptions
from rl_sim_env.cli.main import COMMANDS
from rl_sim_env.cli.motions import MotionsCommand
from rl_sim_env.cli.options import DEFAULT_TASK
from rl_sim_env.cli.play import PlayOptions
from rl_sim_env.cli.program import parse_options
from rl_sim_env.cli.robot import RobotCommand
from rl_sim_env.cli.train import TrainOptions
from rl_sim_env.configuration import apply_settings
from rl_sim_env.experiment import split_settings
from rl_sim_env.tasks import find_task, make_env_cfg

_OPTIONS = {
    "train": TrainOptions,
    "play": PlayOptions,
    "evaluate": EvaluateOptions,
    "export": ExportOptions,
    "compile": CompileOptions,
    "curves": CurvesOptions,
    "motions": MotionsCommand,
    "robot": RobotCommand,
}

_TASKS_OF_READERS = ("TASK", "My-Robot-Flat-v0")


def _pages_with(what) -> pytest.MarkDecorator:
    pages = [page for page in PAGES if what(page)]
    return pytest.mark.parametrize("page", pages, ids=lambda page: str(page.relative_to(ROOT)))


@_pages_with(python_snippets)
def test_snippets_import_what_there_is(page: Path):
    for snippet in python_snippets(page):
        for node in ast.walk(ast.parse(snippet)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rl_sim_env"):
                module = import_module(node.module)
                assert not [name.name for name in node.names if not hasattr(module, name.name)]


def _make_what_readers_have(arguments: list[str]) -> None:
    Path("logs/rsl_rl").mkdir(parents=True, exist_ok=True)
    for option, value in pairwise(arguments):
        if option in ("--checkpoint", "--finetune"):
            Path(value).mkdir(parents=True, exist_ok=True)
        elif option in ("--mjcf", "--motions"):
            Path(value).touch()


@_pages_with(commands)
def test_commands_have_the_options_that_pages_give_them(page: Path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for program, *arguments in commands(page):
        _make_what_readers_have(arguments)
        # export_policy.py exports; a program that is only named is given no options.
        name = program.removesuffix(".py").partition("_")[0]
        assert name in COMMANDS
        if any(argument.startswith("--") for argument in arguments):
            given = [DEFAULT_TASK if word in _TASKS_OF_READERS else word for word in arguments]
            parse_options(_OPTIONS[name], given)


@_pages_with(settings)
def test_settings_that_pages_show_exist(page: Path):
    for_env, for_agent = split_settings(settings(page))
    apply_settings(for_env, "env", make_env_cfg(DEFAULT_TASK))
    apply_settings(for_agent, "agent", find_task(DEFAULT_TASK).runner_cfg())


def test_the_exported_policy_walks_as_the_deployment_page_shows(monkeypatch, capsys):
    snippets = python_snippets(DOCS / "deployment.md")
    (snippet,) = (snippet for snippet in snippets if "import rollout" in snippet)
    monkeypatch.chdir(ROOT)
    exec(snippet, {})
    assert "SimToSimResult" in capsys.readouterr().out
