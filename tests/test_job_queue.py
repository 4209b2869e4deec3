"""The queue of processes, with small programs at places that pretend to be GPUs."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from rl_sim_env.errors import UserError
from rl_sim_env.job_queue import Job, JobQueue, Outcome, Place

GPUS = [
    Place(name=f"GPU {each}", device="cuda:0", environment={"CUDA_VISIBLE_DEVICES": str(each)})
    for each in range(2)
]
WAIT = """
import time
from pathlib import Path
begin = time.monotonic()
while not Path({file!r}).exists():
    assert time.monotonic() < begin + 60, "nobody made the file"
"""


def fails_at(*gpus: int, because: str = "CUDA error: unspecified launch failure") -> str:
    return (
        "import os, sys\n"
        f"if int(os.environ['CUDA_VISIBLE_DEVICES']) in {gpus}:\n"
        f"    sys.exit({because!r})\n"
    )


def run(programs: Mapping[str, str], folder: Path, places=GPUS) -> tuple[Outcome, list[str]]:
    """Run Python programs, each a job of its name; how they ended, and what was said."""
    said: list[str] = []
    jobs = [
        Job(
            name=name,
            commands=lambda _, program=program: {"run": (sys.executable, "-c", program)},
            log=folder / f"{name}.log",
        )
        for name, program in programs.items()
    ]
    return JobQueue(jobs, places, said.append).run(), said


def test_the_next_job_begins_where_one_has_ended(tmp_path):
    last = tmp_path / "last"
    outcome, said = run(
        {"long": WAIT.format(file=str(last)), "short": "", "next": f"open({str(last)!r}, 'w')"},
        tmp_path,
    )
    assert outcome == Outcome()
    assert [line for line in said if " at " in line] == [
        "long: run at GPU 0",
        "short: run at GPU 1",
        "next: run at GPU 1",
    ]


def test_a_job_that_fails_everywhere_ends_no_other_and_blames_no_gpu(tmp_path):
    outcome, said = run({"bad": fails_at(0, 1), **dict.fromkeys("abc", "")}, tmp_path)
    assert outcome.bad_places == [] and outcome.retried == {}
    assert outcome.failed.keys() == {"bad"}
    assert "status 1: CUDA error: unspecified launch failure" in outcome.failed["bad"]
    assert sum(" done in " in line for line in said) == 3


def test_a_gpu_that_fails_is_named_and_takes_no_more_runs(tmp_path):
    outcome, said = run(dict.fromkeys("abcd", fails_at(0)), tmp_path)
    assert outcome.failed == {} and outcome.bad_places == ["GPU 0"]
    assert outcome.retried == {
        "a": "failed at GPU 0 (status 1: CUDA error: unspecified launch failure) alone"
    }
    assert [line for line in said if line.endswith(" at GPU 0")] == ["a: run at GPU 0"]


def test_two_jobs_that_fail_crosswise_leave_a_gpu_to_go_on_with(tmp_path):
    jobs = {"a": fails_at(0), "b": fails_at(1), "c": "", "d": ""}
    outcome, _ = run(jobs, tmp_path)
    assert outcome.failed == {} and outcome.retried.keys() == {"a", "b"}
    assert len(outcome.bad_places) < 2


def test_a_process_that_dies_has_no_second_try_on_the_same_hardware(tmp_path):
    cores = [Place(name="the CPU", device="cpu")] * 2
    killed = "import os; os.kill(os.getpid(), 9)"
    outcome, said = run({"killed": killed, "other": ""}, tmp_path, cores)
    assert outcome.failed == {"killed": f"signal 9; {tmp_path / 'killed.log'}"}
    assert said.count("killed: run at the CPU") == 1


def test_what_is_done_is_not_run_and_what_cannot_be_begun_is_named(tmp_path):
    def refuse(_: Place):
        raise UserError("its checkpoint is damaged")

    log = tmp_path / "log"
    jobs = [
        Job(name="done", commands=lambda _: {}, log=log),
        Job(name="damaged", commands=refuse, log=log),
        Job(name="last", commands=lambda _: {"run": (sys.executable, "-c", "")}, log=log),
    ]
    said: list[str] = []
    outcome = JobQueue(jobs, GPUS[:1], said.append).run()
    assert outcome.failed == {"damaged": f"its checkpoint is damaged; {log}"}
    assert said[0] == "done: done before" and said[-1].startswith("last: done in ")


def test_the_end_is_passed_on_and_waited_for(tmp_path):
    ready, saved = tmp_path / "ready", tmp_path / "saved"
    training = f"""
import signal, sys
def save(*_):
    open({str(saved)!r}, "w")
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
open({str(ready)!r}, "w")
signal.pause()
"""

    def say(line: str) -> None:
        if line.startswith("watch: done"):
            os.kill(os.getpid(), signal.SIGTERM)

    jobs = [
        Job(
            name=name,
            commands=lambda _, program=program: {"run": (sys.executable, "-c", program)},
            log=tmp_path / name,
        )
        for name, program in (("training", training), ("watch", WAIT.format(file=str(ready))))
    ]
    with pytest.raises(SystemExit) as ended:
        JobQueue(jobs, GPUS, say).run()
    assert ended.value.code == 128 + signal.SIGTERM
    assert saved.exists()
