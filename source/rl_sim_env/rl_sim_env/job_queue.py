"""Commands as a queue of processes: one at each place, such as a GPU, until none is left."""

from __future__ import annotations

import os
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import IO

from rl_sim_env.errors import UserError
from rl_sim_env.learning.stop_signals import StopSignals

_POLL_S = 0.1
"""Time between two looks at the processes [s]."""

_TAIL_BYTES = 4096
"""End of a log that is searched for its last line."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one process runs at a time."""

    name: str
    """What messages call it. Places of one name are the same hardware."""

    device: str
    """Device that a process there should take."""

    environment: Mapping[str, str] = field(default_factory=dict)
    """Environment variables of its processes, beside those of this one."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """Some commands, one after the other."""

    name: str

    commands: Callable[[Place], Mapping[str, Sequence[str]]]
    """Commands that are still to be run, at a place, by what messages call them; asked for anew at
    each try."""

    log: Path
    """File that what the commands print is added to."""


@dataclass(kw_only=True)
class Outcome:
    """How the jobs ended."""

    failed: dict[str, str] = field(default_factory=dict)
    """Jobs that failed, by name, and why."""

    retried: dict[str, str] = field(default_factory=dict)
    """Jobs that failed at one place and succeeded at another, by name, and where and why."""

    bad_places: list[str] = field(default_factory=list)
    """Places that were given up, by name."""


@dataclass(kw_only=True)
class _FirstFailure:
    """That a job failed once."""

    place: str
    """Name of where."""

    reason: str

    is_suspect: bool = True
    """Whether it may have been the place's fault."""


@dataclass(kw_only=True)
class _Try:
    """A job that runs at a place."""

    job: Job
    place: Place
    commands: Iterator[tuple[str, Sequence[str]]]
    begin: float
    log: IO[bytes]
    process: subprocess.Popen[bytes] | None = None


class JobQueue:
    """Runs jobs, each at the first place that is free.

    A job that fails is tried once more, at a place of another name if there is one. Until it is
    known whether that succeeds, the first place takes no new job; if it does, the first place takes
    none at all any more. A job that fails ends no other.

    Args:
        jobs: The jobs, in the order in which they begin.
        places: Where they run.
        say: Told what happens, line by line.
        kept_open: File descriptors that the processes inherit.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        places: Sequence[Place],
        say: Callable[[str], object],
        kept_open: Sequence[int] = (),
    ) -> None:
        self._waiting = deque(jobs)
        self._places = list(places)
        self._say = say
        self._kept_open = tuple(kept_open)
        self._running: list[_Try] = []
        self._first_failures: dict[str, _FirstFailure] = {}
        """By job, of those that are tried a second time."""
        self._outcome = Outcome()

    def run(self) -> Outcome:
        """Run all jobs to their ends.

        Raises:
            SystemExit: SIGINT, SIGTERM or SIGHUP came, was passed on to all processes, and they
                have ended. The code is 128 plus the number of the signal, as shells have it.
        """
        with StopSignals() as stop:
            try:
                while not stop.received and (self._waiting or self._running):
                    self._start_jobs()
                    time.sleep(_POLL_S)
                    for each in list(self._running):
                        self._look_after(each)
            finally:
                self._end_all()
        if stop.received:
            raise SystemExit(128 + stop.received)
        return self._outcome

    def _start_jobs(self) -> None:
        while (found := self._next()) is not None:
            job, place = found
            self._waiting.remove(job)
            self._start(job, place)
        if not self._running:
            for job in self._waiting:
                first = self._first_failures.get(job.name)
                self._fail(job, first.reason if first else "no place is left to run it")
            self._waiting.clear()

    def _next(self) -> tuple[Job, Place] | None:
        busy = [each.place for each in self._running]
        free = [place for place in self._places if all(place is not each for each in busy)]
        pairs = ((job, place) for job in self._waiting for place in free if self._takes(place, job))
        return next(pairs, None)

    def _takes(self, place: Place, job: Job) -> bool:
        """Whether a job may run at a place that is free."""
        if job.name in self._first_failures:
            return place.name != self._first_failures[job.name].place
        suspects = {each.place for each in self._first_failures.values() if each.is_suspect}
        return place.name not in suspects

    def _start(self, job: Job, place: Place) -> None:
        try:
            commands = iter(job.commands(place).items())
            job.log.parent.mkdir(parents=True, exist_ok=True)
            log = job.log.open("ab")
        except (UserError, OSError) as error:
            self._fail(job, str(error))
            return
        each = _Try(job=job, place=place, commands=commands, begin=time.monotonic(), log=log)
        self._running.append(each)
        self._look_after(each)

    def _look_after(self, each: _Try) -> None:
        """Go on to the next command where one has ended."""
        status = 0 if each.process is None else each.process.poll()
        if status is None:
            return
        following = next(each.commands, None) if status == 0 else None
        if following is None:
            self._running.remove(each)
            each.log.close()
            self._ended(each, status)
            return
        what, command = following
        self._say(f"{each.job.name}: {what} at {each.place.name}")
        each.process = subprocess.Popen(
            command,
            env={**os.environ, **each.place.environment},
            stdin=subprocess.DEVNULL,
            stdout=each.log,
            stderr=subprocess.STDOUT,
            pass_fds=self._kept_open,
            # Signals of the terminal come through this process alone: a second one would kill.
            start_new_session=True,
        )

    def _ended(self, each: _Try, status: int) -> None:
        job, place = each.job, each.place
        duration = timedelta(seconds=round(time.monotonic() - each.begin))
        if each.process is None:
            self._first_failures.pop(job.name, None)
            self._say(f"{job.name}: done before")
            return
        if status == 0:
            self._succeeded(job, place)
            self._say(f"{job.name}: done in {duration}")
            return
        reason = _why(job.log, status)
        is_first = job.name not in self._first_failures
        if is_first and any(other.name != place.name for other in self._places):
            self._say(f"{job.name}: failed at {place.name} ({reason}); trying another")
            self._first_failures[job.name] = _FirstFailure(place=place.name, reason=reason)
            self._waiting.appendleft(job)
            return
        self._fail(job, reason)

    def _succeeded(self, job: Job, place: Place) -> None:
        for failure in self._first_failures.values():
            failure.is_suspect &= failure.place != place.name
        first = self._first_failures.pop(job.name, None)
        if first is None:
            return
        self._outcome.retried[job.name] = f"failed at {first.place} ({first.reason}) alone"
        if first.is_suspect:
            self._places = [other for other in self._places if other.name != first.place]
            self._outcome.bad_places.append(first.place)
            self._say(f"{first.place}: takes no more runs, for {job.name} failed there alone")

    def _fail(self, job: Job, reason: str) -> None:
        self._first_failures.pop(job.name, None)
        self._outcome.failed[job.name] = f"{reason}; {job.log}"
        self._say(f"{job.name}: failed ({reason}); {job.log}")

    def _end_all(self) -> None:
        """Ask all processes that run to end, and wait until they have."""
        processes = [each.process for each in self._running if each.process is not None]
        if processes:
            self._say("ending: runs save what they have, and end; begin again to go on")
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def _why(log: Path, status: int) -> str:
    """Last line that a process has left, or how it ended."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        lines = file.read().decode(errors="replace").split("\n")
    ending = f"signal {-status}" if status < 0 else f"status {status}"
    words = next((" ".join(line.split()) for line in reversed(lines) if line.strip()), "")
    return f"{ending}: {words}" if words else ending
