from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from parts import estimator_of, ppo_of
from toy_env import ToyEnv, ToyExpert, toy_layout

from rl_sim_env.errors import UserError
from rl_sim_env.learning.algorithm import Algorithm
from rl_sim_env.learning.config import ActorCfg, AmpCfg, AmpVaeRunnerCfg, MlpCfg
from rl_sim_env.learning.layout import LayoutError, ObservationLayout
from rl_sim_env.learning.policy import AmpVaePolicy, build_estimator

CFG = AmpVaeRunnerCfg(
    actor=ActorCfg(hidden_dims=(16,)),
    critic=MlpCfg(hidden_dims=(16,)),
    amp=AmpCfg(hidden_dims=(8, 8), replay_size=100),
)


def _algorithm(env: ToyEnv) -> Algorithm:
    return Algorithm(env, CFG, ToyExpert(), "cpu")


def test_p_boot_chooses_between_truth_and_estimate() -> None:
    env = ToyEnv(num_envs=3)
    policy = _algorithm(env).get_inference_policy()
    obs = env.get_observations()
    inputs = obs, policy.initial_memory(3)
    truth = policy.targets.truth(obs)
    estimate, latent, *_ = policy.vae(*inputs, deterministic=True)
    for p_boot, fed in (
        (1.0, estimate),
        (0.0, truth),
        (0.25, torch.lerp(truth, estimate, 0.25)),
    ):
        expected = policy.actor({"estimate": fed, "latent": latent, "actor_obs": obs["actor_obs"]})
        torch.testing.assert_close(policy(*inputs, p_boot).actions, expected)
    assert not torch.allclose(policy(*inputs).actions, policy(*inputs, 0.0).actions)


def test_estimate_is_in_si_units_whatever_the_actor_is_fed() -> None:
    env = ToyEnv(num_envs=3)
    policy = _algorithm(env).get_inference_policy()
    obs = env.get_observations()
    inputs = obs, policy.initial_memory(3)
    estimate = policy.vae(*inputs, deterministic=True).estimate
    output = policy(*inputs, p_boot=0.0)
    torch.testing.assert_close(output.estimate.velocity, estimate[:, :3] / 2.0)
    torch.testing.assert_close(output.estimate.mass, estimate[:, 3:4] / 0.2)
    torch.testing.assert_close(output.estimate.com, estimate[:, 4:] / 50.0)


def test_truth_is_needed_below_one_and_p_must_be_a_probability() -> None:
    env = ToyEnv(num_envs=3)
    policy = _algorithm(env).get_inference_policy()
    obs = env.get_observations()
    blind = {group: obs[group] for group in policy.groups}
    assert set(blind) == {"actor_obs", "vae_obs"}
    inputs = blind, policy.initial_memory(3)
    policy(*inputs)
    with pytest.raises(UserError, match=r"truth about 'base_lin_vel'.*only a simulation"):
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
    inputs = obs, restored.initial_memory(3)
    assert torch.equal(restored(*inputs).actions, algorithm.get_inference_policy()(*inputs).actions)


def test_in_eval_mode_the_trainer_acts_around_the_same_mean() -> None:
    env = ToyEnv(num_envs=3)
    algorithm = _algorithm(env)
    algorithm.eval_mode()
    estimator_of(algorithm).adaboot.uses_estimate.fill_(True)
    obs = env.get_observations()
    algorithm.act(obs)
    policy = algorithm.get_inference_policy()
    expected = policy(obs, policy.initial_memory(3)).actions
    torch.testing.assert_close(ppo_of(algorithm).actor.output_mean, expected)


def test_missing_privileged_term_is_named() -> None:
    layout = toy_layout()
    critic = layout.groups["critic_obs"]
    kept = tuple(term for term in critic.terms if term.name != "random_mass")
    groups = {**layout.groups, "critic_obs": replace(critic, terms=kept)}
    with pytest.raises(LayoutError, match="'critic_obs' has no term 'random_mass'"):
        build_estimator(ObservationLayout(groups=groups), CFG.vae)
