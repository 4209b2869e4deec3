"""Disks that fill up and folders that go away cost curves, never what was learned."""

from __future__ import annotations

import dataclasses
import os
import re
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TextIO

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from toy_env import ToyEnv, ToyExpert, toy_cfg

from rl_sim_env.errors import UserError
from rl_sim_env.learning.checkpoint import Checkpoint
from rl_sim_env.learning.rescue import Rescue
from rl_sim_env.learning.runner import AmpVaeRunner
from rl_sim_env.learning.training_env import Breakdowns

CURVE = "Perf/total_steps"

Events = Mapping[int, Callable[[], object]]


class EventfulEnv(ToyEnv):
    """Lets something happen in the course of given iterations.

    Args:
        events: What happens, by iteration.
    """

    def __init__(self, events: Events) -> None:
        super().__init__()
        self._events = events
        self._iteration = -1

    def check_health(self) -> Breakdowns:
        self._iteration += 1
        self._events.get(self._iteration, lambda: None)()
        return Breakdowns()


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's temporary folder."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "run"


@pytest.fixture
def small_files() -> Iterator[Callable[[], None]]:
    """Lets no file grow beyond 5000 bytes, as if the disk were full, until the test ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def make_runner(run: Path, events: Events, kind: type[EventfulEnv] = EventfulEnv) -> AmpVaeRunner:
    torch.manual_seed(3)
    cfg = toy_cfg(save_interval=2)
    runner = AmpVaeRunner(kind(events), cfg, ToyExpert(), run, task_id="Toy-v0")
    runner.rescue_dir = run.parent / "rescue"
    runner.rescue_dir.mkdir(parents=True)
    return runner


def replace_by_a_file(run: Path) -> None:
    shutil.rmtree(run)
    run.touch()


def iterations_of(run: Path) -> list[int]:
    return [event.step for event in EventAccumulator(str(run)).Reload().Scalars(CURVE)]


def test_a_folder_that_is_deleted_is_made_again(run: Path) -> None:
    make_runner(run, {2: lambda: shutil.rmtree(run)}).learn(4)
    assert Checkpoint.load(run / "model_3.pt").iteration == 3
    assert iterations_of(run) == [2, 3]


def test_without_its_folder_a_run_goes_on_and_saves_elsewhere(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runner = make_runner(run, {1: lambda: replace_by_a_file(run)})
    told: list[Path] = []
    runner.on_save = told.append
    runner.learn(4)
    output = capsys.readouterr().out
    assert output.count("curves are not written") == 1
    paths = re.findall(r"model_\d\.pt: could not .* saved in (\S+) instead", output)
    assert [path.rpartition("/")[2] for path in paths] == ["model_2.pt", "model_3.pt"]
    assert told == [run / "model_0.pt", *map(Path, paths)]
    # Of those elsewhere only the newest is kept.
    (rescued,) = (run.parent / "rescue").rglob("*.pt")
    assert str(rescued) == paths[1]
    assert Checkpoint.load(rescued).iteration == 3


def test_curves_and_checkpoints_are_where_they_belong_once_the_folder_is_back(run: Path) -> None:
    events = {1: lambda: replace_by_a_file(run), 3: run.unlink}
    make_runner(run, events).learn(5)
    assert iterations_of(run) == [3, 4]
    assert Checkpoint.load(run / "model_4.pt").iteration == 4


def test_a_rescue_folder_that_is_gone_too_leaves_the_temporary_one(
    run: Path, temporary: Path
) -> None:
    make_runner(run, {0: lambda: (shutil.rmtree(run.parent), run.parent.touch())}).learn(1)
    (rescued,) = temporary.rglob("model_0.pt")
    assert Checkpoint.load(rescued).iteration == 0


def test_ctrl_c_without_a_folder_saves_elsewhere(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt() -> None:
        replace_by_a_file(run)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(SystemExit) as ended:
        make_runner(run, {1: interrupt}).learn(4)
    assert ended.value.code == 130
    saved = re.search(r"SIGINT: training ends; saved: (\S+)", capsys.readouterr().out)
    assert saved is not None
    assert Checkpoint.load(Path(saved[1])).iteration == 1


def test_a_full_disk_stops_nothing_until_there_is_nothing_left_to_train(
    run: Path, capsys: pytest.CaptureFixture[str], small_files: Callable[[], None]
) -> None:
    runner = make_runner(run, {1: small_files})
    with pytest.raises(
        UserError, match=r"iteration 3 could not .*--rescue_dir; saved: \S*model_0\.pt"
    ):
        runner.learn(4)
    assert runner.current_learning_iteration == 3
    assert re.findall(r"not saved: \S+/(\w+)\.pt.*nor elsewhere: .*", capsys.readouterr().out) == [
        "model_2",
        "model_3",
    ]
    assert Checkpoint.load(run / "model_0.pt").iteration == 0
    assert not list(run.parent.rglob("*.tmp"))


def test_curves_go_on_behind_what_a_full_disk_cut_off(
    run: Path, small_files: Callable[[], None]
) -> None:
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    events = {
        1: small_files,
        3: lambda: resource.setrlimit(resource.RLIMIT_FSIZE, unlimited),
    }
    make_runner(run, events).learn(5)
    written = iterations_of(run)
    assert written[0] == 0
    assert 2 not in written
    assert written[-2:] == [3, 4]


def test_training_outlives_whoever_reads_its_output(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        make_runner(run, {}).learn(3)
        monkeypatch.undo()
        discard(full)
    assert Checkpoint.load(run / "model_2.pt").iteration == 2


def test_what_another_process_has_saved_stays_unless_it_is_damaged(run: Path) -> None:
    runner = make_runner(run, {})
    runner.learn(1)
    path = run / "model_0.pt"
    saved = path.read_bytes()
    own = dataclasses.replace(Checkpoint.load(path), total_steps=7)
    rescue = Rescue(run.name, None, print)
    assert rescue.save_first(own, path) == path
    assert path.read_bytes() == saved
    path.write_bytes(saved[:-100])
    assert rescue.save_first(own, path) == path
    assert Checkpoint.load(path).total_steps == 7


def discard(stream: TextIO) -> None:
    """Point a stream that cannot be written to where its rest can be."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def test_a_folder_that_cannot_be_written_is_told_before_training(run: Path) -> None:
    runner = make_runner(run, {})
    run.touch()
    with pytest.raises(UserError, match="the run's folder cannot be written"):
        runner.learn(1)
    assert runner.current_learning_iteration == -1


def test_what_reproduces_a_failure_is_written_elsewhere_too(run: Path) -> None:
    class BrokenEnv(EventfulEnv):
        def check_health(self) -> Breakdowns:
            sound = super().check_health()
            return Breakdowns(robots=8, resets=64) if self._iteration == 1 else sound

    runner = make_runner(run, {1: lambda: replace_by_a_file(run)}, BrokenEnv)
    with pytest.raises(UserError, match=r"broke down.*What reproduces it is in") as stopped:
        runner.learn(4)
    assert Path(str(stopped.value).rpartition(" ")[2]).name == "failed.pt"
    assert Path(str(stopped.value).rpartition(" ")[2]).is_file()
