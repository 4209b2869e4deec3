"""Training's program: what it leaves behind."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from rl_sim_env.cli import train
from rl_sim_env.cli.main import COMMANDS
from rl_sim_env.cli.options import POLICIES
from rl_sim_env.cli.program import parse_options
from rl_sim_env.learning.checkpoint import Checkpoint

RUN = (
    *("--task", "Rl-Sim-Env-AmpVae-Grq20-V2d3-Flat-v0", "--device", "cpu"),
    *("--num_envs", "2", "--max_iterations", "1", "env.height_map_resolution=0.1"),
)


def test_a_run_that_is_done_is_not_continued_and_gets_no_second_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    train.main(RUN)
    told = capsys.readouterr().out
    assert "training Rl-Sim-Env-AmpVae-Grq20-V2d3-Flat-v0: 2 robots on" in told
    assert "until 15 minutes or 1 iterations" in told
    (checkpoint,) = tmp_path.rglob("model_0.pt")
    assert f"logs in {checkpoint.parent}" in told and f"policy: {checkpoint}" in told
    for line in told.splitlines()[-4:]:
        words = shlex.split(line)[2:]
        given = parse_options(COMMANDS[words[0]].options_type, words[1:])
        assert Path(getattr(given, "checkpoint", None) or given.runs[0]).exists()
    with pytest.raises(SystemExit) as ended:
        train.main((*RUN, "--resume"))
    assert ended.value.code == 2
    assert "nothing to train: 1 iterations are done already" in capsys.readouterr().err
    (experiment,) = (tmp_path / "logs" / "rsl_rl").iterdir()
    (run,) = experiment.iterdir()
    assert (run / "model_0.pt").is_file()


def test_the_shipped_policy_can_be_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = next((POLICIES / "grq20_v2d3").glob("model_*.pt"))
    small = ("agent.num_steps_per_env=2", "agent.amp.batch_size=32", "agent.amp.replay_size=1000")
    train.main((*RUN, "--finetune", str(shipped), *small))
    assert f"fine-tuning {shipped}: iteration" in capsys.readouterr().out
    tuned = Checkpoint.load(next(tmp_path.rglob("model_0.pt")))
    of_before = Checkpoint.load(shipped)
    assert tuned.iteration == 0 and "learners" in tuned.algorithm
    # Its estimator has the sizes of its training, and commands are as wide as they had become.
    assert tuned.config["vae"]["memory_cell"] == of_before.config["vae"]["memory_cell"]
    assert tuned.processes[0]["env"]["command"]["level"]["plane_run"] == pytest.approx(1.0)


def test_a_run_is_either_continued_or_begun(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        train.main((*RUN, "--resume", "--finetune", "policies/grq20_v2d3"))
    assert "--finetune begins a new run" in capsys.readouterr().err
