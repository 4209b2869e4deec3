"""A run that was interrupted goes on as if it had not been."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rl_sim_env.errors import Notice
from rl_sim_env.experiment import (
    EnvOptions,
    TrainerOptions,
    build_trainer,
    build_vec_env,
    configure_env,
    configure_trainer,
)
from rl_sim_env.learning.checkpoint import Checkpoint
from rl_sim_env.learning.runner import AmpVaeRunner
from to_the_bit import unlike

FLAT, FULL = "Rl-Sim-Env-AmpVae-Grq20-V2d3-Flat-v0", "Rl-Sim-Env-AmpVae-Grq20-V2d3-v0"
# Much happens in little time: episodes end, robots are pushed and loaded, commands change.
EVENTFUL = (
    "env.episode_length_s=0.4",
    "env.height_map_resolution=0.1",
    "env.events.push.interval_range_s=(0.06,0.2)",
    "env.events.load_change.interval_range_s=(0.06,0.2)",
    "env.commands.velocity.resampling_time_range=(0.06,0.2)",
)
SMALL = (
    "agent.num_steps_per_env=8",
    "agent.max_iterations=6",
    "agent.save_interval=1",
    "agent.actor.hidden_dims=(16,)",
    "agent.critic.hidden_dims=(16,)",
    "agent.vae.encoder_dims=(16,16)",
    "agent.vae.decoder_dims=(16,)",
    "agent.amp.hidden_dims=(16,16)",
    "agent.amp.batch_size=16",
)


def make_runner(
    log_dir: Path | None, task: str = FLAT, *, num_envs: int = 4, seed: int = 1, agent: Any = ()
) -> AmpVaeRunner:
    cfg, _ = configure_trainer(TrainerOptions(task=task, settings=(*SMALL, *agent)))
    options = EnvOptions(task=task, device="cpu", num_envs=num_envs, seed=seed, settings=EVENTFUL)
    setup = configure_env(options)
    with contextlib.redirect_stdout(io.StringIO()):
        return build_trainer(setup, build_vec_env(setup), cfg, log_dir=log_dir)


def curves(log_dir: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(log_dir)).Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag) if event.step >= 3]
        for tag in events.Tags()["scalars"]
        if not tag.startswith("Perf/")
    }


@pytest.fixture(scope="module")
def flat_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flat")
    make_runner(folder).learn(6)
    return folder


@pytest.mark.parametrize("task", [FLAT, FULL])
def test_a_resumed_run_is_the_uninterrupted_one_to_the_bit(
    task: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if task == FLAT:
        straight = request.getfixturevalue("flat_run")
    else:
        straight = tmp_path / "straight"
        make_runner(straight, task).learn(6)

    resumed = make_runner(tmp_path / "resumed", task, seed=99)
    resumed.load(straight / "model_2.pt")
    resumed.learn(3)

    ends = [Checkpoint.load(folder / "model_5.pt") for folder in (straight, tmp_path / "resumed")]
    for part in ("algorithm", "processes", "progress", "total_steps"):
        assert unlike(*(getattr(end, part) for end in ends)) == []
    assert curves(straight) == curves(tmp_path / "resumed")


def test_other_robots_begin_new_episodes_and_a_line_says_so(flat_run: Path) -> None:
    resumed = make_runner(None, num_envs=6)
    with pytest.warns(Notice, match="model_2.pt: robots begin new episodes: .*4 robots.* 6"):
        resumed.load(flat_run / "model_2.pt")
    assert not resumed.env.episode_length_buf.any()
    resumed.learn(1)


def test_who_saves_no_environment_begins_new_episodes(tmp_path: Path) -> None:
    runner = make_runner(tmp_path, agent=("agent.save_environment=False",))
    runner.learn(1)
    assert "episodes" not in Checkpoint.load(tmp_path / "model_0.pt").processes[0]["env"]
    with pytest.warns(Notice, match="begin new episodes: the running ones were not saved"):
        runner.load(tmp_path / "model_0.pt")
