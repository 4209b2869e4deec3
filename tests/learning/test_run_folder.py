"""Runs do not share folders."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rl_sim_env.errors import UserError
from rl_sim_env.learning.run_folder import make_run_folder, names_of_run


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
