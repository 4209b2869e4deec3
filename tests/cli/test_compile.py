"""Compiling kernels from the command line, where there is no GPU to compile for."""

from __future__ import annotations

import pytest

from rl_sim_env.cli.main import main

TASK = "Rl-Sim-Env-AmpVae-Grq20-V2d3-Flat-v0"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--device", "cpu"], ["no GPU to compile for", "native MuJoCo", "--output"]),
        (["--device", "cuda:99"], ["--device cuda:99"]),
        (["--num_envs", "0"], ["--num_envs 0", "at least 1"]),
    ],
)
def test_what_cannot_be_compiled_for_is_told_in_one_line(capsys, tmp_path, argv, words):
    with pytest.raises(SystemExit) as end:
        main(["compile", "--task", TASK, "--output", str(tmp_path / "kernels"), *argv])
    assert end.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1
    assert all(word in err for word in words)
    assert not (tmp_path / "kernels").exists()


@pytest.mark.gpu
def test_a_second_time_nothing_is_left_to_compile(capsys, tmp_path):
    argv = ["compile", "--task", TASK, "--num_envs", "16", "--output", str(tmp_path)]
    main(argv)
    told = capsys.readouterr().out
    assert "compiled " in told and f"WARP_CACHE_PATH={tmp_path}" in told
    main(argv)
    assert "compiled 0 modules" in capsys.readouterr().out
