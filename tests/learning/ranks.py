"""The toy's training in several processes on one host."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import toy_train

from ports import free_port

PROGRAM = Path(toy_train.__file__)

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["rl_sim_env.learning.runner"])


def by_torchrun(*arguments: object, ranks: int = 2) -> subprocess.CompletedProcess[str]:
    """Train as a user does: each process takes seconds to import what it needs."""
    launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone")
    return subprocess.run(
        [*launcher, f"--nproc_per_node={ranks}", *map(str, (PROGRAM, *arguments))],
        capture_output=True,
        text=True,
        timeout=120.0,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def train(*arguments: object, ranks: int = 2) -> subprocess.CompletedProcess[str]:
    """Train in processes that are copies of one which has imported everything already."""
    words = [*map(str, arguments)]
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        prints = [tuple(Path(folder, f"{rank}.{name}") for name in "oe") for rank in range(ranks)]
        processes = [
            _CONTEXT.Process(target=_train, args=(words, rank, ranks, port, printed))
            for rank, printed in enumerate(prints)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(120.0)
            process.kill()
        output, errors = (
            "".join(file.read_text() for file in files) for files in zip(*prints, strict=True)
        )
    codes = [process.exitcode for process in processes]
    return subprocess.CompletedProcess(words, max(map(abs, codes)), output, errors)


def _train(words: list[str], rank: int, ranks: int, port: int, prints: tuple[Path, Path]) -> None:
    for descriptor, file in zip((1, 2), prints, strict=True):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), descriptor)
    become(rank, ranks, port)
    toy_train.program(words)


def become(rank: int, ranks: int, port: int, **more: str) -> None:
    """Be one of some processes of this host, as if torchrun had said so.

    Args:
        rank: Which of them.
        ranks: How many there are.
        port: Where their store is, or where rank 0 shall open it.
        **more: Other variables of torchrun's.
    """
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        **more,
    }
