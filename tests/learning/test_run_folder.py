"""Runs do not share folders, and what they leave half written goes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rl_sim_env.errors import UserError
from rl_sim_env.learning.run_folder import make_run_folder, names_of_run, remove_leftovers


def test_runs_that_start_in_one_moment_get_a_folder_each(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from rl_sim_env.learning.run_folder import make_run_folder\n"
        "for _ in range(20): print(make_run_folder(pathlib.Path(sys.argv[1]), 'walk'))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "logs" / "experiment")]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    made = [Path(line) for each in started for line in each.communicate(timeout=60)[0].split()]
    assert len(made) == len(set(made)) == 40
    assert all(folder.is_dir() for folder in made)
    assert {names_of_run(folder)[1] for folder in made} == {"walk"}


def test_a_run_without_a_name_is_called_by_the_time(tmp_path: Path) -> None:
    first, second = (make_run_folder(tmp_path, "") for _ in range(2))
    assert first != second
    assert names_of_run(second) == (second.name, second.name)


def test_where_no_folder_can_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/experiment/.*cannot be made"):
        make_run_folder(tmp_path / "file" / "experiment", "walk")


def test_half_written_files_go_once_nobody_can_be_writing_them(tmp_path: Path) -> None:
    old = ("model_3.pt.1a2b.tmp", "exported/model_3/policy.onnx.tmp", "model_3.pt", "notes.tmp")
    for name in (*old, "model_4.pt.tmp"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        if name in old:
            os.utime(file, (time.time() - 7200.0,) * 2)
    (tmp_path / "model_5.pt.tmp").mkdir()
    remove_leftovers(tmp_path)
    left = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.*")}
    assert left == {"model_3.pt", "model_4.pt.tmp", "model_5.pt.tmp", "notes.tmp"}
