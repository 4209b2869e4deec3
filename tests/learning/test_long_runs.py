"""What shows in the long run: kills one after the other, memory."""

from __future__ import annotations

import multiprocessing
import os
import random
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_env import ToyEnv, ToyExpert, toy_cfg

from rl_sim_env.learning.checkpoint import Checkpoint, resolve_checkpoint
from rl_sim_env.learning.runner import AmpVaeRunner
from soak import soak_seed, times
from to_the_bit import unlike

ENDLESS = 10**6


def make_runner(log_dir: Path, **settings: Any) -> AmpVaeRunner:
    torch.manual_seed(3)
    cfg = toy_cfg(max_iterations=ENDLESS, **settings)
    return AmpVaeRunner(ToyEnv(), cfg, ToyExpert(), log_dir, task_id="Toy-v0")


def go_on(log_dir: Path, saved: Connection) -> None:
    """Train from the newest checkpoint on; tell of each iteration's."""
    runner = make_runner(log_dir, save_interval=1)
    runner.on_save = lambda path: saved.send(path.name)
    if list(log_dir.glob("model_*.pt")):
        runner.load(resolve_checkpoint(root=log_dir))
    done = runner.current_learning_iteration + 1
    runner.learn(ENDLESS - done, init_at_random_ep_len=False)


def test_a_run_that_is_killed_again_and_again_equals_one_that_was_not(tmp_path: Path) -> None:
    draw, killed, last = random.Random(soak_seed()), tmp_path / "killed", -1
    for _ in range(times(3)):
        here, there = multiprocessing.Pipe(duplex=False)
        training = multiprocessing.get_context("fork").Process(target=go_on, args=(killed, there))
        training.start()
        for _ in range(draw.randint(1, 3)):
            here.recv()
        training.join(draw.uniform(0.0, 0.1))
        training.kill()
        training.join()
        newest = resolve_checkpoint(root=killed)
        iteration = Checkpoint.load(newest).iteration
        assert iteration > last
        last = iteration
        for file in {*killed.glob("model_*.pt")} - {newest}:
            file.unlink()

    straight = make_runner(tmp_path / "straight", save_interval=ENDLESS)
    straight.learn(last + 1, init_at_random_ep_len=False)
    name = Checkpoint.file_name(last)
    one, other = (Checkpoint.load(folder / name) for folder in (killed, tmp_path / "straight"))
    assert one.total_steps == other.total_steps
    assert unlike(one.algorithm, other.algorithm) == []


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.slow
def test_training_takes_no_more_memory_with_time(tmp_path: Path) -> None:
    runner = make_runner(tmp_path, save_interval=20)
    runner.learn(40)
    before = resident_mib()
    runner.learn(times(60))
    assert resident_mib() - before < 10.0
