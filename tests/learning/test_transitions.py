"""Which step style, motion pairs and bootstraps belong to, on states that a test plays."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from parts import ppo_of, style_of
from tensordict import TensorDict
from toy_env import JOINTS, toy_cfg, toy_layout

from rl_sim_env.learning.algorithm import Algorithm
from rl_sim_env.learning.constraint_layout import ConstraintLayout
from rl_sim_env.learning.layout import GroupLayout, ObservationLayout, TermLayout

STEP_DT = 0.02


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
    algorithm = Algorithm(env, toy_cfg(num_steps_per_env=num_steps), AnyPairs(), "cpu")
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
