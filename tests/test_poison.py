"""A value that is not finite, or absurdly large, in any place of training: seen, and named."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch

from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.errors import UserError
from rl_sim_env.learning.config import AmpCfg
from rl_sim_env.learning.runner import AmpVaeRunner
from small_policy import CFG, TASK

VALUES = (math.nan, math.inf, -math.inf, 1e30)


class Expert:
    """Pairs of motion that look like nothing in particular."""

    def __init__(self, width: int) -> None:
        self._width = width

    def sample_pairs(self, batch_size: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.randn(batch_size, self._width), torch.randn(batch_size, self._width)


@pytest.fixture(scope="module")
def vec_env(make_env) -> AmpVaeVecEnv:
    return AmpVaeVecEnv(make_env(4))


@pytest.fixture
def runner(vec_env, tmp_path) -> Iterator[AmpVaeRunner]:
    torch.manual_seed(0)
    amp = AmpCfg(hidden_dims=(8, 8), batch_size=16, replay_size=64)
    cfg = replace(CFG, num_steps_per_env=12, amp=amp, save_interval=1)
    masses = vec_env.unwrapped.sim.model.body_mass
    sound = masses[:].clone()
    vec_env.reset()
    expert = Expert(vec_env.observation_layout.width("amp_obs"))
    yield AmpVaeRunner(vec_env, cfg, expert, tmp_path, task_id=TASK)
    masses[:] = sound
    vec_env.read_log()
    vec_env.check_health()


def in_reward(runner: AmpVaeRunner, value: float, patch: pytest.MonkeyPatch) -> None:
    term = runner.env.unwrapped.reward_manager.get_term_cfg("feet_slide")
    patch.setattr(term, "func", lambda env, **_: torch.full((env.num_envs,), value))


def in_observation(runner: AmpVaeRunner, value: float, patch: pytest.MonkeyPatch) -> None:
    term = runner.env.unwrapped.observation_manager.get_term_cfg("actor_obs", "joint_vel")
    usual = term.func

    def poisoned(*args, **params):
        seen = usual(*args, **params).clone()
        seen[0, 3] = value
        return seen

    patch.setattr(term, "func", poisoned)


def in_action(runner: AmpVaeRunner, value: float, patch: pytest.MonkeyPatch) -> None:
    act = runner.alg.act

    def poisoned(obs):
        actions = act(obs).clone()
        actions[0, 3] = value
        return actions

    patch.setattr(runner.alg, "act", poisoned)


def before_a_step(runner: AmpVaeRunner, patch: pytest.MonkeyPatch, change: Callable) -> None:
    step = runner.env.step

    def poisoned(actions):
        change()
        return step(actions)

    patch.setattr(runner.env, "step", poisoned)


def in_state(runner: AmpVaeRunner, value: float, patch: pytest.MonkeyPatch) -> None:
    data = runner.env.unwrapped.sim.data
    before_a_step(runner, patch, lambda: data.qpos[0, :1].fill_(value))


def in_mass(runner: AmpVaeRunner, value: float, patch: pytest.MonkeyPatch) -> None:
    masses = runner.env.unwrapped.sim.model.body_mass
    before_a_step(runner, patch, lambda: masses[0, 1:].fill_(value))


def in_gradient(runner: AmpVaeRunner, value: float, patch: pytest.MonkeyPatch) -> None:
    weight = runner.alg.learners["policy"].modules["actor"].mlp[0].weight
    weight.register_hook(lambda gradient: torch.full_like(gradient, value))


NAMED = {
    in_reward: "reward term 'feet_slide'",
    in_observation: "observation 'actor_obs.joint_vel'",
    in_action: "action",
    in_state: "the physics of 1 of 4 robots",
    in_mass: "mass",
    in_gradient: "Gradient/actor",
}


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("place", NAMED, ids=lambda place: place.__name__)
def test_poison_is_seen_and_named_with_what_to_go_on_from(runner, monkeypatch, place, value):
    runner.learn(1)
    place(runner, value, monkeypatch)
    with pytest.raises(UserError, match=NAMED[place]) as told:
        runner.learn(2)
    assert re.search(r"(saved: |go on from (it with --checkpoint )?)\S+\.pt", str(told.value))
