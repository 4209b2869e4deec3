from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from toy_env import ToyEnv, ToyExpert, toy_layout

from rl_sim_env.errors import UserError
from rl_sim_env.learning.algorithm import AmpVaePPO
from rl_sim_env.learning.config import ActorCfg, AmpCfg, AmpVaeRunnerCfg, MlpCfg
from rl_sim_env.learning.layout import LayoutError, ObservationLayout
from rl_sim_env.learning.policy import AmpVaePolicy, build_vae

CFG = AmpVaeRunnerCfg(
    actor=ActorCfg(hidden_dims=(16,)),
    critic=MlpCfg(hidden_dims=(16,)),
    amp=AmpCfg(hidden_dims=(8, 8), replay_size=100),
)


def _algorithm(env: ToyEnv) -> AmpVaePPO:
    return AmpVaePPO.construct(
        env.get_observations(), env, CFG, env.observation_layout, ToyExpert(), "cpu"
    )


def test_p_boot_chooses_between_truth_and_estimate() -> None:
    env = ToyEnv(num_envs=3)
    policy = _algorithm(env).get_inference_policy()
    obs = env.get_observations()
    inputs = obs["actor_obs"], obs["vae_obs"], policy.initial_memory(3)
    truth = policy.targets.from_critic(obs["critic_obs"])
    estimate = policy.vae(*inputs[1:], deterministic=True).estimate
    on_estimate = policy(*inputs).actions
    on_truth = policy(*inputs, truth, p_boot=0.0).actions
    assert not torch.allclose(on_estimate, on_truth)
    assert torch.equal(on_estimate, policy(*inputs, truth, p_boot=1.0).actions)
    assert torch.equal(on_truth, policy(*inputs, truth + torch.zeros(1), p_boot=0.0).actions)
    blend = policy(*inputs, truth, p_boot=0.25).actions
    by_hand = policy(*inputs, torch.lerp(truth, estimate, 0.25), p_boot=0.0).actions
    torch.testing.assert_close(blend, by_hand)


def test_estimate_is_in_si_units_whatever_the_actor_is_fed() -> None:
    env = ToyEnv(num_envs=3)
    policy = _algorithm(env).get_inference_policy()
    obs = env.get_observations()
    inputs = obs["vae_obs"], policy.initial_memory(3)
    estimate = policy.vae(*inputs, deterministic=True).estimate
    truth = policy.targets.from_critic(obs["critic_obs"])
    output = policy(obs["actor_obs"], *inputs, truth, p_boot=0.0)
    torch.testing.assert_close(output.estimate.velocity, estimate[:, :3] / 2.0)
    torch.testing.assert_close(output.estimate.mass, estimate[:, 3:4] / 0.2)
    torch.testing.assert_close(output.estimate.com, estimate[:, 4:] / 50.0)


def test_truth_is_needed_below_one_and_p_must_be_a_probability() -> None:
    env = ToyEnv(num_envs=3)
    policy = _algorithm(env).get_inference_policy()
    obs = env.get_observations()
    inputs = obs["actor_obs"], obs["vae_obs"], policy.initial_memory(3)
    with pytest.raises(UserError, match="needs the true"):
        policy(*inputs, p_boot=0.5)
    with pytest.raises(UserError, match="from 0"):
        policy(*inputs, p_boot=1.5)


def test_saved_policy_acts_alike_without_its_trainer() -> None:
    env = ToyEnv(num_envs=3)
    algorithm = _algorithm(env)
    obs = env.get_observations()
    restored = AmpVaePolicy.from_saved(
        algorithm.save(), toy_layout(), env.num_actions, CFG, device="cpu"
    )
    inputs = obs["actor_obs"], obs["vae_obs"], restored.initial_memory(3)
    assert torch.equal(restored(*inputs).actions, algorithm.get_inference_policy()(*inputs).actions)


def test_in_eval_mode_the_trainer_acts_around_the_same_mean() -> None:
    env = ToyEnv(num_envs=3)
    algorithm = _algorithm(env)
    algorithm.eval_mode()
    algorithm.adaboot.uses_estimate.fill_(True)
    obs = env.get_observations()
    algorithm.act(obs)
    policy = algorithm.get_inference_policy()
    expected = policy(obs["actor_obs"], obs["vae_obs"], policy.initial_memory(3)).actions
    torch.testing.assert_close(algorithm.actor.output_mean, expected)


def test_missing_privileged_term_is_named() -> None:
    layout = toy_layout()
    critic = layout.groups["critic_obs"]
    kept = tuple(term for term in critic.terms if term.name != "random_mass")
    groups = {**layout.groups, "critic_obs": replace(critic, terms=kept)}
    with pytest.raises(LayoutError, match="'critic_obs' has no term 'random_mass'"):
        build_vae(ObservationLayout(groups=groups), CFG)
