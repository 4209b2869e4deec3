"""Actor and estimator of one's own, named by the configuration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from own_networks import FrameEstimator, GatedActor
from parts import estimator_of, ppo_of
from toy_env import ToyEnv, ToyExpert, toy_cfg

from rl_sim_env.errors import UserError
from rl_sim_env.learning.algorithm import Algorithm
from rl_sim_env.learning.checkpoint import Checkpoint
from rl_sim_env.learning.config import ActorCfg, AmpVaeRunnerCfg, ContextVaeCfg
from rl_sim_env.learning.policy import AmpVaePolicy
from rl_sim_env.learning.runner import AmpVaeRunner

OWN_ACTOR = ActorCfg(
    class_name="own_networks:GatedActor", hidden_dims=(16,), settings={"gate_init": 2.0}
)
OWN_ESTIMATOR = ContextVaeCfg(
    class_name="own_networks:FrameEstimator", obs_groups=("actor_obs",), settings={"bias": 0.5}
)


@pytest.mark.parametrize(
    ("settings", "kinds"),
    [
        ({"actor": OWN_ACTOR}, (GatedActor, object)),
        ({"vae": OWN_ESTIMATOR}, (object, FrameEstimator)),
        ({"actor": OWN_ACTOR, "vae": OWN_ESTIMATOR}, (GatedActor, FrameEstimator)),
    ],
    ids=["actor", "estimator", "both"],
)
@pytest.mark.parametrize("mirror_loss_coef", [0.0, 0.5])
def test_a_network_of_ones_own_trains_is_saved_loaded_and_played(
    tmp_path: Path, settings: dict[str, Any], kinds: tuple[type, type], mirror_loss_coef: float
) -> None:
    def make(log_dir: Path | None) -> AmpVaeRunner:
        cfg = toy_cfg(**settings)
        cfg.algorithm.mirror_loss_coef = mirror_loss_coef
        return AmpVaeRunner(ToyEnv(), cfg, ToyExpert(), log_dir, task_id="Toy-v0")

    runner = make(tmp_path)
    actor, estimator = ppo_of(runner.alg).actor, estimator_of(runner.alg).estimator
    assert isinstance(actor, kinds[0]) and isinstance(estimator, kinds[1])
    before = [p.detach().clone() for p in (*actor.parameters(), *estimator.parameters())]
    runner.learn(2)
    after = (*actor.parameters(), *estimator.parameters())
    assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True))

    path = tmp_path / "model_1.pt"
    make(None).load(path)
    checkpoint, env = Checkpoint.load(path), ToyEnv()
    played = AmpVaePolicy.from_saved(
        checkpoint.algorithm,
        env.observation_layout,
        env.num_actions,
        checkpoint.runner_cfg(path),
        "cpu",
    )
    obs, trained = env.get_observations(), runner.alg.get_inference_policy().eval()
    memory = played.initial_memory(env.num_envs)
    expected = trained(obs, memory)
    found = played({group: obs[group] for group in played.groups}, memory)
    assert torch.equal(found.actions, expected.actions)
    assert torch.equal(found.estimate.mass, expected.estimate.mass)


def refused(**settings: Any) -> str:
    with pytest.raises(UserError) as error:
        Algorithm(ToyEnv(), toy_cfg(**settings), ToyExpert(), "cpu")
    return str(error.value)


def test_a_network_that_does_not_fit_is_told_with_its_setting() -> None:
    unknown = refused(actor=ActorCfg(class_name="nowhere.to_be:Found"))
    assert "agent.actor.class_name='nowhere.to_be:Found': cannot be found" in unknown
    assert "PYTHONPATH" in unknown
    # A checkpoint names classes, too: nothing but a network is ever called.
    assert "not a class derived from" in refused(actor=ActorCfg(class_name="os:system"))
    assert "not a class derived from" in refused(vae=ContextVaeCfg(class_name="builtins:exec"))
    assert "cannot remember" in refused(actor=ActorCfg(class_name="own_networks:Recurrent"))
    gated = refused(actor=replace(OWN_ACTOR, settings={"gate_init": 2.0, "gates": 3}))
    assert "agent.actor.settings={'gate_init': 2.0, 'gates': 3}: own_networks:GatedActor" in gated
    assert "unexpected keyword argument 'gates'" in gated
    blind = refused(actor=ActorCfg(obs_groups=("actor_obs", "camera")))
    assert "no group 'camera'; there are actor_obs" in blind and "latent" in blind


def test_a_policy_cannot_do_without_an_estimator_nor_act_twice() -> None:
    learners = AmpVaeRunnerCfg().learners
    actor = ActorCfg(obs_groups=("actor_obs",))
    assert "the policy's vae" in refused(actor=actor, learners={**learners, "estimator": None})
    assert "2 of " in refused(learners={**learners, "another": learners["policy"]})


def test_without_a_discriminator_there_is_neither_style_nor_expert(tmp_path: Path) -> None:
    learners = {**AmpVaeRunnerCfg().learners, "discriminator": None}
    runner = AmpVaeRunner(ToyEnv(), toy_cfg(learners=learners), None, tmp_path, task_id="Toy-v0")
    runner.learn(1)
    labels = [figure.label for figure in runner.alg.figures()]
    assert "style reward" not in labels and "CoM estimate RMSE" in labels
    with pytest.raises(UserError, match="no expert motions"):
        Algorithm(ToyEnv(), toy_cfg(), None, "cpu")
