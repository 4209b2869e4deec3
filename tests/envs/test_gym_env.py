"""The tasks through gymnasium."""

from __future__ import annotations

import re

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from rl_sim_env.envs import AmpVaeGymEnv
from rl_sim_env.errors import UserError
from rl_sim_env.tasks import TASKS, find_task, register_task

TASK = "Rl-Sim-Env-AmpVae-Grq20-V2d3-Flat-v0"


def make(num_envs: int, **kwargs):
    return gymnasium.make_vec(TASK, num_envs=num_envs, device="cpu", **kwargs)


@pytest.fixture(scope="module")
def env():
    env = make(4, seed=1)
    yield env
    env.close()


def test_reset_and_step_fit_the_spaces(env):
    obs, _ = env.reset(seed=1)
    assert env.num_envs == 4
    assert env.single_action_space.shape == (12,)
    obs, reward, terminated, truncated, infos = env.step(env.action_space.sample())
    assert set(obs) == set(env.observation_space.spaces)
    for group, space in env.observation_space.spaces.items():
        assert isinstance(obs[group], torch.Tensor)
        assert space.contains(obs[group].numpy()), group
    assert reward.shape == terminated.shape == truncated.shape == (4,)
    assert infos["_final_obs"].shape == (4,)


def test_the_same_seed_gives_the_same_episode(env):
    runs = []
    for seed in (7, 7, 8):
        obs, _ = env.reset(seed=seed)
        runs.append(torch.cat((obs["actor_obs"], env.step(np.zeros((4, 12)))[0]["actor_obs"])))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_an_episode_that_ends_is_reset_in_the_same_step(env):
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    env.reset()
    env.unwrapped.env.episode_length_buf[2] = env.unwrapped.env.max_episode_length - 1
    obs, _, terminated, truncated, infos = env.step(torch.zeros(4, 12))
    assert truncated.tolist() == infos["_final_obs"].tolist() == [False, False, True, False]
    assert not terminated.any()
    assert not torch.equal(infos["final_obs"]["amp_obs"][2], obs["amp_obs"][2])
    assert torch.equal(infos["final_obs"]["amp_obs"][:2], obs["amp_obs"][:2])
    env.step(torch.zeros(4, 12))
    assert truncated.tolist() == [False, False, True, False], "a result must not change afterwards"


@pytest.mark.parametrize("fixed_shapes", (False, True))
def test_actions_of_another_shape_are_refused(make_env, fixed_shapes):
    env = AmpVaeGymEnv(make_env(3, edit=lambda cfg: setattr(cfg, "fixed_shapes", fixed_shapes)))
    env.reset()
    for shape in ((2, 12), (4, 12), (3, 11), (3, 13), (12,), (3, 12, 1)):
        message = f"actions have shape {shape}; it must be (3, 12)"
        with pytest.raises(UserError, match=re.escape(message)):
            env.step(np.zeros(shape))


def test_making_it_does_not_reset_it():
    env = make(1)
    assert env.unwrapped.env.velocity_command.command_counter.tolist() == [0]
    env.reset()
    assert env.unwrapped.env.velocity_command.command_counter.tolist() == [1]
    env.close()
    assert env.closed


def test_options_of_the_task_and_bad_input():
    viscous = make(1, arm="viscous")
    servo = viscous.unwrapped.env.sim.mj_model.actuator("robot/arm_length_joint")
    assert servo.gainprm[0] == 0.0
    with pytest.raises(UserError, match="num_envs is 0"):
        make(0)
    with pytest.raises(UserError, match="cuda:99"):
        gymnasium.make_vec(TASK, num_envs=1, device="cuda:99")


def test_all_tasks_are_registered_and_none_is_registered_twice():
    assert set(TASKS) <= set(gymnasium.registry)
    with pytest.raises(UserError, match=f"'{TASK}' is registered already"):
        register_task(TASK, find_task(TASK))


def test_padding_environment_of_fixed_shapes_stays_hidden(make_env):
    env = AmpVaeGymEnv(make_env(3, edit=lambda cfg: setattr(cfg, "fixed_shapes", True)))
    obs, _ = env.reset(seed=1)
    assert env.num_envs == 3
    assert all(len(of) == 3 for of in obs.values())
    obs, *results, infos = env.step(env.action_space.sample())
    assert all(len(of) == 3 for of in (*obs.values(), *results, *infos["final_obs"].values()))
    per_robot = ("_final_obs", "style_scale", "state_is_valid")
    assert [len(infos[name]) for name in per_robot] == [3, 3, 3]


def test_actions_that_are_not_finite_are_refused(env):
    env.reset()
    for value in (np.nan, np.inf):
        with pytest.raises(UserError, match="NaN or infinity"):
            env.step(np.full((4, 12), value))


def test_arrays_are_given_on_request():
    env = make(2, seed=1, numpy=True)
    obs, _ = env.reset(seed=1)
    for values in (obs, env.step(env.action_space.sample())[0]):
        assert all(space.contains(values[name]) for name, space in env.observation_space.items())
    *_, reward, terminated, truncated, infos = env.step(np.zeros((2, 12)))
    for array in (reward, terminated, truncated, infos["final_obs"]["amp_obs"]):
        assert isinstance(array, np.ndarray) and len(array) == 2
    env.close()


def test_one_robot_is_a_plain_environment():
    env = gymnasium.make(TASK, seed=1)
    check_env(env.unwrapped, skip_render_check=True)
    first, _ = env.reset(seed=3)
    vec_env = env.unwrapped.vec_env.env
    vec_env.episode_length_buf[0] = vec_env.max_episode_length - 2
    before, _, _, truncated, _ = env.step(np.zeros(12))
    assert not truncated
    last, _, terminated, truncated, _ = env.step(np.zeros(12))
    assert truncated and not terminated
    # What ended is seen to its end, not what begins anew.
    width = last["actor_obs"].size
    assert np.array_equal(last["vae_obs"][:-width], before["vae_obs"][width:])
    assert np.array_equal(last["vae_obs"][-width:], last["actor_obs"])
    again, _ = env.reset(seed=3)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    env.close()


def test_making_an_environment_prints_nothing(capsys):
    gymnasium.make_vec(TASK, num_envs=1, device="cpu").close()
    assert capsys.readouterr().out == ""
