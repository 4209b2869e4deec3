"""Checkpoints that are whole and sealed, and say something that cannot be."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_env import ToyEnv, ToyExpert, toy_cfg

from fuzzing import refused_or_works, wrong_facts
from rl_sim_env.errors import UserError
from rl_sim_env.learning.runner import AmpVaeRunner
from rl_sim_env.learning.seal import seal
from soak import soak_seed

LEARNED = ("algorithm", "processes")


def make_runner(log_dir: Path | None) -> AmpVaeRunner:
    torch.manual_seed(0)
    return AmpVaeRunner(ToyEnv(), toy_cfg(), ToyExpert(), log_dir, task_id="Toy-v0")


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> dict[str, Any]:
    """What a run of two iterations has saved; the toy's own state is not under test."""
    folder = tmp_path_factory.mktemp("run")
    make_runner(folder).learn(2)
    content = torch.load(folder / "model_1.pt", weights_only=True)
    content["env_cfg"] = {"decimation": 4}
    return content


def write(content: dict[str, Any], path: Path) -> None:
    """Write a checkpoint as the program does, whatever it says."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    seal(buffer)
    path.write_bytes(buffer.getvalue())


def test_a_wrong_fact_is_refused_in_one_line_before_anything_is_trained(saved, tmp_path):
    path = tmp_path / "model_1.pt"
    for what, content in wrong_facts(saved, 100, seed=soak_seed()):
        if what.startswith("processes.0.env"):
            continue
        write(content, path)
        with refused_or_works(what):
            runner = make_runner(None)
            runner.load(path)
            # What loads is what can be trained on.
            runner.learn(1)


def test_no_wrong_fact_of_what_was_learned_is_loaded(saved, tmp_path):
    path = tmp_path / "model_1.pt"
    learned = {name: saved[name] for name in LEARNED}
    loaded = []
    for what, changed in wrong_facts(learned, 100, seed=soak_seed(1)):
        # Rates are the configuration's; the toy looks at its own state by itself.
        if "param_groups" in what or what.startswith("processes.0.env"):
            continue
        facts = {name: of for name, of in saved.items() if name not in LEARNED}
        write({**facts, **changed}, path)
        try:
            make_runner(None).load(path)
        except UserError as error:
            assert str(error).startswith(str(path))
        else:
            loaded.append(what)
    assert loaded == []
