"""Which policy is meant where none is named, and which task."""

from __future__ import annotations

import pytest

from rl_sim_env.cli import evaluate, options
from rl_sim_env.cli.evaluate_options import EvaluateOptions
from rl_sim_env.cli.options import LOG_ROOT, find_policy
from rl_sim_env.cli.play_options import PlayOptions
from rl_sim_env.deploy.onnx_export import NETWORK_FILE
from rl_sim_env.errors import UserError
from small_policy import TASK as FLAT
from small_policy import save, small_checkpoint

TASK = "Rl-Sim-Env-AmpVae-Grq20-V2d3-v0"
RUN = LOG_ROOT / "grq20_v2d3_amp_vae" / "2026-01-02_03-04-05"


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A working directory without runs, and a policy that comes with the checkout."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "policies" / "grq20_v2d3"
    folder.mkdir(parents=True)
    (folder / "model_300.pt").touch()
    monkeypatch.setattr(options, "POLICIES", folder.parent)
    return folder


def test_the_policy_of_the_checkout_serves_until_something_is_trained(shipped, capsys):
    nothing = evaluate.EvaluateOptions()
    assert options.find_checkpoint(nothing) == shipped / "model_300.pt"
    assert str(shipped) in capsys.readouterr().out
    RUN.mkdir(parents=True)
    (RUN / "model_7.pt").touch()
    assert options.find_checkpoint(nothing) == RUN / "model_7.pt"
    told = capsys.readouterr().out
    assert str(RUN / "model_7.pt") in told
    assert "for the shipped one give --checkpoint policies/grq20_v2d3" in told


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize("name", ("checkpoint", "load_run", "experiment_name"))
def test_what_is_asked_for_is_not_replaced(name):
    with pytest.raises(UserError):
        options.find_checkpoint(evaluate.EvaluateOptions(**{name: "nowhere"}))


def test_the_task_is_by_default_the_one_that_the_policy_was_trained_on(run_folder, capsys):
    policy = str(run_folder)
    assert find_policy(EvaluateOptions(checkpoint=policy)) == (run_folder / "model_3.pt", FLAT)
    watching = FLAT.replace("-v0", "-Play-v0")
    assert find_policy(PlayOptions(checkpoint=policy), watched=True)[1] == watching
    assert find_policy(PlayOptions(checkpoint=policy, task=watching), watched=True)[1] == watching
    named = EvaluateOptions(experiment_name="grq20_v2d3_amp_vae_flat", load_run=run_folder.name)
    assert find_policy(named)[1] == FLAT
    assert "NOTE" not in capsys.readouterr().out


def test_another_task_may_be_given_and_is_told(run_folder, capsys):
    given = EvaluateOptions(checkpoint=str(run_folder), task=TASK)
    assert find_policy(given)[1] == TASK
    told = capsys.readouterr().out
    assert told.startswith("NOTE: ") and told.count("\n") == 1
    assert FLAT in told and TASK in told


@pytest.mark.parametrize("robot", ("go1", "grq20_v2d3"))
def test_the_shipped_policies_know_their_tasks(robot):
    path, task = find_policy(EvaluateOptions(checkpoint=str(options.POLICIES / robot)))
    exported = EvaluateOptions(checkpoint=str(path.with_name("policy.onnx")))
    assert find_policy(exported)[1] == task
    assert options.find_task(task).robot.name == robot


def test_a_folder_of_exported_files_alone_serves_an_evaluation(exported):
    found = find_policy(EvaluateOptions(checkpoint=str(exported)))
    assert found == (exported / NETWORK_FILE, FLAT)
    with pytest.raises(UserError, match=r"no checkpoint .* policy\.onnx"):
        find_policy(PlayOptions(checkpoint=str(exported)))


def test_a_policy_of_a_task_that_nobody_knows_is_refused(vec_env, tmp_path):
    path = save(small_checkpoint(vec_env, task="Other-Robot-v0"), tmp_path)
    with pytest.raises(UserError, match=r"model_3\.pt: unknown task 'Other-Robot-v0'"):
        find_policy(EvaluateOptions(checkpoint=str(path)))


def test_of_many_differences_the_first_are_told_and_the_next_are_named(capsys):
    options.tell_differences(tuple(f"env.part{n}: trained with 1, now {n}" for n in range(14)))
    *told, last = capsys.readouterr().out.splitlines()
    assert len(told) == 12 and told[-1] == "note: env.part11: trained with 1, now 11"
    assert last == "note: and 2 differences more, of env.part12, env.part13"
    options.tell_differences(tuple(f"env.part{n}: trained with 1, now {n}" for n in range(99)))
    assert capsys.readouterr().out.splitlines()[-1].endswith("env.part23 and others")
