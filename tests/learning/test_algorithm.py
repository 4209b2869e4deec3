"""What updates make of the learners, alone, together and after a resume."""

from __future__ import annotations

import copy
import dataclasses
import io

import pytest
import torch
from parts import build, estimator_of, iterate, ppo_of, roll_out, style_of
from toy_env import ToyEnv, toy_cfg

from rl_sim_env.learning.config import ActorCfg, AmpCfg, AmpVaePpoCfg, ContextVaeCfg, MlpCfg
from rl_sim_env.learning.policy import POLICY_STATE

NO_STYLE = AmpCfg(hidden_dims=(16, 16), batch_size=16, replay_size=256, style_weight=0.0)


@pytest.mark.parametrize(
    ("learner", "weight"), [("vae", "velocity_weight"), ("amp", "gradient_penalty")]
)
def test_huge_loss_of_one_learner_leaves_the_policy_alone(learner: str, weight: str) -> None:
    actors, others = [], []
    for changes in ({}, {weight: 1e6}):
        torch.manual_seed(0)
        cfg, env = toy_cfg(), ToyEnv(num_envs=8)
        setattr(cfg, learner, dataclasses.replace(getattr(cfg, learner), **changes))
        algorithm = build(env, cfg)
        iterate(algorithm, env)
        actor, *rest = (ppo_of(algorithm), estimator_of(algorithm), style_of(algorithm))
        actors.append(torch.cat([p.detach().flatten() for p in actor.parameters()]))
        others.append(torch.cat([p.detach().flatten() for m in rest for p in m.parameters()]))
    assert torch.equal(actors[0], actors[1])
    assert not torch.equal(others[0], others[1])


def test_learning_rate_rises_and_falls_with_the_kl_divergence() -> None:
    rates = []
    for desired_kl in (1e-9, 1e3):
        env = ToyEnv(num_envs=8)
        ppo = AmpVaePpoCfg(desired_kl=desired_kl, num_learning_epochs=10, num_mini_batches=2)
        algorithm = build(env, toy_cfg(algorithm=ppo))
        metrics = iterate(algorithm, env)
        (group,) = ppo_of(algorithm).optimizer.param_groups
        assert group["lr"] is ppo_of(algorithm).learning_rate
        assert group["lr"].item() == pytest.approx(metrics["Loss/learning_rate"])
        rates.append(metrics["Loss/learning_rate"])
    assert rates == pytest.approx(list(AmpVaePpoCfg().learning_rate_range))


def test_the_entropy_bonus_fades_as_training_goes_on() -> None:
    spread = []
    for entropy_coef, progress in ((10.0, 0.0), (10.0, 1.0), (0.0, 0.0)):
        torch.manual_seed(0)
        env = ToyEnv(num_envs=8)
        ppo = AmpVaePpoCfg(entropy_coef=entropy_coef, final_entropy_coef=0.0)
        algorithm = build(env, toy_cfg(algorithm=ppo))
        algorithm.set_progress(progress)
        spread.append(iterate(algorithm, env)["Policy/mean_noise_std"])
    at_the_start, at_the_end, without = spread
    assert at_the_start > at_the_end == without


def test_loss_that_is_not_finite_is_named() -> None:
    for stored, loss in (
        (lambda it: estimator_of(it).frames["vae_obs"].frames, "vae_vel_loss"),
        (lambda it: it.rollout["latent"], "surrogate"),
    ):
        env = ToyEnv(num_envs=4)
        algorithm = build(env)
        roll_out(algorithm, env)
        stored(algorithm)[0, 0, 0] = torch.nan
        with pytest.raises(FloatingPointError, match=loss):
            algorithm.update()


def test_episode_statistics_tell_of_episodes_since_the_last_call() -> None:
    env = ToyEnv(num_envs=8, max_episode_length=4)
    algorithm = build(env, toy_cfg(num_steps_per_env=8, amp=NO_STYLE))
    rewards = []
    with torch.inference_mode():
        obs = env.get_observations()
        for _ in range(8):
            obs, reward, dones, extras = env.step(algorithm.act(obs))
            algorithm.process_env_step(obs, reward, dones, extras)
            rewards.append(reward)
        algorithm.compute_returns(obs)
    assert algorithm.episode_statistics() == {}, "not before the update has read them"
    algorithm.update()
    statistics = algorithm.episode_statistics()
    assert statistics["Train/mean_episode_length"] == 4.0
    two_episodes = torch.stack(rewards).sum(dim=0).mean().item()
    assert statistics["Train/mean_reward"] == pytest.approx(two_episodes / 2.0)
    assert algorithm.episode_statistics() == {}


def test_resumed_training_is_bit_identical() -> None:
    torch.manual_seed(0)
    env = ToyEnv(num_envs=8)
    original = build(env)
    for _ in range(2):
        original.set_progress(0.45)
        iterate(original, env)
    file = io.BytesIO()
    torch.save((original.save(), original.process_state()), file)
    other_env, random_state = copy.deepcopy(env), torch.get_rng_state()

    resumed = build(env, toy_cfg(), seed=123)
    file.seek(0)
    shared, own = torch.load(file, weights_only=True)
    resumed.load(shared)
    resumed.load_process_state(own)
    assert ppo_of(resumed).learning_rate == ppo_of(original).learning_rate
    assert estimator_of(resumed).adaboot.p == estimator_of(original).adaboot.p > 0.0
    results = []
    for algorithm, its_env in ((original, env), (resumed, other_env)):
        torch.set_rng_state(random_state)
        for _ in range(2):
            algorithm.set_progress(0.5)
            metrics = iterate(algorithm, its_env)
        results.append((algorithm.save(), algorithm.process_state(), metrics))
    torch.testing.assert_close(results[0], results[1], rtol=0.0, atol=0.0)


def test_the_policy_is_the_mean_of_the_last_updates() -> None:
    env = ToyEnv(num_envs=8)
    cfg = dataclasses.replace(toy_cfg(), policy_memory=4.0)
    algorithm = build(env, cfg)
    weights = []
    for _ in range(3):
        iterate(algorithm, env)
        weights.append(estimator_of(algorithm).estimator.heads.weight.detach().clone())
    mean = weights[0].lerp(weights[1], 0.25).lerp(weights[2], 0.25)
    torch.testing.assert_close(algorithm.get_inference_policy().vae.heads.weight, mean)
    torch.testing.assert_close(algorithm.save()[POLICY_STATE]["vae.heads.weight"], mean)


def test_resumed_training_follows_the_rates_it_is_given() -> None:
    env = ToyEnv(num_envs=8)
    original = build(env, toy_cfg(vae=ContextVaeCfg(learning_rate=1e-3)))
    iterate(original, env)
    rates = ContextVaeCfg(learning_rate=1e-4, final_learning_rate=1e-6)
    resumed = build(env, toy_cfg(vae=rates))
    resumed.load(original.save())
    before, after = (estimator_of(each).optimizer.state_dict() for each in (original, resumed))
    torch.testing.assert_close(after["state"], before["state"])
    (group,) = estimator_of(resumed).optimizer.param_groups
    for progress, rate in ((0.0, 1e-4), (0.5, 1e-5), (1.0, 1e-6)):
        resumed.set_progress(progress)
        assert group["lr"].item() == pytest.approx(rate)


def test_learns_to_follow_the_toy_command() -> None:
    torch.manual_seed(0)
    env = ToyEnv(num_envs=64)
    cfg = toy_cfg(
        num_steps_per_env=24,
        algorithm=AmpVaePpoCfg(),
        actor=ActorCfg(hidden_dims=(32, 32)),
        critic=MlpCfg(hidden_dims=(32, 32)),
        vae=ContextVaeCfg(),
        amp=NO_STYLE,
    )
    cfg.vae.final_learning_rate = cfg.vae.learning_rate
    algorithm = build(env, cfg)
    algorithm.set_progress(1.0)

    def measured() -> dict[str, float]:
        return {**iterate(algorithm, env), **algorithm.episode_statistics()}

    first = last = measured()
    for _ in range(17):
        last = measured()
        if (
            last["Train/mean_reward"] > 1.8 * first["Train/mean_reward"]
            and last["Estimation/velocity_rmse"] < 0.5 * first["Estimation/velocity_rmse"]
            and last["Estimation/com_rmse"] < 0.7 * first["Estimation/com_rmse"]
        ):
            return
    pytest.fail(f"{last} after {first}")
