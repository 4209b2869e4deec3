"""The contract between environment and trainer."""

from __future__ import annotations

import math

import pytest
import torch
from mjlab.managers.event_manager import EventTermCfg

from rl_sim_env.envs import AmpVaeVecEnv


@pytest.fixture(scope="module")
def vec_env(make_env):
    return AmpVaeVecEnv(make_env(2))


def test_step_returns_what_the_trainer_reads(vec_env):
    obs, reward, dones, extras = vec_env.step(torch.zeros(2, 12))
    assert obs.batch_size == (2,)
    assert reward.shape == dones.shape == (2,) and dones.dtype == torch.long
    assert extras["time_outs"].dtype == torch.bool
    assert set(extras["terminal_obs"].keys()) == {"critic_obs", "amp_obs"}
    assert extras["style_scale"].shape == (2,)
    again = vec_env.get_observations()
    for group in vec_env.observation_layout.groups:
        assert torch.equal(again[group], obs[group])


def test_whatever_the_environment_reports_arrives(make_env):
    def report(env, env_ids):
        env.extras["cost"] = torch.arange(float(env.num_envs))
        env.extras["nested"] = {"limit": torch.ones(3), "word": "as it is"}

    def edit(cfg):
        cfg.fixed_shapes = True
        cfg.events["report"] = EventTermCfg(func=report, mode="step")

    vec_env = AmpVaeVecEnv(make_env(2, edit=edit))
    extras = vec_env.step(torch.zeros(2, 12))[-1]
    assert extras["cost"].tolist() == [0.0, 1.0], "without the padding robot"
    assert extras["nested"]["limit"].tolist() == [1.0] * 2
    assert extras["nested"]["word"] == "as it is"


def test_a_fall_in_the_last_step_is_a_fall(vec_env):
    env = vec_env.unwrapped
    env.reset()
    env.episode_length_buf[:] = env.max_episode_length - 1
    half = math.sqrt(0.5)
    on_side = torch.tensor((half, half, 0.0, 0.0))
    env.sim.data.qpos[0, env.robot.indexing.free_joint_q_adr[3:7]] = on_side
    _, _, dones, extras = vec_env.step(torch.zeros(2, 12))
    assert dones.tolist() == [1, 1]
    assert extras["time_outs"].tolist() == [False, True]


def test_episode_lengths_can_be_set(vec_env):
    vec_env.episode_length_buf = torch.tensor((5, 10))
    vec_env.step(torch.zeros(2, 12))
    assert vec_env.unwrapped.episode_length_buf.tolist() == [6, 11]
