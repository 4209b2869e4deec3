"""What the pages tell users to type exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import pytest

from pages import DOCS, PAGES, ROOT, commands, links, make_commands, python_snippets, settings
from rl_sim_env.cli.main import COMMANDS
from rl_sim_env.cli.options import DEFAULT_TASK
from rl_sim_env.cli.program import parse_options
from rl_sim_env.configuration import apply_settings
from rl_sim_env.experiment import split_settings
from rl_sim_env.tasks import find_task, make_env_cfg

_TASKS_OF_READERS = ("TASK", "My-Robot-Flat-v0", "My-Lab-Waves-v0")


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


def _words(arguments: Sequence[str]) -> list[str]:
    """Arguments with a task of ours where readers shall put one of theirs; help is not asked for."""
    given = [DEFAULT_TASK if word in _TASKS_OF_READERS else word for word in arguments]
    return [word for word in given if word not in ("--help", "...")]


@_pages_with(commands)
def test_commands_have_the_options_that_pages_give_them(page: Path):
    for program, *arguments in commands(page):
        # export_policy.py exports; a program that is only named is given no options.
        name = program.removesuffix(".py").partition("_")[0]
        assert name in COMMANDS
        if arguments and name != "curves":  # whose runs must be there
            parse_options(COMMANDS[name].options_type, _words(arguments))


@_pages_with(make_commands)
def test_targets_of_make_are_there_and_take_the_options_that_pages_give_them(page: Path):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target, *variables in make_commands(page):
        assert target in targets
        given = dict(variable.split("=", 1) for variable in variables)
        assert given.keys() <= {"ARGS", "ROBOT", "PYTHON", "SOAK"}
        if target in COMMANDS and "ARGS" in given:
            parse_options(COMMANDS[target].options_type, _words(given["ARGS"].split()))


@_pages_with(links)
def test_links_lead_somewhere(page: Path):
    for target in links(page):
        name, _, heading = target.partition("#")
        there = page.parent / name if name else page
        assert there.exists(), target
        if heading:
            found = re.findall(r"^#+ (.*)$", there.read_text(), re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", of).lower().replace(" ", "-") for of in found]


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
