"""Exporting from the command line, and while training."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from rl_sim_env.cli import export, main, train
from rl_sim_env.deploy import open_session
from rl_sim_env.deploy.onnx_export import NETWORK_FILE, POLICY_FILE
from rl_sim_env.experiment import build_policy
from rl_sim_env.learning.checkpoint import Checkpoint
from rl_sim_env.learning.policy import POLICY_STATE
from small_policy import TASK


def test_newest_run_is_exported_beside_its_checkpoint(run_folder, capsys):
    main(["export", "--task", TASK])
    folder = run_folder / "exported" / "model_3"
    assert capsys.readouterr().out.splitlines()[-2:] == [
        str(folder / POLICY_FILE),
        str(folder / NETWORK_FILE),
    ]
    assert open_session(folder / POLICY_FILE)[1].iteration == 3


def test_what_comes_with_the_checkout_stays_and_its_checkpoint_comes_along_without_its_trainer(
    vec_env, run_folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(export, "POLICIES", run_folder.parent.resolve())
    export.main(["--checkpoint", os.path.relpath(run_folder), "--with_checkpoint"])
    path = Path("exported", "model_3", "model_3.pt")
    assert capsys.readouterr().out.split()[-1] == str(path)
    assert path.with_name(POLICY_FILE).is_file()
    assert not (run_folder / "exported").exists()
    slim, whole = Checkpoint.load(path), Checkpoint.load(run_folder / "model_3.pt")
    assert set(slim.algorithm) == {POLICY_STATE}
    obs = vec_env.get_observations()
    actions = []
    for of in (slim, whole):
        policy = build_policy(of, path, TASK, vec_env)
        memory = policy.initial_memory(vec_env.num_envs)
        actions.append(policy(obs, memory))
    assert torch.equal(actions[0].actions, actions[1].actions)


@pytest.mark.usefixtures("run_folder")
@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--task", "Walk-v0"], "unknown task 'Walk-v0'"),
        (["--task", TASK, "--checkpoint", "none.pt"], "none.pt: no such file"),
        (["--task", TASK, "--output", "/dev/null"], "/dev/null: is a file"),
    ],
)
def test_mistake_is_told_in_one_line(capsys, argv, words):
    with pytest.raises(SystemExit) as end:
        export.main(argv)
    assert end.value.code == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


def test_training_exports_what_it_saves_and_draws_the_same_numbers_after(run_folder):
    before = torch.get_rng_state()
    train._export_or_warn(run_folder / "model_3.pt")
    assert torch.equal(torch.get_rng_state(), before)
    assert (run_folder / "exported" / "model_3" / NETWORK_FILE).is_file()


def test_failing_export_warns_in_one_line_and_training_goes_on(run_folder, capsys, monkeypatch):
    def fail(*_):
        raise RuntimeError("no such operator\nand a long explanation")

    monkeypatch.setattr("rl_sim_env.deploy.onnx_export.export_policy", fail)
    train._export_or_warn(run_folder / "model_3.pt")
    err = capsys.readouterr().err
    assert err == f"warning: {run_folder / 'model_3.pt'}: not exported: no such operator\n"
