"""Whether the other processes of a run are alive, found out beside the collectives, and by name."""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from torch.distributed.distributed_c10d import Store

from rl_sim_env.errors import UserError
from rl_sim_env.learning.distributed import Distributed, is_lost_peer
from rl_sim_env.learning.host_copy import HostCopy
from rl_sim_env.learning.liveness import Liveness, Peer, Row, Verdict

_INTERVAL_S = 2.0
"""Time between two looks at the others; less where the limit is short."""

_LOOKS_IN_LIMIT = 5
"""Least number of looks within the limit."""

_GRACE_S = 10.0
"""Time in which a process whose peers are gone may end in its own way: with the error that it
shares with them, with a dump."""

_SAVING_S = 8.0
"""Time that saving may take, on a disk that may never answer."""

_STORE_S = 30.0
"""Time that the library takes to give up a store that does not answer."""

_EXIT_CODE = 1
"""Status of a process that ends because of another one."""

_LONGEST_LINE = 500
"""Characters of another process's error that are repeated."""

T = TypeVar("T")


class Heartbeat:
    """Ends this process, saved and with a message, when another one hangs or is gone.

    A thread of each process tells the others, through the store of torchrun, that the process runs
    and how many steps of training it has done. The collectives need not return for that: they would
    tell after ten minutes, and not whose fault it is. Used as a context manager by all processes
    around their training; alone, it does nothing.

    Args:
        processes: The processes that train together.
        limit_s: Longest time without a sign of life or a step [s]; None to never look.
        save: Saves what :meth:`keep` copied last and returns the newest checkpoint there is, None
            for none. It is called at most once, from a thread of its own, and must ask neither the
            device nor other processes, which may be held up.
    """

    def __init__(
        self, processes: Distributed, limit_s: float | None, save: Callable[[Any], Path | None]
    ) -> None:
        self._processes = processes
        self._is_on = limit_s is not None and processes.world_size > 1
        self._limit_s = limit_s or 0.0
        self._interval_s = min(_INTERVAL_S, self._limit_s / _LOOKS_IN_LIMIT)
        self._save = save
        self._kept = HostCopy()
        self._own = Row()
        self._verdict: Verdict | None = None

    def keep(self, learned: Callable[[], Any]) -> None:
        """Copy to the host what is saved if another process is lost before the next time.

        Args:
            learned: Returns tensors and other values in nested containers: all that is saved, for
                what is elsewhere may be of another iteration by then.
        """
        # After a verdict somebody may be reading what was copied.
        if self._is_on and self._verdict is None:
            self._kept.refresh(learned())

    def step(self, place: str) -> None:
        """Count a step of training; ``place`` says where in training it is."""
        self._own.steps += 1
        self._own.place = place

    @contextmanager
    def watched(self, is_watched: bool) -> Iterator[None]:
        """Say that :meth:`step` will be called within the limit, or not.

        Outside, everything takes the time it takes: compiling, saving, evaluating.
        """
        self._own.is_watched = is_watched
        try:
            yield
        finally:
            self._own.is_watched = False

    def __enter__(self) -> Heartbeat:
        if not self._is_on:
            return self
        self._own, self._verdict = Row(), None
        # A name of its own: the store outlives processes that torchrun starts anew.
        name = self._processes.broadcast(uuid.uuid4().hex)
        ranks = range(self._processes.world_size)
        self._keys = [f"{name}/{rank}" for rank in ranks]
        # Apart: a row that is late must not take back that a process ended.
        self._end_keys = [f"{name}/{rank}/end" for rank in ranks]
        store = self._processes.open_store()
        self._publish(store)
        store.set(self._end_keys[self._rank], json.dumps(None))
        self._store: Store | None = store
        own = Peer(self._processes.node, socket.gethostname(), os.getpid())
        self._peers = self._processes.all_gather(own)
        self._liveness = Liveness(
            self._peers, self._rank, self._limit_s, self._interval_s, time.monotonic()
        )
        self._has_verdict, self._is_over = threading.Event(), threading.Event()
        self._ending = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="heartbeat", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if not self._is_on:
            return
        peer_is_lost = error is not None and is_lost_peer(error)
        if peer_is_lost:
            # Of a process on another host nobody knows that it is gone before the limit is over.
            self._has_verdict.wait(self._limit_s + 3.0 * self._interval_s + _STORE_S)
        with self._ending:
            self._is_over.set()
        self._thread.join(self._interval_s)
        if peer_is_lost:
            unknown = Verdict("another process ended or stopped answering", lost=None)
            verdict = self._verdict or unknown
            message = self._message(verdict)
            self._publish_end(verdict.reason)
            raise UserError(message) from error
        is_good = error is None or isinstance(error, SystemExit)
        self._publish_end("" if is_good else f"rank {self._rank} ended: {_first_line(error)}")

    @property
    def _rank(self) -> int:
        return self._processes.rank

    def _watch(self) -> None:
        while not self._is_over.wait(self._interval_s):
            verdict = self._look()
            if verdict is None:
                continue
            self._verdict = verdict
            self._has_verdict.set()
            # A hanging process uses the time to say where.
            if self._is_over.wait(2.0 * self._interval_s if verdict.hanging else _GRACE_S):
                return
            with self._ending:
                if not self._is_over.is_set():
                    self._end(verdict)

    def _look(self) -> Verdict | None:
        """Tell the others that this process runs, and find out about them."""
        # First of all: who ends well says so before, who is gone without a word was killed.
        gone = [rank for rank, peer in enumerate(self._peers) if self._is_gone(peer)]
        self._own.beats += 1
        asked_s = time.monotonic()
        rows = self._ask()
        return self._liveness.look(rows, gone, asked_s, time.monotonic())

    def _ask(self) -> list[Row] | None:
        """Tell the others of this process and ask for theirs; None where the store is silent."""

        def ask() -> list[Row]:
            store = self._store = self._store or self._processes.open_store()
            self._publish(store)
            answers = [json.loads(each) for each in store.multi_get([*self._keys, *self._end_keys])]
            rows, ends = answers[: len(self._keys)], answers[len(self._keys) :]
            return [Row(**row | {"end": end}) for row, end in zip(rows, ends, strict=True)]

        # Who was suspended meanwhile has had no time to listen.
        answers = _within(self._liveness.patience_s, self._interval_s, job=ask)
        if not answers:
            # The library keeps no connection that failed once.
            self._store = None
        return answers[0] if answers else None

    def _is_gone(self, peer: Peer) -> bool:
        """Whether a process of the same torchrun is no more."""
        if not peer.is_beside(self._peers[self._rank]):
            return False
        try:
            os.kill(peer.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def _publish(self, store: Store) -> None:
        store.set(self._keys[self._rank], json.dumps(asdict(self._own)))

    def _publish_end(self, reason: str) -> None:
        if self._verdict is not None and self._store is None:
            return  # It has not answered for long, and would not now.

        def publish() -> None:
            store = self._store or self._processes.open_store()
            store.set(self._end_keys[self._rank], json.dumps(reason))

        _within(self._liveness.patience_s, job=publish)

    def _message(self, verdict: Verdict) -> str:
        """Save, if it is for this process to do, and say how training ended."""
        saved = ""
        if self._liveness.must_save(verdict):
            newest = _within(_SAVING_S, job=lambda: self._saved(self._kept.read()))
            saved = f" {newest[0] if newest else 'It could not be saved what was learned last'}."
        return f"rank {self._rank}: {verdict.reason}.{saved} Continue with --resume"

    def _saved(self, learned: Any) -> str:
        """Save and say where, to the processes that torchrun starts next, too."""
        try:
            path = self._save(learned)
        except Exception as error:  # whatever it is: these are the last words
            return f"It could not be saved what was learned last: {_first_line(error)}"
        if path is not None and self._store is not None:
            _within(self._interval_s, job=lambda: self._processes.note_run(path.parent))
        return f"Saved: {path or 'nothing'}"

    def _end(self, verdict: Verdict) -> None:
        """End this process, whose main thread is held up."""
        try:
            if self._rank in verdict.hanging:
                print(f"rank {self._rank} hangs here:", file=sys.stderr, flush=True)
                faulthandler.dump_traceback()
            print(f"error: {self._message(verdict)}", file=sys.stderr, flush=True)
            self._publish_end(verdict.reason)
            for rank in {*verdict.hanging} & {*(verdict.lost or ())} - {self._rank}:
                # torchrun would wait 30 s for a process that does not run.
                if self._peers[rank].is_beside(self._peers[self._rank]):
                    with suppress(ProcessLookupError):
                        os.kill(self._peers[rank].pid, signal.SIGKILL)
        finally:
            # Nobody may read any more what is printed.
            os._exit(_EXIT_CODE)


def _within(*waits_s: float, job: Callable[[], T]) -> list[T]:
    """What a job returns; nothing where the store fails it or it is not done after the waits.

    It has a thread of its own: beyond a network that was cut the library waits for ever, and so may
    a disk.
    """
    results: list[T] = []

    def do() -> None:
        with suppress(RuntimeError):
            results.append(job())

    thread = threading.Thread(target=do, daemon=True)
    thread.start()
    for wait_s in waits_s:
        thread.join(wait_s)
    return results


def _first_line(error: BaseException | None) -> str:
    """What a user error says, or what another one is called and says."""
    kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
    return f"{kind}{error}".partition("\n")[0][:_LONGEST_LINE]
