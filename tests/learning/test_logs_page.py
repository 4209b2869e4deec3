"""The page on what is logged names every scalar of the full task, and none that there is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pages import DOCS
from rl_sim_env.cli import train

SELDOM = {"Perf/waiting_resets", "Observation_Faults/GROUP.TERM"}
"""Logged on GPUs only, and where an observation was at fault."""

TRAINING = (
    *("--task", "Rl-Sim-Env-AmpVae-Grq20-V2d3-v0", "--device", "cpu", "--num_envs", "7"),
    *("--max_iterations", "1", "env.height_map_resolution=0.1", "env.episode_length_s=0.04"),
    *("agent.num_steps_per_env=4", "agent.algorithm.num_learning_epochs=1"),
    *("agent.amp.batch_size=8", "agent.amp.replay_size=100"),
)


def named_scalars() -> dict[str, re.Pattern[str]]:
    """Names in the first column of the page's tables; capitals stand for any name."""
    tables = (DOCS / "logs.md").read_text().partition("\n## Train, ")[2]
    cells = re.findall(r"^\| (`.*?) \|", tables, re.MULTILINE)
    names = [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
    return {name: re.compile(re.sub(r"\b[A-Z]{2,}\b", r"\\w+", name)) for name in names}


def test_the_page_names_what_is_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    train.main(TRAINING)
    (events,) = tmp_path.rglob("events.out.tfevents.*")
    logged = set(EventAccumulator(str(events)).Reload().Tags()["scalars"])
    fits = {
        name: {each for each in logged if pattern.fullmatch(each)}
        for name, pattern in named_scalars().items()
    }
    assert logged - set().union(*fits.values()) == set()
    assert {name for name, found in fits.items() if not found} == SELDOM
