"""Signals that end training with a checkpoint instead of at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from types import FrameType

_ANSWER = (
    b"\n%s: training saves a checkpoint and ends, after this step, or this iteration where several "
    b"processes train; once more ends it at once, without\n"
)

_HANG_UP = getattr(signal, "SIGHUP", None)
"""What a terminal sends that is closed, where there are such signals."""


class StopSignals:
    """Remembers the first SIGINT, SIGTERM or SIGHUP instead of dying of it.

    The second one kills at once, unless it is SIGHUP: a terminal that closes sends it through its
    shell and by itself. Whoever ignores it, as nohup does, goes on ignoring it. Outside the main
    thread, where python handles no signals, nothing happens.

    Args:
        answers: Whether to tell the first on standard error, at once.
    """

    def __init__(self, answers: bool = False) -> None:
        self._answers = answers

    received: signal.Signals | None = None
    """The signal, once it came."""

    def __enter__(self) -> StopSignals:
        self._previous = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._remember)
            if _HANG_UP and signal.getsignal(_HANG_UP) is not signal.SIG_IGN:
                self._previous[_HANG_UP] = signal.signal(_HANG_UP, self._remember)
        self._terminals = [number for number in (1, 2) if os.isatty(number)]
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if number == _HANG_UP:
            self._let_go_of_terminals()
        if self.received is None:
            self.received = signal.Signals(number)
            if self._answers and number != _HANG_UP:
                # Not print(): the signal may have interrupted one.
                with contextlib.suppress(OSError):
                    os.write(2, _ANSWER % self.received.name.encode())
            for each in self._previous.keys() - {_HANG_UP}:
                signal.signal(each, signal.SIG_DFL)

    def _let_go_of_terminals(self) -> None:
        """Print to nowhere: a line to a terminal that is gone would end training unsaved."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for number in self._terminals:
            os.dup2(nowhere, number)
        os.close(nowhere)
