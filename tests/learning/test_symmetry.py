from __future__ import annotations

import pytest
import torch
from parts import build, estimator_of, ppo_of, roll_out
from tensordict import TensorDict
from toy_env import ToyEnv, ToyExpert, toy_cfg, toy_layout

from rl_sim_env.errors import UserError
from rl_sim_env.learning.algorithm import Algorithm
from rl_sim_env.learning.config import AmpCfg
from rl_sim_env.learning.rollout import BatchIndices
from rl_sim_env.learning.symmetry import MIRRORED, Reflection, Symmetry

GROUPS = ("actor_obs", "vae_obs", "critic_obs")


class LopsidedEnv(ToyEnv):
    """Pays for action alone: one joint should push forward, the other one back."""

    def step(self, actions):
        obs, _, dones, extras = super().step(actions)
        wanted = torch.tensor((1.0, -1.0))
        return obs, -self.step_dt * (actions - wanted).square().sum(dim=1), dones, extras


def construct(env: ToyEnv, mirror_loss_coef: float = 0.5, **settings) -> Algorithm:
    cfg = toy_cfg(**settings)
    cfg.algorithm.mirror_loss_coef = mirror_loss_coef
    return build(env, cfg)


def mirrored(env: ToyEnv, group: str, values: torch.Tensor) -> torch.Tensor:
    reflections = env.reflections()
    terms = [reflections[name] for name in toy_layout().names(group)]
    history = toy_layout().groups[group].history
    return Reflection.join(terms * history).apply(values)


@pytest.mark.parametrize("uses_estimate", [True, False])
def test_a_mirrored_sample_is_what_a_mirrored_robot_would_have_read(uses_estimate: bool) -> None:
    env = ToyEnv(num_envs=4, max_episode_length=5)
    algorithm, other = construct(env), construct(env)
    for each in (algorithm, other):
        each.eval_mode()
        estimator_of(each).adaboot.uses_estimate.fill_(uses_estimate)
    with torch.inference_mode():
        obs = env.get_observations()
        for _ in range(4):
            image = TensorDict(
                {group: mirrored(env, group, obs[group]) for group in GROUPS}, batch_size=[4]
            )
            image["amp_obs"] = obs["amp_obs"]
            next_obs, *outcome = env.step(algorithm.act(obs))
            other.act(image)
            for each in (algorithm, other):
                each.process_env_step(next_obs, *outcome)
            obs = next_obs
    for group in ("estimate", "latent"):
        here, there = algorithm.rollout, other.rollout
        torch.testing.assert_close(there[group], here[MIRRORED + group])
        torch.testing.assert_close(there[MIRRORED + group], here[group])


def test_estimators_learn_from_mirror_images_by_half(monkeypatch: pytest.MonkeyPatch) -> None:
    env = ToyEnv(num_envs=128)
    algorithm = construct(env)
    roll_out(algorithm, env)
    learner = estimator_of(algorithm)
    learner.first_memory[:128], learner.first_memory[128:] = 0.0, 1.0
    envs = torch.randperm(128)
    plain = learner.sequences(algorithm.rollout, envs)
    read = []
    monkeypatch.setattr(learner.estimator, "loss", read.append)
    learner.loss(algorithm.rollout, BatchIndices(envs, envs), None)
    (found,) = read
    chosen = found.memory == 1.0
    assert chosen.any(dim=1).float().mean().item() == pytest.approx(0.5, abs=0.15)
    chosen = chosen[:, :1]
    history = plain.observations["vae_obs"]
    image = mirrored(env, "vae_obs", history)
    expected = torch.where(chosen, image, history)
    torch.testing.assert_close(found.observations["vae_obs"], expected)
    targets = plain.estimate_targets * torch.tensor((1.0, -1.0, 1.0, 1.0, 1.0, -1.0, 1.0))
    torch.testing.assert_close(
        found.estimate_targets, torch.where(chosen, targets, plain.estimate_targets)
    )
    reflections = [env.reflections()[name] for name in algorithm.cfg.vae.reconstructed_terms]
    body = Reflection.join(reflections).apply(plain.next_proprioception)
    torch.testing.assert_close(
        found.next_proprioception, torch.where(chosen, body, plain.next_proprioception)
    )


def test_a_mirror_loss_makes_a_policy_without_sides() -> None:
    def difference(mirror_loss_coef: float) -> float:
        env = LopsidedEnv(num_envs=64)
        algorithm = construct(
            env, mirror_loss_coef, amp=AmpCfg(style_weight=0.0, hidden_dims=(16, 16))
        )
        for _ in range(20):
            roll_out(algorithm, env)
            algorithm.update()
        with torch.inference_mode():
            algorithm.act(env.get_observations())
        forward, back = ppo_of(algorithm).actor.output_mean.mean(dim=0).tolist()
        return forward - back

    assert abs(difference(mirror_loss_coef=0.5)) < 0.5 < 1.0 < difference(mirror_loss_coef=0.0)


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_a_mirror_loss_over_no_part_of_a_mini_batch_is_refused(share: float) -> None:
    env = ToyEnv(num_envs=4)
    cfg = toy_cfg()
    cfg.algorithm.mirror_loss_share = share
    with pytest.raises(UserError, match=r"mirror_loss_share is .* above 0 and at most 1"):
        Algorithm(env, cfg, ToyExpert(), env.device)


def test_terms_without_a_mirror_image_are_named() -> None:
    env = ToyEnv()
    reflections = env.reflections()
    del reflections["joint_vel"]
    with pytest.raises(UserError, match=r"joint_vel.*mirror_loss_coef=0"):
        Symmetry(toy_layout(), reflections).group("actor_obs")
