from __future__ import annotations

import copy
import dataclasses
import io
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from parts import estimator_of, ppo_of, style_of
from tensordict import TensorDict
from toy_env import JOINTS, ToyEnv, ToyExpert, toy_layout

from rl_sim_env.cuda_graphs import HostReads
from rl_sim_env.learning.algorithm import Algorithm
from rl_sim_env.learning.config import (
    ActorCfg,
    AdaBootCfg,
    AmpCfg,
    AmpVaePpoCfg,
    AmpVaeRunnerCfg,
    ContextVaeCfg,
    MlpCfg,
)
from rl_sim_env.learning.constraint_layout import ConstraintLayout
from rl_sim_env.learning.layout import GroupLayout, ObservationLayout, TermLayout
from rl_sim_env.learning.policy import POLICY_STATE

STEP_DT = 0.02
NO_STYLE = AmpCfg(hidden_dims=(16, 16), batch_size=32, replay_size=500, style_weight=0.0)


def _cfg(
    num_steps: int = 8,
    vae: ContextVaeCfg | None = None,
    amp: AmpCfg | None = None,
    ppo: AmpVaePpoCfg | None = None,
) -> AmpVaeRunnerCfg:
    return AmpVaeRunnerCfg(
        num_steps_per_env=num_steps,
        algorithm=ppo or AmpVaePpoCfg(num_learning_epochs=2, num_mini_batches=2),
        actor=ActorCfg(hidden_dims=(32, 32)),
        critic=MlpCfg(hidden_dims=(32, 32)),
        vae=vae or ContextVaeCfg(),
        amp=amp or AmpCfg(hidden_dims=(16, 16), batch_size=32, replay_size=500),
        adaboot=AdaBootCfg(window=2, min_episodes=5),
    )


def _construct(env: ToyEnv, cfg: AmpVaeRunnerCfg, seed: int = 0) -> Algorithm:
    torch.manual_seed(seed)
    return Algorithm(env, cfg, ToyExpert(env.device), env.device)


def _rollout(algorithm: Algorithm, env: ToyEnv) -> None:
    with torch.inference_mode():
        obs = env.get_observations()
        for _ in range(algorithm.cfg.num_steps_per_env):
            actions = algorithm.act(obs)
            obs, rewards, dones, extras = env.step(actions)
            algorithm.process_env_step(obs, rewards, dones, extras)
        algorithm.compute_returns(obs)


def _iterate(algorithm: Algorithm, env: ToyEnv) -> dict[str, float]:
    _rollout(algorithm, env)
    return algorithm.update()


class ScriptedEnv:
    """Plays given states of one AMP feature; everything else is zero."""

    num_actions = JOINTS
    step_dt = STEP_DT

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs
        groups = {
            **toy_layout().groups,
            "amp_obs": GroupLayout(terms=(TermLayout(name="phase", width=1),)),
        }
        self.observation_layout = ObservationLayout(groups=groups)
        self.constraint_layout = ConstraintLayout({}, "cpu")

    def observe(self, phases: Sequence[float]) -> TensorDict:
        observed = {
            group: torch.zeros(self.num_envs, self.observation_layout.width(group))
            for group in self.observation_layout.groups
        }
        observed["amp_obs"] = torch.tensor(phases).unsqueeze(1)
        return TensorDict(observed, batch_size=[self.num_envs])

    def play(
        self,
        algorithm: Algorithm,
        states: Sequence[Sequence[float]],
        terminal: Sequence[Sequence[float]],
        dones: Sequence[Sequence[int]],
        **extras: Sequence[Sequence[float]],
    ) -> None:
        """Act in ``states`` and come to ``terminal``; the state after the last one is zero."""
        for t, (state, after, done) in enumerate(zip(states, terminal, dones, strict=True)):
            algorithm.act(self.observe(state))
            flags = torch.tensor(done)
            algorithm.process_env_step(
                self.observe([0.0] * self.num_envs),
                torch.full((self.num_envs,), 0.1),
                flags,
                {
                    "time_outs": torch.tensor(extras["time_outs"][t]).bool()
                    if "time_outs" in extras
                    else torch.zeros_like(flags).bool(),
                    "terminal_obs": self.observe(after),
                    "style_scale": torch.tensor(extras["style_scale"][t])
                    if "style_scale" in extras
                    else torch.ones(self.num_envs),
                    "state_is_valid": torch.tensor(extras["state_is_valid"][t]).bool()
                    if "state_is_valid" in extras
                    else torch.ones(self.num_envs).bool(),
                },
            )
        algorithm.compute_returns(self.observe([0.0] * self.num_envs))


class AnyPairs:
    def sample_pairs(self, batch_size: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.zeros(batch_size, 1), torch.zeros(batch_size, 1)


def _scripted(num_envs: int, num_steps: int) -> tuple[Algorithm, ScriptedEnv]:
    """An algorithm whose discriminator takes exactly the transition 0 -> 1 for an expert's."""
    env = ScriptedEnv(num_envs)
    algorithm = Algorithm(env, _cfg(num_steps), AnyPairs(), "cpu")
    discriminator = style_of(algorithm).discriminator
    with torch.no_grad():
        for parameter in discriminator.parameters():
            parameter.zero_()
        discriminator.trunk[0].weight[0] = torch.tensor([-1.0, 1.0])  # type: ignore[index]
        discriminator.trunk[2].weight[0, 0] = 1.0  # type: ignore[index]
        discriminator.head.weight[0, 0] = 2.0
        discriminator.head.bias.fill_(-1.0)
    return algorithm, env


def test_style_is_booked_for_the_action_that_led_to_it() -> None:
    algorithm, env = _scripted(num_envs=2, num_steps=4)
    # The first robot moves like the expert by its action at t = 1. The second one is reset from 0
    # to 1 at t = 1, which no action did.
    states = [[0.0, 0.0], [0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]
    terminal = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [1.0, 1.0]]
    env.play(algorithm, states, terminal, dones=[[0, 0], [0, 1], [0, 0], [0, 0]])
    style = algorithm.rollout["rewards"] - 0.1
    expected = torch.zeros(4, 2)
    expected[1, 0] = 0.5 * STEP_DT
    torch.testing.assert_close(style, expected, atol=1e-5, rtol=0.0)


def test_style_counts_for_the_last_step_of_an_episode_and_follows_its_scale() -> None:
    algorithm, env = _scripted(num_envs=3, num_steps=1)
    env.play(
        algorithm,
        states=[[0.0, 0.0, 0.0]],
        terminal=[[1.0, 1.0, 1.0]],
        dones=[[1, 0, 0]],
        style_scale=[[1.0, 0.25, 0.0]],
    )
    style = (algorithm.rollout["rewards"].flatten() - 0.1) / (0.5 * STEP_DT)
    torch.testing.assert_close(style, torch.tensor([1.0, 0.25, 0.0]), atol=1e-3, rtol=0.0)


def test_replayed_pairs_are_one_step_of_one_episode() -> None:
    algorithm, env = _scripted(num_envs=2, num_steps=3)
    # Hundreds count the episode, ones the step.
    states = [[100.0, 200.0], [101.0, 201.0], [102.0, 300.0]]
    terminal = [[101.0, 201.0], [102.0, 202.0], [103.0, 301.0]]
    env.play(algorithm, states, terminal, dones=[[0, 0], [0, 1], [0, 0]])
    before, after = style_of(algorithm).replay.sample(200)
    assert set(before.flatten().tolist()) == {100.0, 101.0, 102.0, 200.0, 201.0, 300.0}
    assert torch.equal(after, before + 1.0)


@pytest.mark.parametrize(
    ("state_is_valid", "kept"),
    [
        ([[1, 1], [1, 0], [1, 1]], {100.0, 200.0, 101.0, 102.0, 300.0}),
        ([[0, 0], [0, 0], [0, 1]], {300.0}),
    ],
)
def test_pairs_of_broken_physics_are_not_replayed(
    state_is_valid: list[list[int]], kept: set[float]
) -> None:
    algorithm, env = _scripted(num_envs=2, num_steps=3)
    states = [[100.0, 200.0], [101.0, 201.0], [102.0, 300.0]]
    terminal = [
        [state + 1.0 if sound else 0.0 for state, sound in zip(*of, strict=True)]
        for of in zip(states, state_is_valid, strict=True)
    ]
    dones = [[1 - sound for sound in of] for of in state_is_valid]
    env.play(algorithm, states, terminal, dones, state_is_valid=state_is_valid)
    before, after = style_of(algorithm).replay.sample(200)
    assert set(before.flatten().tolist()) == kept
    assert torch.equal(after, before + 1.0)


def test_time_out_bootstraps_on_the_value_of_the_terminal_state() -> None:
    algorithm, env = _scripted(num_envs=3, num_steps=2)
    terminal_obs = env.observe([0.0, 0.0, 0.0])
    terminal_obs["critic_obs"] = torch.randn_like(terminal_obs["critic_obs"])
    for t in range(2):
        algorithm.act(env.observe([0.0, 0.0, 0.0]))
        last = t == 1
        algorithm.process_env_step(
            env.observe([0.0, 0.0, 0.0]),
            torch.zeros(3),
            torch.tensor([1, 1, 0]) * last,
            {
                "time_outs": torch.tensor([True, False, False]) & last,
                "terminal_obs": terminal_obs,
                "style_scale": torch.zeros(3),
                "state_is_valid": torch.ones(3, dtype=torch.bool),
            },
        )
    algorithm.compute_returns(env.observe([0.0, 0.0, 0.0]))
    gamma = algorithm.cfg.algorithm.gamma
    critic = ppo_of(algorithm).critic
    terminal_value = critic(terminal_obs).flatten()
    current_value = critic(env.observe([0.0, 0.0, 0.0])).flatten()
    expected = torch.stack((gamma * terminal_value[0], torch.zeros(()), gamma * current_value[2]))
    torch.testing.assert_close(algorithm.rollout["returns"][1], expected)


def test_decoder_target_is_the_next_clean_state_and_invalid_at_episode_ends() -> None:
    env = ToyEnv(num_envs=4, max_episode_length=5)
    algorithm = _construct(env, _cfg(num_steps=8))
    terminal = []
    with torch.inference_mode():
        obs = env.get_observations()
        for _ in range(8):
            obs, rewards, dones, extras = env.step(algorithm.act(obs))
            algorithm.process_env_step(obs, rewards, dones, extras)
            terminal.append(extras["terminal_obs"]["critic_obs"])
    stored = algorithm.rollout
    expected = env.observation_layout.gather(
        "critic_obs", algorithm.cfg.vae.reconstructed_terms, torch.stack(terminal)
    )
    assert torch.equal(stored["next_proprioception"], expected)
    assert torch.equal(stored["valid"], ~stored["dones"])
    assert not stored["valid"].all()


def test_actor_reads_estimate_or_truth_and_never_a_blend() -> None:
    env = ToyEnv(num_envs=4)
    algorithm = _construct(env, _cfg())
    learner = estimator_of(algorithm)
    learner.adaboot.uses_estimate.copy_(torch.tensor([True, False, True, False]))
    obs = env.get_observations()
    groups = set(obs.keys())
    actions = algorithm.act(obs)
    assert set(obs.keys()) == groups, "the environment's observations are its own"
    algorithm.process_env_step(obs, *env.step(actions)[1:])
    memory = learner.estimator.initial_memory(4)
    estimate = learner.estimator(obs, memory, deterministic=True).estimate
    truth = learner.estimator.targets.truth(obs)
    read = algorithm.rollout["estimate"][0]
    torch.testing.assert_close(read[::2], estimate[::2].detach())
    torch.testing.assert_close(read[1::2], truth[1::2])


@pytest.mark.parametrize(
    "disturbed",
    [
        {"vae": ContextVaeCfg(velocity_weight=1e6)},
        {"amp": AmpCfg(hidden_dims=(16, 16), batch_size=32, replay_size=500, gradient_penalty=1e6)},
    ],
    ids=["vae", "discriminator"],
)
def test_huge_loss_of_one_learner_leaves_the_policy_alone(disturbed: dict[str, Any]) -> None:
    actors, others = [], []
    for settings in ({}, disturbed):
        torch.manual_seed(0)
        env = ToyEnv(num_envs=8)
        algorithm = _construct(env, _cfg(**settings))
        _iterate(algorithm, env)
        actor, *rest = (ppo_of(algorithm), estimator_of(algorithm), style_of(algorithm))
        actors.append(torch.cat([p.detach().flatten() for p in actor.parameters()]))
        others.append(torch.cat([p.detach().flatten() for m in rest for p in m.parameters()]))
    assert torch.equal(actors[0], actors[1])
    assert not torch.equal(others[0], others[1])


def test_every_epoch_is_shuffled_anew_and_complete() -> None:
    env = ToyEnv(num_envs=6)
    algorithm = _construct(env, _cfg(num_steps=4))
    _rollout(algorithm, env)
    rollout = algorithm.rollout
    rollout.put("returns", torch.arange(24.0).view(4, 6))
    picks = list(rollout.draw(num_mini_batches=2, num_epochs=2))
    samples = [rollout.pick(["returns"], of.samples)["returns"].long() for of in picks]
    for order, count in ((samples, 24), ([of.envs for of in picks], 6)):
        first, second = torch.cat(order[:2]), torch.cat(order[2:])
        assert torch.equal(first.sort().values, torch.arange(count))
        assert torch.equal(second.sort().values, torch.arange(count))
        assert not torch.equal(first, second)


def test_fewer_environments_than_mini_batches_serve_in_several() -> None:
    env = ToyEnv(num_envs=2)
    algorithm = _construct(env, _cfg(num_steps=4))
    served = [of.envs.tolist() for of in algorithm.rollout.draw(4, 1)]
    assert served in ([[0], [1], [0], [1]], [[1], [0], [1], [0]])


def test_advantages_are_standardised() -> None:
    env = ToyEnv(num_envs=16)
    algorithm = _construct(env, _cfg())
    _rollout(algorithm, env)
    advantages = algorithm.rollout["advantages"]
    assert advantages.mean().abs() < 1e-5
    torch.testing.assert_close(advantages.std(correction=0), torch.tensor(1.0))


def test_rollout_reads_nothing_back_from_the_device() -> None:
    env = ToyEnv(num_envs=4, max_episode_length=3)
    algorithm = _construct(env, _cfg())
    reads = HostReads()
    with torch.inference_mode():
        for _ in range(algorithm.cfg.num_steps_per_env):
            obs = env.get_observations()
            with reads:
                actions = algorithm.act(obs)
            obs, rewards, dones, extras = env.step(actions)
            with reads:
                algorithm.process_env_step(obs, rewards, dones, extras)
    assert reads.places == set()


def test_the_memory_lasts_as_long_as_the_episode() -> None:
    env = ToyEnv(num_envs=4, max_episode_length=5)
    algorithm = _construct(env, _cfg(num_steps=8))
    algorithm.eval_mode()
    learner = estimator_of(algorithm)
    estimates, memory = [], learner.estimator.initial_memory(4)
    with torch.inference_mode():
        obs = env.get_observations()
        for _ in range(2):
            first_memory = memory
            for _ in range(8):
                output = learner.estimator(obs, memory, deterministic=True)
                estimates.append(output.estimate)
                obs, rewards, dones, extras = env.step(algorithm.act(obs))
                algorithm.process_env_step(obs, rewards, dones, extras)
                memory = torch.where(dones[:, None] != 0, 0.0, output.memory)
            rollout = algorithm.rollout
            torch.testing.assert_close(learner.first_memory, first_memory)
            # Sequences read again what was acted on.
            for picks in rollout.draw(num_mini_batches=2, num_epochs=1):
                batch = learner.sequences(rollout, picks.envs)
                again = learner.estimator.encode(batch.observations, batch.memory, batch.begins)[0]
                acted = torch.stack(estimates[-8:])[:, picks.envs]
                torch.testing.assert_close(again, acted, atol=1e-5, rtol=0.0)
            rollout.clear()


def test_an_update_reads_the_very_frames_that_were_acted_on() -> None:
    env = ToyEnv(num_envs=4, max_episode_length=5)
    algorithm = _construct(env, _cfg(num_steps=8))
    with torch.inference_mode():
        obs = env.get_observations()
        # The second rollout begins in the middle of episodes.
        for _ in range(2):
            acted_on = []
            for _ in range(8):
                acted_on.append(obs["vae_obs"].clone())
                obs, rewards, dones, extras = env.step(algorithm.act(obs))
                algorithm.process_env_step(obs, rewards, dones, extras)
            histories = torch.stack(acted_on)
            envs = torch.tensor([2, 0, 3])
            batch = estimator_of(algorithm).sequences(algorithm.rollout, envs)
            assert torch.equal(batch.observations["vae_obs"], histories[:, envs])
            algorithm.rollout.clear()


def test_learning_rate_rises_and_falls_with_the_kl_divergence() -> None:
    rates = []
    for desired_kl in (1e-9, 1e3):
        env = ToyEnv(num_envs=8)
        ppo = AmpVaePpoCfg(desired_kl=desired_kl, num_learning_epochs=10, num_mini_batches=2)
        algorithm = _construct(env, _cfg(ppo=ppo))
        metrics = _iterate(algorithm, env)
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
        algorithm = _construct(env, _cfg(ppo=ppo))
        algorithm.set_progress(progress)
        spread.append(_iterate(algorithm, env)["Policy/mean_noise_std"])
    at_the_start, at_the_end, without = spread
    assert at_the_start > at_the_end == without


def test_loss_that_is_not_finite_is_named() -> None:
    for stored, loss in (
        (lambda it: estimator_of(it).frames["vae_obs"].frames, "vae_vel_loss"),
        (lambda it: it.rollout["latent"], "surrogate"),
    ):
        env = ToyEnv(num_envs=4)
        algorithm = _construct(env, _cfg())
        _rollout(algorithm, env)
        stored(algorithm)[0, 0, 0] = torch.nan
        with pytest.raises(FloatingPointError, match=loss):
            algorithm.update()


def test_episode_statistics_tell_of_episodes_since_the_last_call() -> None:
    env = ToyEnv(num_envs=8, max_episode_length=4)
    algorithm = _construct(env, _cfg(num_steps=8, amp=NO_STYLE))
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
    original = _construct(env, _cfg())
    for _ in range(2):
        original.set_progress(0.45)
        _iterate(original, env)
    file = io.BytesIO()
    torch.save((original.save(), original.process_state()), file)
    other_env, random_state = copy.deepcopy(env), torch.get_rng_state()

    resumed = _construct(env, _cfg(), seed=123)
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
            metrics = _iterate(algorithm, its_env)
        results.append((algorithm.save(), algorithm.process_state(), metrics))
    torch.testing.assert_close(results[0], results[1], rtol=0.0, atol=0.0)


def test_the_policy_is_the_mean_of_the_last_updates() -> None:
    env = ToyEnv(num_envs=8)
    cfg = dataclasses.replace(_cfg(), policy_memory=4.0)
    algorithm = _construct(env, cfg)
    weights = []
    for _ in range(3):
        _iterate(algorithm, env)
        weights.append(estimator_of(algorithm).estimator.heads.weight.detach().clone())
    mean = weights[0].lerp(weights[1], 0.25).lerp(weights[2], 0.25)
    torch.testing.assert_close(algorithm.get_inference_policy().vae.heads.weight, mean)
    torch.testing.assert_close(algorithm.save()[POLICY_STATE]["vae.heads.weight"], mean)


def test_resumed_training_follows_the_rates_it_is_given() -> None:
    env = ToyEnv(num_envs=8)
    original = _construct(env, _cfg(vae=ContextVaeCfg(learning_rate=1e-3)))
    _iterate(original, env)
    rates = ContextVaeCfg(learning_rate=1e-4, final_learning_rate=1e-6)
    resumed = _construct(env, _cfg(vae=rates))
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
    cfg = _cfg(num_steps=24, amp=NO_STYLE, ppo=AmpVaePpoCfg())
    cfg.vae.final_learning_rate = cfg.vae.learning_rate
    algorithm = _construct(env, cfg)
    algorithm.set_progress(1.0)

    def measured() -> dict[str, float]:
        return {**_iterate(algorithm, env), **algorithm.episode_statistics()}

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
