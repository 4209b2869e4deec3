"""What task a checkpoint is of is told without torch, and without running what the file names."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from rl_sim_env.learning.trained_task import trained_task


def write(path: Path, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)
    return path


def test_of_a_folder_the_newest_checkpoint_counts(tmp_path):
    run = tmp_path / "2026-01-02_03-04-05"
    run.mkdir()
    for iteration, task in ((9, "Old-v0"), (10, "New-v0")):
        networks = torch.nn.Linear(2, 3).state_dict()
        torch.save({"algorithm": networks, "task": task}, run / f"model_{iteration}.pt")
    assert trained_task(tmp_path) == trained_task(run) == "New-v0"
    assert trained_task(run / "model_9.pt") == "Old-v0"


def test_nothing_that_a_file_names_is_run(tmp_path):
    class Harm:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harm"),)

    path = write(tmp_path / "model_1.pt", pickle.dumps({"harm": Harm(), "task": "Task-v0"}))
    assert trained_task(path) == "Task-v0"
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", pickle.dumps([1]), pickle.dumps({"task": 3}), pickle.dumps({})]
)
def test_what_cannot_be_told_is_left_to_the_loader(tmp_path, content):
    (tmp_path / "model_2.pt").write_bytes(content)
    assert trained_task(tmp_path / "model_2.pt") is None
    assert trained_task(write(tmp_path / "model_3.pt", content)) is None


def test_an_empty_folder_tells_nothing(tmp_path):
    assert trained_task(tmp_path) is None
