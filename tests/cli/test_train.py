"""Training's program: what it leaves behind."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from rl_sim_env.cli import train
from rl_sim_env.cli.main import COMMANDS
from rl_sim_env.cli.options import POLICIES
from rl_sim_env.cli.program import parse_options
from rl_sim_env.cli.train_options import TrainOptions
from rl_sim_env.cli.training_words import tell_plan
from rl_sim_env.errors import UserError
from rl_sim_env.experiment import EnvOptions, configure_env
from rl_sim_env.learning.checkpoint import Checkpoint
from rl_sim_env.tasks import find_task

RUN = (
    *("--task", "Rl-Sim-Env-AmpVae-Grq20-V2d3-Flat-v0", "--device", "cpu"),
    *("--num_envs", "2", "--max_iterations", "1", "env.height_map_resolution=0.1"),
)


def test_a_policy_alone_is_not_trained_on_and_that_is_told_before_anything_is_built(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        train.main(("--checkpoint", str(POLICIES / "grq20_v2d3"), "--device", "cpu"))
    printed, refusal = capsys.readouterr()
    assert "model_1885.pt: holds a policy without its trainer" in refusal
    assert "--finetune" in refusal
    assert "robots" not in printed


def test_networks_are_not_trained_on_with_numbers_that_mean_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    train.main(RUN)
    more = (*RUN, "--resume", "--max_iterations", "2")
    changes = (
        "env.actions.joint_pos.scale=0.25",
        "env.decimation=5",
        "env.scene.entities.robot.articulation.actuators.0.drives.FL_hip_joint.stiffness=40",
        "env.scene.entities.robot.articulation.actuators.0.max_delay=0.01",
        "agent.vae.com_scale=5",
        "agent.algorithm.gamma=0.98",
    )
    with pytest.raises(SystemExit):
        train.main((*more, *changes))
    printed, refusal = capsys.readouterr()
    assert "continuing" not in printed
    for told in (
        "env.actions.joint_pos.scale was 0.35, is 0.25",
        "env.decimation was 3, is 5",
        "FL_hip_joint.stiffness was 70.0, is 40.0",
        "agent.vae.targets.com.factor was 10.0, is 5",
        "--finetune",
    ):
        assert told in refusal
    assert "max_delay" not in refusal and "gamma" not in refusal
    # What leaves the meaning of numbers may change; but nobody is in mid-walk then.
    train.main((*more, changes[3], changes[-1]))
    output = capsys.readouterr()
    assert "robots begin new episodes: the environment is another" in output.out + output.err
    # The environment is as it was after the first run: its episodes go on.
    (first,) = tmp_path.rglob("model_0.pt")
    # It says of itself which task it was trained on.
    train.main((*more[2:], "--checkpoint", str(first)))
    output = capsys.readouterr()
    assert "training Rl-Sim-Env-AmpVae-Grq20-V2d3-Flat-v0: " in output.out
    assert "new episodes" not in output.out + output.err


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
    printed, refusal = capsys.readouterr()
    assert "nothing to train: 1 iterations are done already" in refusal
    assert "continuing" not in printed
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
    assert f"fine-tuning {shipped}: after iteration" in capsys.readouterr().out
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


def test_among_many_processes_rank_0_alone_looks_for_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (["--resume"], ["--checkpoint", "gone/model_1.pt"], ["--finetune", "gone"]):
        with pytest.raises(UserError, match="no such"):
            parse_options(TrainOptions, words)
        options = parse_options(TrainOptions, [*words, "--distributed"])
        options.check_early()
        with pytest.raises(UserError, match="no such"):
            options.require_policy()


def test_a_value_that_the_environment_cannot_have_is_told_before_training_is_imported() -> None:
    options = parse_options(TrainOptions, ["--device", "cpu", "env.decimation=0"])
    with pytest.raises(UserError, match=r"env\.decimation is 0; it must be at least 1"):
        options.check_early()


@pytest.mark.parametrize(
    ("robots", "processes", "told"),
    [
        (3, 1, "3 robots do not stand on all 7 kinds of ground"),
        (3, 3, None),
        (10**6, 1, "1,000,000 robots are for a GPU"),
    ],
)
def test_numbers_of_robots_that_suit_nothing_are_told(
    capsys: pytest.CaptureFixture[str], robots: int, processes: int, told: str | None
) -> None:
    task = "Rl-Sim-Env-AmpVae-Grq20-V2d3-v0"
    setup = configure_env(EnvOptions(task=task, device="cpu", num_envs=robots, seed=0))
    tell_plan(setup, find_task(task).runner_cfg(), processes)
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    assert [told in note for note in notes] == ([True] if told else [])
