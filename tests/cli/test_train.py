"""Training's program: what it leaves behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from rl_sim_env.cli import train

RUN = (
    *("--task", "Rl-Sim-Env-AmpVae-Grq20-V2d3-Flat-v0", "--device", "cpu"),
    *("--num_envs", "2", "--max_iterations", "1", "env.height_map_resolution=0.1"),
)


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
