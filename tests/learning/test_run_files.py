"""What a run leaves beside its checkpoints, read back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import rl_sim_env
from rl_sim_env.errors import UserError
from rl_sim_env.learning.config import AmpVaeRunnerCfg, MlpCfg
from rl_sim_env.learning.run_files import RunFiles, write_run_files
from rl_sim_env.learning.saved_config import runner_cfg_from_dict

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def git_state(status: str) -> str:
    return (
        f"--- git rev-parse HEAD\n{COMMIT}\n\n--- git status --short\n{status}\n"
        "--- git diff HEAD\n--- a/file\n+++ b/file\n"
    )


def test_configuration_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = write_run_files(
        tmp_path, env_cfg=MlpCfg(hidden_dims=(3, 2)), agent_cfg=AmpVaeRunnerCfg()
    )
    read = RunFiles.read(tmp_path)
    assert read.env == written["env"]
    assert read.env["class"] == "rl_sim_env.learning.config:MlpCfg"
    assert (read.env["hidden_dims"], read.env["activation"]) == ([3, 2], "elu")
    assert runner_cfg_from_dict(read.agent, str(tmp_path)) == AmpVaeRunnerCfg()


@pytest.mark.parametrize(
    ("status", "commit"), [("", COMMIT), (" M runner.py\n?? new.py\n", f"{COMMIT} + changes")]
)
def test_commit_tells_whether_there_were_changes(tmp_path: Path, status: str, commit: str) -> None:
    (tmp_path / "git.diff").write_text(git_state(status))
    assert RunFiles.read(tmp_path).commit == commit


def test_commit_of_this_repository_is_found(tmp_path: Path) -> None:
    write_run_files(tmp_path, env_cfg=MlpCfg(), agent_cfg=AmpVaeRunnerCfg())
    if not (tmp_path / "git.diff").exists():
        pytest.skip("the package is not in a git repository")
    assert len(RunFiles.read(tmp_path).commit.split()[0]) == len(COMMIT)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Somebody's repository with a change that is not committed, and the package inside it."""
    folder = tmp_path / "project"
    shutil.copytree(
        Path(rl_sim_env.__file__).parent,
        folder / ".venv" / "rl_sim_env",
        ignore=shutil.ignore_patterns("__pycache__", "*.xml"),
    )
    (folder / "notes.txt").write_text("20\n")
    git(folder, "init", "--quiet")
    commit(folder, "notes.txt")
    (folder / "notes.txt").write_bytes("20 °C, token 123\n".encode() + b"\xff\n")
    return folder


def git(folder: Path, *command: str) -> None:
    subprocess.run(["git", *command], cwd=folder, check=True)


def commit(folder: Path, path: str) -> None:
    git(folder, "add", "--force", path)
    name = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    git(folder, *name, "commit", "--quiet", "--message", "one")


def code_state(project: Path) -> str | None:
    """What a run notes down of the code, in a locale that knows 128 characters."""
    program = (
        "import pathlib; from rl_sim_env.learning.run_files import write_run_files\n"
        "write_run_files(pathlib.Path('run'), env_cfg={}, agent_cfg={})\n"
    )
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run(
        [sys.executable, "-c", program],
        cwd=project.parent,
        env={**os.environ, **ascii_only, "PYTHONPATH": str(project / ".venv")},
        check=True,
    )
    noted = project.parent / "run" / "git.diff"
    return noted.read_text(encoding="utf-8") if noted.exists() else None


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_repository_that_the_package_only_lies_in_is_nobodys_business(project: Path) -> None:
    assert code_state(project) is None


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_changes_are_noted_whatever_the_locale(project: Path) -> None:
    commit(project, ".venv")
    assert "+20 °C, token 123" in (code_state(project) or "")


def test_folder_without_them_says_nothing(tmp_path: Path) -> None:
    assert RunFiles.read(tmp_path) == RunFiles(env=None, agent=None, commit="")


def test_damaged_configuration_is_told(tmp_path: Path) -> None:
    (tmp_path / "params").mkdir()
    (tmp_path / "params" / "env.yaml").write_text("a: [1, 2")
    with pytest.raises(UserError, match=r"params or git\.diff cannot be read"):
        RunFiles.read(tmp_path)
