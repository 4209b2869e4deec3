"""Playing from the command line."""

from __future__ import annotations

import dataclasses
import re

import pytest
import torch

from rl_sim_env.cli import options, play
from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.evaluation import Evaluator
from small_policy import TASK, save, small_checkpoint

PLAY_TASK = "Rl-Sim-Env-AmpVae-Grq20-V2d3-Flat-Play-v0"
REPLAY_TASK = "Rl-Sim-Env-AmpVae-Grq20-V2d3-ReplayAmpData-v0"
FOR_A_MOMENT = ("--task", PLAY_TASK, "--num_envs", "2", "--headless", "--duration", "0.1")


@pytest.fixture(scope="module")
def vec_env(make_env) -> AmpVaeVecEnv:
    return AmpVaeVecEnv(make_env(1, play=True))


@pytest.fixture
def refuse(capsys):
    """Runs the program, which must end with one line and status 2; returns the line."""

    def run(*argv: str) -> str:
        with pytest.raises(SystemExit) as end:
            play.main(argv)
        assert end.value.code == 2
        err = capsys.readouterr().err
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        return err

    return run


@pytest.fixture
def feeds(monkeypatch):
    """The shares of estimates that players were made with."""
    seen = []
    original = Evaluator.__init__

    def spy(self, vec_env, policy, p_boot=1.0, **rest):
        seen.append(p_boot)
        original(self, vec_env, policy, p_boot, **rest)

    monkeypatch.setattr(Evaluator, "__init__", spy)
    return seen


def test_newest_run_is_played_for_its_duration_and_the_errors_printed(run_folder, capsys, feeds):
    play.main([*FOR_A_MOMENT, "--duration", "1"])
    out = capsys.readouterr().out
    assert f"{run_folder / 'model_3.pt'}: iteration 3" in out
    assert "/1000 s" in out and "2 robot-seconds" in out
    assert "mass" in out and "kg" in out
    assert "guessing the mean is off by" in out
    assert feeds == [1.0]


@pytest.mark.usefixtures("run_folder")
def test_a_walk_too_short_to_measure_gives_no_figures(capsys):
    play.main(FOR_A_MOMENT)
    out = capsys.readouterr().out
    assert "nothing was measured: 0.1 s is too short a walk; figures take 1 s or more" in out
    assert "/1000 s" not in out


@pytest.mark.parametrize("part", [(), ("..",), ("model_3.pt",)])
def test_checkpoint_may_be_a_run_an_experiment_or_a_file(run_folder, capsys, part):
    play.main([*FOR_A_MOMENT, "--checkpoint", str(run_folder.joinpath(*part))])
    assert "iteration 3" in capsys.readouterr().out


@pytest.mark.usefixtures("run_folder")
def test_truth_may_be_fed(feeds):
    play.main([*FOR_A_MOMENT, "--p_boot_mean", "0.0"])
    assert feeds == [0.0]


@pytest.mark.usefixtures("run_folder")
def test_settings_reach_the_environment(monkeypatch):
    made = []
    monkeypatch.setattr(play, "build_vec_env", lambda setup: made.append(setup.cfg) or exit(0))
    with pytest.raises(SystemExit):
        play.main([*FOR_A_MOMENT, "--seed", "7", "env.viewer.distance=2"])
    assert made[0].viewer.distance == 2.0
    assert made[0].scene.num_envs == 2
    assert made[0].seed == 7


def test_commands_go_as_far_as_training_got(vec_env, tmp_path, monkeypatch, capsys):
    trained = small_checkpoint(vec_env)
    trained.processes[0]["env"]["command"] = {"level": {"plane_run": 0.7}}
    path = save(trained, tmp_path)
    levels = []
    original = Evaluator.advance
    monkeypatch.setattr(
        Evaluator,
        "advance",
        lambda self: (
            levels.append(self.vec_env.unwrapped.velocity_command.level.clone()),
            original(self),
        ),
    )
    play.main([*FOR_A_MOMENT, "--checkpoint", str(path)])
    assert levels[0] == pytest.approx(torch.tensor([0.7]))


def test_replay_needs_no_checkpoint(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RL_SIM_ENV_CACHE", str(tmp_path))
    play.main(["--task", REPLAY_TASK, "--headless", "--duration", "0.1"])
    told = capsys.readouterr().out
    assert "Evaluation" not in told
    assert re.search(r"replayed from (\S+) to \1, of \d+ clips", told)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--p_boot_mean", "2"], ["--p_boot_mean 2", "0 (truth)", "1 (estimates)"]),
        (["--num_envs", "0"], ["--num_envs 0"]),
        (["--duration", "-1"], ["--duration -1"]),
        (["--video_length", "0"], ["--video_length 0"]),
        (["--headless"], ["--duration", "--video"]),
        (["--video", "clip.gif"], ["clip.gif", ".mp4"]),
        (["--task", PLAY_TASK.replace("Play", "Pley")], ["unknown task", PLAY_TASK]),
        (["--compare", "policies/go1", "--headless"], ["--compare", "--headless"]),
        (["--fly"], ["--fly"]),
    ],
)
def test_mistake_is_told_in_one_line(refuse, argv, words):
    line = refuse(*argv)
    assert all(word in line for word in words), line


def test_missing_experiment_is_told(refuse, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(options, "POLICIES", tmp_path / "none")
    line = refuse(*FOR_A_MOMENT)
    assert "grq20_v2d3_amp_vae_flat: no such folder; train first" in line


def test_run_folder_without_checkpoints_is_told(refuse, tmp_path):
    (tmp_path / "run").mkdir()
    assert "no checkpoint" in refuse(*FOR_A_MOMENT, "--checkpoint", str(tmp_path / "run"))


def test_truncated_checkpoint_is_told(refuse, run_folder):
    path = run_folder / "model_3.pt"
    path.write_bytes(path.read_bytes()[:1000])
    assert "model_3.pt: truncated" in refuse(*FOR_A_MOMENT)


def test_checkpoint_of_another_family_is_refused(refuse, vec_env, tmp_path):
    path = save(small_checkpoint(vec_env, task="Other-Robot-v0"), tmp_path)
    line = refuse(*FOR_A_MOMENT, "--checkpoint", str(path))
    assert "trained on task Other-Robot-v0" in line
    assert TASK in line


def test_checkpoint_with_other_settings_is_refused(refuse, vec_env, tmp_path):
    checkpoint = small_checkpoint(vec_env)
    path = save(
        dataclasses.replace(checkpoint, config=checkpoint.config | {"vae_depth": 3}), tmp_path
    )
    line = refuse(*FOR_A_MOMENT, "--checkpoint", str(path))
    assert "does not know vae_depth" in line
