"""Which policy is meant where none is named."""

from __future__ import annotations

import pytest

from rl_sim_env.cli import evaluate, options
from rl_sim_env.cli.options import LOG_ROOT
from rl_sim_env.errors import UserError

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
    assert options.find_checkpoint(nothing, nothing.task) == shipped / "model_300.pt"
    assert str(shipped) in capsys.readouterr().out
    RUN.mkdir(parents=True)
    (RUN / "model_7.pt").touch()
    assert options.find_checkpoint(nothing, nothing.task) == RUN / "model_7.pt"
    told = capsys.readouterr().out
    assert str(RUN / "model_7.pt") in told
    assert "for the shipped one give --checkpoint policies/grq20_v2d3" in told


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize("name", ("checkpoint", "load_run", "experiment_name"))
def test_what_is_asked_for_is_not_replaced(name):
    with pytest.raises(UserError):
        options.find_checkpoint(evaluate.EvaluateOptions(**{name: "nowhere"}), TASK)
