"""Training's program: what it leaves behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from rl_sim_env.cli import train

RUN = (
    *("--task", "Rl-Sim-Env-AmpVae-Grq20-V2d3-Flat-v0", "--device", "cpu"),
    *("--num_envs", "2", "--max_iterations", "1", "env.height_map_resolution=0.1"),
)


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
    refusal = capsys.readouterr().err
    for told in (
        "env.actions.joint_pos.scale was 0.35, is 0.25",
        "env.decimation was 3, is 5",
        "FL_hip_joint.stiffness was 70.0, is 40.0",
        "agent.vae.targets.com.factor was 10.0, is 5",
        "--fine_tune",
    ):
        assert told in refusal
    assert "max_delay" not in refusal and "gamma" not in refusal
    # On purpose, yes; but nobody is in mid-walk then.
    train.main((*more, *changes, "--fine_tune"))
    output = capsys.readouterr()
    assert "robots begin new episodes: the environment is another" in output.out + output.err
    # The environment is as it was after the first run: its episodes go on.
    (first,) = tmp_path.rglob("model_0.pt")
    train.main((*more, "--checkpoint", str(first)))
    output = capsys.readouterr()
    assert "new episodes" not in output.out + output.err


def test_a_run_that_is_done_is_not_continued_and_gets_no_second_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    train.main(RUN)
    with pytest.raises(SystemExit) as ended:
        train.main((*RUN, "--resume"))
    assert ended.value.code == 2
    assert "nothing to train: 1 iterations are done already" in capsys.readouterr().err
    (experiment,) = (tmp_path / "logs" / "rsl_rl").iterdir()
    (run,) = experiment.iterdir()
    assert (run / "model_0.pt").is_file()
