"""What learners record in a rollout, and what an update reads of it."""

from __future__ import annotations

import torch
from parts import build, estimate_rmse, estimator_of, roll_out
from toy_env import ToyEnv, toy_cfg

from rl_sim_env.cuda_graphs import HostReads


def test_decoder_target_is_the_next_clean_state_and_invalid_at_episode_ends() -> None:
    env = ToyEnv(num_envs=4, max_episode_length=5)
    algorithm = build(env, toy_cfg(num_steps_per_env=8))
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
    algorithm = build(env)
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


def test_every_epoch_is_shuffled_anew_and_complete() -> None:
    env = ToyEnv(num_envs=6)
    algorithm = build(env, toy_cfg(num_steps_per_env=4))
    roll_out(algorithm, env)
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
    algorithm = build(env, toy_cfg(num_steps_per_env=4))
    served = [of.envs.tolist() for of in algorithm.rollout.draw(4, 1)]
    assert served in ([[0], [1], [0], [1]], [[1], [0], [1], [0]])


def test_advantages_are_standardised() -> None:
    env = ToyEnv(num_envs=16)
    algorithm = build(env)
    roll_out(algorithm, env)
    advantages = algorithm.rollout["advantages"]
    assert advantages.mean().abs() < 1e-5
    torch.testing.assert_close(advantages.std(correction=0), torch.tensor(1.0))


def test_rollout_reads_nothing_back_from_the_device() -> None:
    env = ToyEnv(num_envs=4, max_episode_length=3)
    algorithm = build(env)
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
    algorithm = build(env, toy_cfg(num_steps_per_env=8))
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
                acted = torch.stack(estimates[-8:])[:, picks.envs]
                assert estimate_rmse(learner.estimator, batch, acted) < 1e-5
            rollout.clear()


def test_an_update_reads_the_very_frames_that_were_acted_on() -> None:
    env = ToyEnv(num_envs=4, max_episode_length=5)
    algorithm = build(env, toy_cfg(num_steps_per_env=8))
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
