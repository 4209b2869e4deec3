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
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from torch.distributed.distributed_c10d import Store

from rl_sim_env.errors import UserError
from rl_sim_env.learning.distributed import Distributed, is_lost_peer
from rl_sim_env.learning.host_copy import HostCopy

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


@dataclass
class _Row:
    """What a process says of itself."""

    beats: int = 0
    """Grows while the process runs at all."""
    steps: int = 0
    """Grows with each step of training; equal on all processes where they wait for each other."""
    place: str = ""
    """Where in training that is."""
    is_watched: bool = False
    """Whether the next step is due within the limit."""
    end: str | None = None
    """Why the process ended; empty for a good end, None before it."""


@dataclass(frozen=True)
class _Peer:
    """Where a process is."""

    node: int | None
    host: str
    pid: int


@dataclass(frozen=True)
class _Verdict:
    """Why training cannot go on."""

    reason: str
    hanging: tuple[int, ...] = ()
    """Ranks that are still there and hang."""
    lost: tuple[int, ...] = ()
    """Ranks whose fault it is."""


class Heartbeat:
    """Ends this process, saved and with a message, when another one hangs or is gone.

    A thread of each process tells the others, through the store of torchrun, that the process runs
    and how many steps of training it has done. The collectives need not return for that: they would
    tell after ten minutes, and not whose fault it is. Used as a context manager by all processes
    around their training; alone, it does nothing.

    A process hangs if it does not run at all, or if it is behind all others and none of the steps
    that are due within the limit, see :meth:`watched`, comes. Who only waits for it is ahead of it.

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
        self._own = _Row()

    def keep(self, learned: Callable[[], Any]) -> None:
        """Copy to the host what is saved if another process is lost before the next time.

        Args:
            learned: Returns tensors and other values in nested containers.
        """
        if self._is_on:
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
        self._own = _Row()
        # A name of its own: the store outlives processes that torchrun starts anew.
        self._name = self._processes.broadcast(uuid.uuid4().hex)
        ranks = range(self._processes.world_size)
        self._keys = [f"{self._name}/{rank}" for rank in ranks]
        store = self._processes.open_store()
        self._publish(store)
        self._store: Store | None = store
        own = _Peer(self._processes.node, socket.gethostname(), os.getpid())
        self._peers = self._processes.all_gather(own)
        now = time.monotonic()
        self._rows = [_Row() for _ in ranks]
        self._beaten_s, self._stepped_s = [now for _ in ranks], [now for _ in ranks]
        self._looked_s = now
        self._verdict: _Verdict | None = None
        self._has_verdict, self._is_over = threading.Event(), threading.Event()
        self._ending = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="heartbeat", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
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
            verdict = self._verdict or _Verdict("another process ended or stopped answering")
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

    def _look(self) -> _Verdict | None:
        """Tell the others that this process runs, and find out about them."""
        # First of all: who ends well says so before, who is gone without a word was killed.
        gone = [rank for rank, peer in enumerate(self._peers) if self._is_gone(peer)]
        self._own.beats += 1
        rows = self._ask()
        if rows is None:
            if time.monotonic() - self._looked_s <= self._limit_s:
                return None
            # Whoever else is there saves: rank 0 may be no more.
            own_node, host = self._processes.node, self._peers[0].node
            beside = [rank for rank, peer in enumerate(self._peers) if peer.node == host]
            return _Verdict(
                "the store of torchrun, on the host of rank 0, does not answer: that host or its "
                "torchrun ended, or the network fails",
                lost=() if own_node == host else tuple(beside),
            )
        now = time.monotonic()
        # Who did not look himself, because the host was suspended, knows nothing about the others.
        was_away = now - self._looked_s > 2.0 * self._interval_s + 1.0
        self._looked_s = now
        for rank, (row, before) in enumerate(zip(rows, self._rows, strict=True)):
            if was_away or row.beats != before.beats:
                self._beaten_s[rank] = now
            if was_away or row.steps != before.steps or row.is_watched != before.is_watched:
                self._stepped_s[rank] = now
        self._rows = rows
        return self._judge([rank for rank in gone if rows[rank].end is None], now)

    def _ask(self) -> list[_Row] | None:
        """Tell the others of this process and ask for theirs; None where the store is silent.

        From a thread of its own: beyond a network that was cut the library waits for ever.
        """
        answers: list[list[_Row]] = []

        def ask() -> None:
            with suppress(RuntimeError):
                store = self._store = self._store or self._processes.open_store()
                self._publish(store)
                answers.append([_Row(**json.loads(row)) for row in store.multi_get(self._keys)])

        asking = threading.Thread(target=ask, name="heartbeat of others", daemon=True)
        asking.start()
        asking.join(self._limit_s)
        # Who was suspended meanwhile has had no time to listen.
        asking.join(self._interval_s)
        if not answers:
            # The library keeps no connection that failed once.
            self._store = None
        return answers[0] if answers else None

    def _judge(self, killed: list[int], now: float) -> _Verdict | None:
        running = [rank for rank, row in enumerate(self._rows) if row.end is None]
        ended = tuple(rank for rank, row in enumerate(self._rows) if row.end)
        if killed:
            reason = f"{self._names(killed)} was killed or crashed"
            return _Verdict(reason, lost=(*killed, *ended))
        if ended:
            return _Verdict(str(self._rows[ended[0]].end), lost=ended)
        limit = f"{self._limit_s:g} s"
        frozen = [rank for rank in running if now - self._beaten_s[rank] > self._limit_s]
        if frozen:
            reason = f"{self._names(frozen)} stopped: no sign of life for {limit}"
            return _Verdict(reason, hanging=tuple(frozen), lost=tuple(frozen))
        fewest = min((self._rows[rank].steps for rank in running), default=0)
        behind = tuple(rank for rank in running if self._rows[rank].steps == fewest)
        if not behind or not all(self._is_stuck(rank, now) for rank in behind):
            return None
        place = self._rows[behind[0]].place
        if len(behind) == len(self._rows):
            reason = f"all ranks wait for each other in the {place}, without a step for {limit}"
            return _Verdict(reason, hanging=behind)
        reason = f"{self._names(behind)} hangs in the {place}: no step for {limit}"
        return _Verdict(reason, hanging=behind, lost=behind)

    def _is_stuck(self, rank: int, now: float) -> bool:
        return self._rows[rank].is_watched and now - self._stepped_s[rank] > self._limit_s

    def _is_gone(self, peer: _Peer) -> bool:
        """Whether a process of the same torchrun is no more."""
        if not self._is_beside(peer):
            return False
        try:
            os.kill(peer.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def _is_beside(self, peer: _Peer) -> bool:
        """Whether a process has the same torchrun, so that its number means the same to both."""
        return peer.node is not None and peer.node == self._processes.node

    def _names(self, ranks: Iterable[int]) -> str:
        return " and ".join(
            f"rank {rank} (process {self._peers[rank].pid} on {self._peers[rank].host})"
            for rank in ranks
        )

    def _publish(self, store: Store) -> None:
        store.set(self._keys[self._rank], json.dumps(asdict(self._own)))

    def _publish_end(self, reason: str) -> None:
        self._own.end = reason
        if self._verdict is not None and self._store is None:
            return  # It has not answered for long, and would not now.
        with suppress(RuntimeError):
            self._publish(self._store or self._processes.open_store())

    def _message(self, verdict: _Verdict) -> str:
        """Save, if it is for this process to do, and say how training ended."""
        left = set(range(self._processes.world_size)).difference(verdict.lost)
        saved = ""
        if self._rank == min(left, default=None):
            newest: list[Path | None] = []
            save = partial(self._save, self._kept.read())
            saving = threading.Thread(target=lambda: newest.append(save()), daemon=True)
            saving.start()
            saving.join(_SAVING_S)
            saved = " It could not be saved what was learned last."
            for path in newest:
                saved = f" Saved: {path or 'nothing'}."
                if path is not None and self._store is not None:
                    self._processes.note_run(path.parent)
        return f"rank {self._rank}: {verdict.reason}.{saved} Continue with --resume"

    def _end(self, verdict: _Verdict) -> None:
        """End this process, whose main thread is held up."""
        if self._rank in verdict.hanging:
            print(f"rank {self._rank} hangs here:", file=sys.stderr, flush=True)
            faulthandler.dump_traceback()
        print(f"error: {self._message(verdict)}", file=sys.stderr, flush=True)
        self._publish_end(verdict.reason)
        for rank in {*verdict.hanging} & {*verdict.lost} - {self._rank}:
            # torchrun would wait 30 s for a process that does not run.
            if self._is_beside(self._peers[rank]):
                with suppress(ProcessLookupError):
                    os.kill(self._peers[rank].pid, signal.SIGKILL)
        os._exit(_EXIT_CODE)


def _first_line(error: BaseException | None) -> str:
    """What a user error says, or what another one is called and says."""
    kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
    return f"{kind}{error}".partition("\n")[0][:_LONGEST_LINE]
