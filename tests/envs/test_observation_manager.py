"""Stacked frames, and values that follow their names."""

from __future__ import annotations

import random

import pytest
import torch

from rl_sim_env.envs.observation_manager import FrameStackCfg
from rl_sim_env.errors import UserError

FRAME = 57
LENGTH = 5


def walk(env, steps: int) -> list[dict[str, torch.Tensor]]:
    torch.manual_seed(1)
    return [env.step(0.3 * torch.randn(env.num_envs, 12))[0] for _ in range(steps)]


@pytest.fixture(scope="module")
def noisy(make_env):
    return make_env(3, noise=True)


def test_newest_frame_is_the_observation_with_the_very_same_noise(noisy):
    for obs in walk(noisy, 2):
        assert torch.equal(obs["vae_obs"][:, -FRAME:], obs["actor_obs"])


def test_frames_are_whole_and_age_towards_the_front(noisy):
    noisy.reset()
    seen = walk(noisy, LENGTH + 2)
    oldest_first = torch.cat([obs["actor_obs"] for obs in seen[-LENGTH:]], dim=-1)
    assert torch.equal(seen[-1]["vae_obs"], oldest_first)


def test_all_frames_are_the_first_one_after_a_reset_and_others_go_on(noisy):
    before = walk(noisy, LENGTH)[-1]
    obs, _ = noisy.reset(env_ids=torch.tensor([1]))
    first = obs["actor_obs"][1]
    assert torch.equal(obs["vae_obs"][1], first.repeat(LENGTH))
    for other in (0, 2):
        assert torch.equal(obs["vae_obs"][other], before["vae_obs"][other])


def test_reset_within_a_step_fills_the_stack_too(noisy):
    before = walk(noisy, LENGTH)[-1]
    noisy.episode_length_buf[2] = noisy.max_episode_length - 1
    (obs,) = walk(noisy, 1)
    assert torch.equal(obs["vae_obs"][2], obs["actor_obs"][2].repeat(LENGTH))
    shifted = torch.cat((before["vae_obs"][0, FRAME:], obs["actor_obs"][0]))
    assert torch.equal(obs["vae_obs"][0], shifted)


def test_asking_again_does_not_age_the_frames(noisy):
    last = walk(noisy, 1)[-1]
    again = noisy.observation_manager.compute()
    assert torch.equal(again["vae_obs"], last["vae_obs"])


def test_shuffled_terms_change_nothing_but_the_layout(make_env):
    def shuffle(cfg):
        for seed, group in enumerate(cfg.observations.values()):
            names = list(group.terms)
            random.Random(seed).shuffle(names)
            group.terms = {name: group.terms[name] for name in names}

    plain, shuffled = (make_env(2), make_env(2, edit=shuffle))
    layouts = plain.observation_layout, shuffled.observation_layout
    assert layouts[0] != layouts[1]
    observations = []
    for env in (plain, shuffled):
        env.reset(seed=3)
        observations.append(walk(env, 3)[-1])
    for group in layouts[0].groups:
        assert set(layouts[0].names(group)) == set(layouts[1].names(group))
        for name in layouts[0].names(group):
            values = [
                obs[group][:, layout.slice(group, name)]
                for obs, layout in zip(observations, layouts, strict=True)
            ]
            assert torch.equal(*values), f"{group}/{name}"


@pytest.mark.parametrize("lookup", ("term", "slice"))
def test_a_missing_term_is_named_with_its_group_and_the_terms_there_are(make_env, lookup):
    def rename(cfg):
        terms = cfg.observations["critic_obs"].terms
        terms["com"] = terms.pop("random_com")

    layout = make_env(1, edit=rename).observation_layout
    with pytest.raises(UserError) as error:
        getattr(layout, lookup)("critic_obs", "random_com")
    for part in ("critic_obs", "random_com", "base_lin_vel", "random_mass", "com"):
        assert part in str(error.value)


def test_a_stack_of_a_group_that_does_not_exist_is_refused(make_env):
    def edit(cfg):
        cfg.frame_stacks["vae_obs"] = FrameStackCfg(source="policy", length=2)

    with pytest.raises(UserError, match=r"'vae_obs' stacks 'policy'.*actor_obs"):
        make_env(1, edit=edit)


def test_observations_are_clipped(make_env):
    def edit(cfg):
        cfg.observation_clip = 0.1

    obs = walk(make_env(1, edit=edit), 1)[-1]
    assert all(group.abs().max() <= 0.1 for group in obs.values())
    assert obs["critic_obs"].abs().max() == pytest.approx(0.1)
