"""Which processes of a run are alive, judged by what they say of themselves, and when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass
class Row:
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
class Peer:
    """Where a process is."""

    node: int | None
    """Index of the torchrun that started it; None without any."""
    host: str
    pid: int

    def is_beside(self, other: Peer) -> bool:
        """Whether both have the same torchrun, so that a number of a process means one thing."""
        return self.node is not None and self.node == other.node


@dataclass(frozen=True)
class Verdict:
    """Why training cannot go on."""

    reason: str
    hanging: tuple[int, ...] = ()
    """Ranks that are still there and hang."""
    lost: tuple[int, ...] | None = ()
    """Ranks whose fault it is; None where nobody can know."""


class Liveness:
    """What one process knows about all.

    A process hangs if it does not run at all, or if it is behind all others and none of the steps
    that are due within the limit comes. Who only waits for it is ahead of it.

    Args:
        peers: The processes, by rank.
        rank: Which of them this one is.
        limit_s: Longest time without a sign of life or a step [s].
        interval_s: Time from one look at the others to the next [s].
        now_s: The time, as all times here by a clock that never goes back [s].
    """

    def __init__(
        self, peers: Sequence[Peer], rank: int, limit_s: float, interval_s: float, now_s: float
    ) -> None:
        self._peers = peers
        self._rank = rank
        self._limit_s = limit_s
        self._pause_s = 2.0 * interval_s + 1.0
        self._rows = [Row() for _ in peers]
        self._restart(now_s)

    @property
    def patience_s(self) -> float:
        """Longest wait for one answer [s]: two questions fit into the limit."""
        return 0.5 * self._limit_s

    def look(
        self, rows: list[Row] | None, gone: Sequence[int], asked_s: float, heard_s: float
    ) -> Verdict | None:
        """Judge by one look at the others.

        Args:
            rows: What the processes say, by rank; None where the store of torchrun was silent.
            gone: Ranks that were found to be no more before it was asked.
            asked_s: When it was asked [s]. All that is in ``rows`` was true then, or later.
            heard_s: When it answered, or was given up [s].
        """
        # Who was suspended between two looks, or while listening, knows nothing about the others.
        # A store that takes its time is no such thing: it is given up after ``patience_s``.
        slept_s = max(asked_s - self._looked_s, heard_s - asked_s - self.patience_s)
        if slept_s > self._pause_s:
            self._restart(heard_s)
        self._looked_s = heard_s
        if rows is None:
            return self._without_store(gone) if heard_s - self._heard_s > self._limit_s else None
        self._heard_s = heard_s
        for rank, (row, before) in enumerate(zip(rows, self._rows, strict=True)):
            if row.beats != before.beats:
                self._beaten_s[rank] = heard_s
            if row.steps != before.steps or row.is_watched != before.is_watched:
                self._stepped_s[rank] = heard_s
        self._rows = rows
        return self._judge([rank for rank in gone if rows[rank].end is None], asked_s)

    def must_save(self, verdict: Verdict) -> bool:
        """Whether this process saves: the lowest rank of each host that is left.

        One would do, but nobody can look at processes of another host, and its disk may be another.
        Where nobody knows who is lost, everybody saves.
        """
        if verdict.lost is None:
            return True
        left = set(range(len(self._peers))).difference(verdict.lost)
        here = [rank for rank in left if self._is_here(rank)]
        return self._rank == min(here, default=None)

    def _is_here(self, rank: int) -> bool:
        return rank == self._rank or self._peers[rank].is_beside(self._peers[self._rank])

    def _restart(self, now_s: float) -> None:
        self._looked_s = self._heard_s = now_s
        self._beaten_s, self._stepped_s = ([now_s for _ in self._peers] for _ in range(2))

    def _without_store(self, gone: Sequence[int]) -> Verdict:
        reason = (
            "the store of torchrun, on the host of rank 0, does not answer: that host or its "
            "torchrun ended, or the network fails"
        )
        if gone:
            reason += f"; {self._names(gone)} is gone"
        return Verdict(reason, lost=None)

    def _judge(self, killed: list[int], now_s: float) -> Verdict | None:
        running = [rank for rank, row in enumerate(self._rows) if row.end is None]
        ended = tuple(rank for rank, row in enumerate(self._rows) if row.end)
        if killed:
            reason = f"{self._names(killed)} was killed or crashed"
            return Verdict(reason, lost=(*killed, *ended))
        if ended:
            return Verdict(str(self._rows[ended[0]].end), lost=ended)
        limit = f"{self._limit_s:g} s"
        frozen = [rank for rank in running if now_s - self._beaten_s[rank] > self._limit_s]
        if frozen:
            reason = f"{self._names(frozen)} stopped: no sign of life for {limit}"
            return Verdict(reason, hanging=tuple(frozen), lost=tuple(frozen))
        fewest = min((self._rows[rank].steps for rank in running), default=0)
        behind = tuple(rank for rank in running if self._rows[rank].steps == fewest)
        if not behind or not all(self._is_stuck(rank, now_s) for rank in behind):
            return None
        place = self._rows[behind[0]].place
        if len(behind) == len(self._rows):
            reason = f"all ranks wait for each other in the {place}, without a step for {limit}"
            return Verdict(reason, hanging=behind)
        reason = f"{self._names(behind)} hangs in the {place}: no step for {limit}"
        return Verdict(reason, hanging=behind, lost=behind)

    def _is_stuck(self, rank: int, now_s: float) -> bool:
        return self._rows[rank].is_watched and now_s - self._stepped_s[rank] > self._limit_s

    def _names(self, ranks: Iterable[int]) -> str:
        return " and ".join(
            f"rank {rank} (process {self._peers[rank].pid} on {self._peers[rank].host})"
            for rank in ranks
        )
