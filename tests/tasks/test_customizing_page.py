"""The page on rewards, terrains, motions and protocols: its files as they stand there, at work."""

from __future__ import annotations

import re
import runpy
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import gymnasium
import pytest

from pages import DOCS, python_snippets, write_files
from rl_sim_env.cli import evaluate, evaluate_options, play, train
from rl_sim_env.cli.motions import main as motions
from rl_sim_env.evaluation import protocols
from rl_sim_env.plugins import ENTRY_POINT_GROUP
from rl_sim_env.tasks import registry

PAGE = DOCS / "customizing.md"
TASK = "My-Lab-Waves-v0"
SMALL = ("--task", TASK, "--device", "cpu", "env.height_map_resolution=0.1")
TRAINING = (
    *(*SMALL, "--num_envs", "4", "agent.num_steps_per_env=4", "agent.amp.batch_size=32"),
    *("agent.algorithm.num_learning_epochs=1", "agent.amp.replay_size=1000"),
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the page's files, the working directory; its tasks are registered."""
    write_files(PAGE, tmp_path)
    facts = (tmp_path / "pyproject.toml").read_text()
    announced = rf'^\[project\.entry-points\."{re.escape(ENTRY_POINT_GROUP)}"\]\n\w+ = "(.+)"$'
    (tasks,) = re.findall(announced, facts, re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    import_module(tasks)
    yield tmp_path
    # Other tests list what is registered.
    registry._TASKS.pop(TASK)
    gymnasium.registry.pop(TASK)
    for name in [name for name in sys.modules if name.startswith("my_lab.")]:
        del sys.modules[name]


def test_a_task_of_own_rewards_and_ground_trains_resumes_plays_and_is_measured(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    train.main((*TRAINING, "--max_iterations", "1"))
    train.main((*TRAINING, "--max_iterations", "2", "--resume"))
    printed = capsys.readouterr()
    assert "new episodes" not in printed.out + printed.err
    play.main((*SMALL, "--num_envs", "2", "--headless", "--duration", "0.1"))
    (addition,) = (each for each in python_snippets(PAGE) if each.startswith("PROTOCOLS["))
    turning = import_module("my_lab.turning").turning
    monkeypatch.setattr(protocols, "PROTOCOLS", dict(protocols.PROTOCOLS))
    exec(addition, vars(protocols) | {"turning": turning})
    monkeypatch.setattr(evaluate, "PROTOCOLS", protocols.PROTOCOLS)
    monkeypatch.setattr(evaluate_options, "PROTOCOL_NAMES", (*protocols.PROTOCOLS,))
    evaluate.main((*SMALL, "--robots", "4", "--seconds", "0.1", "--protocols", "turning"))
    (report,) = project.rglob("report.md")
    assert "## Turning on the spot" in report.read_text()


def test_its_terms_can_be_recorded(project: Path, capsys: pytest.CaptureFixture[str]):
    runpy.run_path(str(project / "my_lab/check.py"))
    assert ".py:" not in capsys.readouterr().out


def test_a_computed_motion_is_a_clip_that_the_robot_can_follow(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    (project / "clips").mkdir()
    runpy.run_path(str(project / "my_lab/clips.py"), run_name="__main__")
    motions(["replay", "clips/bow.npz"])
    assert "bow" in capsys.readouterr().out
