"""The page of a running training, with small programs in its place."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rl_sim_env.cli.training_viewer import NICENESS, TrainingViewer

CHECKPOINT = Path("model_0.pt")
SERVES = (
    "import os, sys; print('loading'); print('viewer: http://127.0.0.1:1 (Ctrl-C ends it)', "
    "*sys.argv[1:3], flush=True); sys.stdin.read()"
)
FAILS = "raise SystemExit('error: the port is in use')"


def opened(script: str) -> TrainingViewer:
    return TrainingViewer((sys.executable, "-c", script))


def threads_end() -> None:
    """Wait until all has been read that the page's process has printed."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and "_listen" in thread.name:
            thread.join()


def test_the_page_is_opened_with_the_first_checkpoint_and_ends_with_the_training(capfd) -> None:
    viewer = opened(SERVES)
    assert viewer.process is None
    viewer.take(CHECKPOINT)
    process = viewer.process
    assert process is not None
    viewer.take(Path("model_500.pt"))
    assert viewer.process is process, "the page looks for later ones by itself"
    viewer.close()
    threads_end()
    assert process.returncode == 0
    out, err = capfd.readouterr()
    assert "viewer: http://127.0.0.1:1\n" in out and "loading" not in out and err == ""


@pytest.mark.parametrize(
    ("program", "reason"),
    (
        ((sys.executable, "-c", FAILS), "error: the port is in use"),
        (("/nowhere/python",), "No such file or directory"),
    ),
)
def test_a_page_that_fails_costs_the_training_a_line(capfd, program, reason) -> None:
    viewer = TrainingViewer(program)
    viewer.take(CHECKPOINT)
    if viewer.process is not None:
        viewer.process.wait()
    threads_end()
    viewer.take(Path("model_500.pt"))
    viewer.close()
    err = capfd.readouterr().err
    assert err.startswith("warning: no viewer: ") and err.count("\n") == 1
    assert reason in err and "training goes on" in err


def test_its_process_has_the_lowest_priority_and_ends_when_the_trainer_is_gone() -> None:
    script = (
        "import os, signal, sys, time, types; from rl_sim_env.cli import training_viewer\n"
        # As a shell does with what it runs in the background.
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "def serve(arguments):\n"
        "    print(os.nice(0) if hasattr(os, 'nice') else 19, *arguments, flush=True)\n"
        "    while True: time.sleep(0.01)\n"
        "sys.modules['rl_sim_env.cli.play'] = types.SimpleNamespace(main=serve)\n"
        "training_viewer.main(('--watch',))"
    )
    process = subprocess.Popen(
        (sys.executable, "-c", script),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdin is not None
    assert process.stdout.readline() == f"{NICENESS} --watch\n"
    # As where the trainer is killed. Who has the lowest priority may wait for the processor.
    process.stdin.close()
    assert process.wait(60.0) != 0
