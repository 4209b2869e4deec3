"""The page of a running training: a process of its own, which costs the training next to nothing.

The trainer starts it with the first checkpoint, and it takes those that follow as they appear. It
never sees the GPU, and gets of a busy processor what nobody else wants.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from rl_sim_env.viewer.page import ADDRESS

ROBOTS = 2
"""Robots on the page: more would take the processor that physics of a training may need."""

NICENESS = 19
"""The lowest priority: where a core has other work, that gets 98 % of it and more."""

_PATIENCE = 10.0
"""Time that it is given to end [s]."""


class TrainingViewer:
    """Shows what a training has saved, from its first checkpoint on; it never fails.

    Args:
        program: What the page's process runs, before its options.

    Attributes:
        process: The page's process; None before the first checkpoint, or where none can be started.
    """

    def __init__(self, program: Sequence[str] = (sys.executable, "-m", __name__)) -> None:
        self._program = program
        self.process: subprocess.Popen[str] | None = None
        self._is_open = True
        print(f"viewer: its address follows with the first checkpoint, {ROBOTS} robots", flush=True)

    def take(self, checkpoint: Path) -> None:
        """Tell of a checkpoint that was saved; the page looks for the next ones by itself."""
        if self.process is not None or not self._is_open:
            return
        play = ("--checkpoint", str(checkpoint), "--watch", "--device", "cpu")
        try:
            self.process = subprocess.Popen(
                (*self._program, *play, "--num_envs", str(ROBOTS)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
                text=True,
            )
        except OSError as error:
            self._is_open = False
            _warn(str(error))
            return
        threading.Thread(target=self._listen, args=(self.process,), daemon=True).start()

    def close(self) -> None:
        """End the page."""
        self._is_open = False
        process = self.process
        if process is None:
            return
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _listen(self, process: subprocess.Popen[str]) -> None:
        """Pass the address on, and why the page ended if the training did not end it."""
        assert process.stdout is not None
        last = deque[str](maxlen=1)
        for line in filter(None, map(str.strip, process.stdout)):
            last.append(line)
            if line.startswith(ADDRESS):
                print(line.partition(" (")[0], flush=True)
        if process.wait() and self._is_open:
            _warn(" ".join(last) or f"status {process.returncode}")


def _warn(reason: str) -> None:
    with contextlib.suppress(OSError):
        print(f"warning: no viewer: {reason}; training goes on", file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> None:
    """Be the page's process: play, until the trainer is no more, however that ended."""
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    # A shell lets what it runs in the background ignore Ctrl-C, and so would what that starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_end_with_trainer, daemon=True).start()
    # Only here: the trainer starts this module and needs none of it.
    from rl_sim_env.cli import play

    play.main(arguments)


def _end_with_trainer() -> None:
    # Ends where the other end of the pipe is closed, by the trainer or with it.
    sys.stdin.read()
    # As Ctrl-C does.
    _thread.interrupt_main()


if __name__ == "__main__":
    main(sys.argv[1:])
