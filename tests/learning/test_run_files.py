"""What a run leaves beside its checkpoints, read back."""

from __future__ import annotations

from pathlib import Path

import pytest

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


def test_folder_without_them_says_nothing(tmp_path: Path) -> None:
    assert RunFiles.read(tmp_path) == RunFiles(env=None, agent=None, commit="")


def test_damaged_configuration_is_told(tmp_path: Path) -> None:
    (tmp_path / "params").mkdir()
    (tmp_path / "params" / "env.yaml").write_text("a: [1, 2")
    with pytest.raises(UserError, match=r"params or git\.diff cannot be read"):
        RunFiles.read(tmp_path)
