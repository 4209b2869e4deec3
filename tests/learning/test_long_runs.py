"""What shows in the long run: kills one after the other, memory."""

from __future__ import annotations

import multiprocessing
import os
import random
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from ranks import become
from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]
from toy_env import ToyEnv, ToyExpert, toy_cfg

from rl_sim_env.errors import UserError
from rl_sim_env.learning.checkpoint import Checkpoint, resolve_checkpoint
from rl_sim_env.learning.distributed import Distributed
from rl_sim_env.learning.runner import AmpVaeRunner
from soak import soak_seed, times
from to_the_bit import unlike

ENDLESS = 10**6


def make_runner(log_dir: Path, processes: Distributed, **settings: Any) -> AmpVaeRunner:
    processes.seed_all(3)
    cfg = toy_cfg(max_iterations=ENDLESS, heartbeat_seconds=5.0, **settings)
    return AmpVaeRunner(ToyEnv(), cfg, ToyExpert(), log_dir, task_id="Toy-v0", processes=processes)


class Ranks:
    """Processes that train together, as torchrun starts them, one time after the other."""

    def __init__(self, count: int, log_dir: Path) -> None:
        self.log_dir = log_dir
        self.last_words = log_dir.with_suffix(".txt")
        self._count = count
        self._starts = 0
        self._store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)

    def start(self, end: int = ENDLESS) -> tuple[list[BaseProcess], Connection]:
        """Continue from the newest checkpoint; tell of each that is saved."""
        self._starts += 1
        here, there = multiprocessing.Pipe(duplex=False)
        context = multiprocessing.get_context("fork")
        processes = [
            context.Process(target=self._train, args=(rank, end, there))
            for rank in range(self._count)
        ]
        for process in processes:
            process.start()
        return list(processes), here

    def _train(self, rank: int, end: int, saved: Connection) -> None:
        become(
            *(rank, self._count, self._store.port),
            GROUP_RANK="0",
            TORCHELASTIC_USE_AGENT_STORE="True",
            TORCHELASTIC_RESTART_COUNT=str(self._starts),
        )
        try:
            with Distributed.launch(distributed=self._count > 1, device="cpu") as processes:
                runner = make_runner(self.log_dir, processes, save_interval=1)
                runner.on_save = lambda path: saved.send(path.name)
                if list(self.log_dir.glob("model_*.pt")):
                    runner.load(resolve_checkpoint(root=self.log_dir))
                done = runner.current_learning_iteration + 1
                runner.learn(end - done, init_at_random_ep_len=False)
        except UserError as error:
            self.last_words.write_text(str(error))


@pytest.mark.parametrize("count", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_that_is_killed_again_and_again_equals_one_that_was_not(
    tmp_path: Path, count: int
) -> None:
    draw, last, alone = random.Random(soak_seed()), -1, list[Path]()
    ranks = Ranks(count, tmp_path / "killed")
    for _ in range(times(3)):
        training, saved = ranks.start()
        for _ in range(draw.randint(1, 3)):
            saved.recv()
        training[0].join(draw.uniform(0.0, 0.1))
        unlucky = draw.randrange(count)
        training[unlucky].kill()
        for process in (training[unlucky], *training):
            process.join(60.0)
            assert not process.is_alive()
        newest = resolve_checkpoint(root=ranks.log_dir)
        if count > 1:
            words = ranks.last_words.read_text()
            assert f"rank {1 - unlucky}: rank {unlucky} (process {training[unlucky].pid}" in words
            assert f"was killed or crashed. Saved: {newest}. Continue with --resume" in words
            ranks.last_words.unlink()
        checkpoint = Checkpoint.load(newest)
        if len(checkpoint.processes) < count:
            # All that was learned, but not the episodes of who is lost: other robots go on.
            alone.append(newest.rename(tmp_path / newest.name))
            newest = resolve_checkpoint(root=ranks.log_dir)
        iteration = Checkpoint.load(newest).iteration
        assert iteration > last
        last = iteration
        for file in {*ranks.log_dir.glob("model_*.pt")} - {newest}:
            file.unlink()

    straight = Ranks(count, tmp_path / "straight")
    training, _ = straight.start(end=last + 2)
    for process in training:
        process.join()
        assert process.exitcode == 0
    for path in (ranks.log_dir / Checkpoint.file_name(last), *alone):
        one, other = (Checkpoint.load(file) for file in (path, straight.log_dir / path.name))
        assert one.total_steps == other.total_steps
        assert unlike(one.algorithm, other.algorithm) == []


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.slow
def test_training_takes_no_more_memory_with_time(tmp_path: Path) -> None:
    runner = make_runner(tmp_path, Distributed(), save_interval=20)
    runner.learn(40)
    before = resident_mib()
    runner.learn(times(60))
    assert resident_mib() - before < 10.0
