"""Checkpoints of the time before learners could be chosen."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_env import ToyEnv, ToyExpert, toy_cfg

from rl_sim_env.cli.options import POLICIES
from rl_sim_env.errors import Notice, UserError
from rl_sim_env.learning.checkpoint import Checkpoint, resolve_checkpoint
from rl_sim_env.learning.checkpoint_upgrade import FORMAT_VERSION
from rl_sim_env.learning.config import AmpVaeRunnerCfg
from rl_sim_env.learning.estimate_cfg import velocity_mass_com
from rl_sim_env.learning.runner import AmpVaeRunner
from to_the_bit import unlike


def make_runner(log_dir: Path | None, variance_weight: float = 0.0) -> AmpVaeRunner:
    torch.manual_seed(0)
    cfg = toy_cfg()
    cfg.vae.variance_weight = variance_weight
    return AmpVaeRunner(ToyEnv(), cfg, ToyExpert(), log_dir, task_id="Toy-v0")


def as_format_7(path: Path) -> dict[str, Any]:
    """What the trainer wrote before updates were counted."""
    content = torch.load(path, weights_only=True)
    for learner in content["algorithm"]["learners"].values():
        del learner["updates"]
    return content | {"format_version": 7}


def as_format_6(path: Path) -> dict[str, Any]:
    """What the trainer wrote before footholds were learned."""
    content = as_format_7(path)
    del content["config"]["footholds"]
    return content | {"format_version": 6}


def as_format_5(path: Path) -> dict[str, Any]:
    """What the trainer wrote before estimates had variances."""
    content = as_format_6(path)
    del content["config"]["vae"]["variance_weight"], content["config"]["vae"]["variance_log_range"]
    return content | {"format_version": 5}


def as_format_3(path: Path) -> dict[str, Any]:
    """What the trainer of that time would have written."""
    content = as_format_5(path)
    state, config = content["algorithm"], content["config"]
    process = content["processes"][0].pop("algorithm")
    learners, own = state["learners"], process["learners"]
    content["format_version"] = 3
    content["algorithm"] = {
        "actor_state_dict": learners["policy"]["modules"]["actor"],
        "critic_state_dict": learners["policy"]["modules"]["critic"],
        "optimizer_state_dict": learners["policy"]["optimizer"],
        "policy_state_dict": state["policy_state_dict"],
        "vae_state_dict": learners["estimator"]["modules"]["vae"],
        "discriminator_state_dict": learners["discriminator"]["modules"]["discriminator"],
        "vae_optimizer_state_dict": learners["estimator"]["optimizer"],
        "discriminator_optimizer_state_dict": learners["discriminator"]["optimizer"],
        "adaboot": learners["estimator"]["adaboot"]
        | {"uses_estimate": own["estimator"]["uses_estimate"]},
        "replay": own["discriminator"]["replay"],
        "episodes": process["episodes"],
        "memory": own["estimator"]["memory"],
    }
    del config["learners"], config["save_environment"]
    for section, names in (
        ("actor", ("class_name", "obs_groups", "settings")),
        ("critic", ("class_name", "obs_groups", "settings")),
        ("vae", ("class_name", "obs_groups", "settings", "targets")),
    ):
        for name in names:
            del config[section][name]
    config["vae"] |= {
        "com_scale": 10.0,
        "velocity_weight": 1.0,
        "mass_weight": 0.5,
        "com_weight": 0.1,
    }
    return content


@pytest.mark.parametrize("as_written_before", [as_format_3, as_format_5, as_format_6, as_format_7])
def test_training_goes_on_from_one_as_from_one_of_today(
    tmp_path: Path, as_written_before: Callable[[Path], dict[str, Any]]
) -> None:
    make_runner(tmp_path).learn(2)
    new, old = tmp_path / "model_1.pt", tmp_path / "old.pt"
    torch.save(as_written_before(new), old)
    states = []
    for path in (new, old):
        runner = make_runner(None)
        runner.load(path)
        runner.learn(1, init_at_random_ep_len=False)
        states.append((runner.alg.save(), runner.alg.process_state()))
    assert unlike(*states) == []


def test_of_before_the_first_iteration_there_are_no_moments_and_afterwards_there_are(
    tmp_path: Path,
) -> None:
    make_runner(None).save(tmp_path / "model_-1.pt")
    make_runner(tmp_path).learn(1)
    new, learned = tmp_path / "new.pt", tmp_path / "learned.pt"
    torch.save(as_format_7(tmp_path / "model_-1.pt"), new)
    make_runner(None).load(new)
    for moments in ({}, {0: {"step": torch.tensor(4.0)}}):
        content = as_format_7(tmp_path / "model_0.pt")
        content["algorithm"]["learners"]["estimator"]["optimizer"]["state"] = moments
        torch.save(content, learned)
        with pytest.raises(UserError, match=r"learned\.pt: .*estimator: .* the two is wrong"):
            make_runner(None).load(learned)


def test_its_configuration_says_what_the_program_of_its_time_did(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_runner(tmp_path).learn(1)
    path = tmp_path / "old.pt"
    torch.save(as_format_3(tmp_path / "model_0.pt"), path)
    with caplog.at_level(logging.WARNING):
        cfg = Checkpoint.load(path).runner_cfg(path)
    assert not caplog.records
    expected = toy_cfg()
    mass = expected.vae.targets["mass"]
    assert mass is not None
    mass.weight = 0.5
    expected.vae.variance_weight = 0.0
    assert cfg == expected


def test_one_without_variances_is_not_trained_on_with_them_unasked(tmp_path: Path) -> None:
    make_runner(tmp_path).learn(1)
    path = tmp_path / "model_0.pt"
    torch.save(as_format_5(path), path)
    with pytest.raises(
        UserError, match=r"variance_weight was 0\.0, is 1\.0.* with the settings of"
    ):
        make_runner(None, variance_weight=1.0).load(path)


def test_a_policy_without_variances_learns_them_in_a_new_run(tmp_path: Path) -> None:
    make_runner(tmp_path).learn(1)
    path = tmp_path / "model_0.pt"
    torch.save(as_format_5(path), path)
    runner = make_runner(None, variance_weight=1.0)
    runner.load_policy(path)
    policy = runner.alg.get_inference_policy()
    for name, saved in Checkpoint.load(path).algorithm["policy_state_dict"].items():
        assert torch.equal(policy.state_dict()[name], saved)
    before = policy.vae.variance.head.weight.clone()
    runner.learn(1)
    assert not torch.equal(policy.vae.variance.head.weight, before)


@pytest.mark.parametrize(("strategy", "gone"), [("np3o", "growth"), ("ipo", "unit")])
def test_settings_of_strategies_that_are_no_more_are_left_out_and_told(
    tmp_path: Path, strategy: str, gone: str
) -> None:
    make_runner(tmp_path).learn(1)
    path = tmp_path / "model_0.pt"
    content = as_format_6(path)
    kept = {"np3o": "kappa", "ipo": "slack"}[strategy]
    content["config"]["constraints"] |= {
        "strategy": strategy,
        "settings": {kept: 0.5, gone: 1.0004},
    }
    torch.save(content, path)
    with pytest.warns(Notice, match=f"{strategy} of today has no '{gone}': 1.0004 is left out"):
        cfg = Checkpoint.load(path).runner_cfg(path)
    assert cfg.constraints.settings == {kept: 0.5}


def test_a_policy_of_the_checkout_is_one(caplog: pytest.LogCaptureFixture) -> None:
    path = resolve_checkpoint(root=POLICIES / "go1")
    assert torch.load(path, weights_only=True)["format_version"] < FORMAT_VERSION
    cfg = Checkpoint.load(path).runner_cfg(path)
    assert not caplog.records
    assert cfg.vae.estimated() == velocity_mass_com()
    assert cfg.learners == AmpVaeRunnerCfg().learners


def test_a_policy_without_its_trainer_cannot_be_trained_on(tmp_path: Path) -> None:
    make_runner(tmp_path).learn(1)
    path = tmp_path / "model_0.pt"
    Checkpoint.load(path).policy_only().save(path)
    with pytest.raises(UserError, match=r"model_0\.pt: holds a policy without its trainer"):
        make_runner(None).load(path)


def test_a_policy_with_the_former_map_encoder_is_refused_with_what_can_be_done(
    tmp_path: Path,
) -> None:
    make_runner(tmp_path).learn(1)
    path = tmp_path / "model_0.pt"
    content = torch.load(path, weights_only=True)
    name = "vae.map_encoder.embed_features.weight"
    content["algorithm"]["policy_state_dict"][name] = torch.zeros(64, 16)
    torch.save(content, path)
    with pytest.raises(UserError, match=r"model_0\.pt: .*map encoder .*of before.*git\.diff"):
        Checkpoint.load(path)


@pytest.mark.parametrize("version", [2, 99, None])
def test_formats_that_nobody_can_read_are_refused(tmp_path: Path, version: int | None) -> None:
    path = tmp_path / "model_0.pt"
    torch.save({"format_version": version, "versions": {"rl_sim_env": "0.1"}}, path)
    with pytest.raises(UserError, match=rf"checkpoint format {version}.*'rl_sim_env': '0.1'"):
        Checkpoint.load(path)
