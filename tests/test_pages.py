"""What the pages tell users to type exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pages import DOCS, PAGES, ROOT, commands, links, make_commands, python_snippets, settings
from rl_sim_env.cli.evaluate_options import PROTOCOL_NAMES
from rl_sim_env.cli.main import COMMANDS, main
from rl_sim_env.cli.options import DEFAULT_TASK
from rl_sim_env.cli.program import parse_options
from rl_sim_env.configuration import apply_settings
from rl_sim_env.deploy import DeployedPolicy
from rl_sim_env.experiment import split_settings
from rl_sim_env.tasks import find_task, make_env_cfg

_TASKS_OF_READERS = ("TASK", "My-Robot-Flat-v0", "My-Lab-Waves-v0")

_TASKS_OF_PAGES = {"perception.md": "Rl-Sim-Env-AmpVaeVit-Grq20-V2d3-v0"}
"""Tasks that the settings of a page are for, where they are not for the default one."""


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
    """Arguments with a task of ours where readers put one of theirs, and no wish for help."""
    given = [DEFAULT_TASK if word in _TASKS_OF_READERS else word for word in arguments]
    return [word for word in given if word not in ("--help", "...")]


def _make_what_readers_have(arguments: list[str]) -> None:
    Path("logs/rsl_rl").mkdir(parents=True, exist_ok=True)
    for word in arguments:
        if word.startswith("logs/") or word.endswith("/report"):
            Path(word).mkdir(parents=True, exist_ok=True)
    for option, value in pairwise(arguments):
        if option in ("--checkpoint", "--compare", "--finetune"):
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
        # Words alone name a program, or files that would have to be there.
        if any(word.startswith("--") or "=" in word for word in arguments):
            parse_options(COMMANDS[name].options_type, _words(arguments))


def test_the_entrance_is_short_and_begins_with_a_command():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 120
    assert any(line.startswith("    make ") for line in lines[:20])


def test_figures_of_the_entrance_are_those_of_the_results():
    rows = re.findall(r"^\| .*\d.*\|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    results = (DOCS / "results.md").read_text().replace("](../", "](")
    assert rows and [row for row in rows if row not in results] == []


def test_files_that_the_entrance_names_from_the_parent_folder_are_there():
    named = re.findall(r"rl_sim_env-amp_vae_vit/([\w./]+)", (ROOT / "README.md").read_text())
    assert named and all((ROOT / name).exists() for name in named)


def test_the_page_on_measuring_names_all_protocols():
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", (DOCS / "measuring.md").read_text(), re.M)
    assert {name for row in rows for name in re.findall(r"\w+", row)} == set(PROTOCOL_NAMES)


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
    task = _TASKS_OF_PAGES.get(page.name, DEFAULT_TASK)
    for_env, for_agent = split_settings(settings(page))
    apply_settings(for_env, "env", make_env_cfg(task))
    apply_settings(for_agent, "agent", find_task(task).runner_cfg())


_TELLING = sorted(
    {
        " ".join(_words(command))
        for page in PAGES
        for command in commands(page)
        if command[0] in ("tasks", "settings")
    }
)
"""Calls that only print, on all pages."""


@pytest.mark.parametrize("command", _TELLING)
def test_commands_that_only_tell_something_tell_it(
    command: str, capsys: pytest.CaptureFixture[str]
):
    main(command.split())
    assert capsys.readouterr().out


def test_environments_are_made_from_python_as_the_training_page_shows():
    (snippet,) = python_snippets(DOCS / "training.md")
    made: dict[str, Any] = {}
    exec(snippet, made)
    assert made["observations"]["actor_obs"].shape == (4, 57)
    assert made["one"].observation_space["actor_obs"].shape == (57,)


def test_messages_of_ros_become_a_reading_as_the_page_on_platforms_shows():
    (snippet,) = python_snippets(DOCS / "platforms.md")
    made: dict[str, Any] = {}
    exec(snippet, made)
    policy = DeployedPolicy(ROOT / "policies/grq20_v2d3/policy.onnx")
    facts = policy.metadata
    still = SimpleNamespace(x=0.0, y=0.0, z=0.0)
    joints = SimpleNamespace(
        name=facts.joint_names[::-1],
        position=facts.default_joint_pos[::-1],
        velocity=np.zeros(12),
        effort=np.arange(12.0)[::-1],
    )
    imu = SimpleNamespace(
        orientation=SimpleNamespace(x=0.0, y=0.0, z=0.0, w=1.0), angular_velocity=still
    )
    twist = SimpleNamespace(linear=SimpleNamespace(x=0.5, y=0.0, z=0.0), angular=still)
    reading = made["reading_of"](policy, imu, joints, twist)
    np.testing.assert_array_equal(reading.joint_pos, facts.default_joint_pos)
    np.testing.assert_array_equal(reading.joint_torques, np.arange(12.0))
    np.testing.assert_array_equal(reading.projected_gravity, (0.0, 0.0, -1.0))
    assert np.isfinite(policy.step(reading).joint_targets).all()


def test_the_exported_policy_walks_as_the_deployment_page_shows(monkeypatch, capsys):
    snippets = python_snippets(DOCS / "deployment.md")
    (snippet,) = (snippet for snippet in snippets if "import rollout" in snippet)
    monkeypatch.chdir(ROOT)
    exec(snippet, {})
    assert "SimToSimResult" in capsys.readouterr().out
