"""A tiny environment with real dynamics that keeps the whole observation contract.

Two joints push a body that carries an unknown load. It has the observation terms of the quadruped
under the same names, only fewer of each, and is fast enough for hundreds of steps in a test.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDict

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
from rl_sim_env.learning.symmetry import ACTIONS, Reflection
from rl_sim_env.learning.training_env import Breakdowns

JOINTS = 2
HISTORY = 3

_ACTOR_TERMS = (
    TermLayout(name="base_ang_vel", width=1, scale=0.25),
    TermLayout(name="projected_gravity", width=3),
    TermLayout(name="joint_pos", width=JOINTS),
    TermLayout(name="joint_vel", width=JOINTS, scale=0.05),
    TermLayout(name="joint_torques", width=JOINTS, scale=0.02),
    TermLayout(name="last_action", width=JOINTS),
    TermLayout(name="velocity_commands", width=1, scale=2.0),
)
_CRITIC_TERMS = (
    TermLayout(name="base_lin_vel", width=3, scale=2.0),
    *(term for term in _ACTOR_TERMS if term.name != "joint_torques"),
    TermLayout(name="random_com", width=3, scale=5.0),
    TermLayout(name="random_mass", width=1, scale=0.2),
)
_AMP_TERMS = (
    TermLayout(name="base_lin_vel_xy", width=2),
    TermLayout(name="base_ang_vel_z", width=1),
    TermLayout(name="joint_pos", width=JOINTS),
    TermLayout(name="joint_vel", width=JOINTS),
)


def toy_layout() -> ObservationLayout:
    return ObservationLayout(
        groups={
            "actor_obs": GroupLayout(terms=_ACTOR_TERMS),
            "vae_obs": GroupLayout(terms=_ACTOR_TERMS, history=HISTORY),
            "critic_obs": GroupLayout(terms=_CRITIC_TERMS),
            "amp_obs": GroupLayout(terms=_AMP_TERMS),
        }
    )


class ToyEnv:
    """Follow a commanded forward velocity by swinging two joints; reward at most 1 a second."""

    num_actions = JOINTS
    step_dt = 0.02

    def __init__(
        self, num_envs: int = 8, device: str = "cpu", max_episode_length: int = 20
    ) -> None:
        self.num_envs = num_envs
        self.device = device
        self.max_episode_length = max_episode_length
        self.cfg = {"max_episode_length": max_episode_length}
        self.observation_layout = toy_layout()
        self.constraint_layout = ConstraintLayout({"speed": JOINTS, "push": JOINTS}, str(device))
        self.thrust = torch.tensor([[1.0, 0.5], [0.2, -0.2], [0.0, 0.1]], device=device)
        self.episode_length_buf = self._zeros().long()
        self.state = {
            "joint_pos": self._zeros(JOINTS),
            "joint_vel": self._zeros(JOINTS),
            "action": self._zeros(JOINTS),
            "velocity": self._zeros(3),
            "mass": self._zeros(1),
            "com": self._zeros(3),
            "command": self._zeros(1),
            "episode_return": self._zeros(),
            "level": self._zeros(),
        }
        self.history = self._zeros(HISTORY, toy_layout().width("actor_obs"))
        self.log: defaultdict[str, list[float]] = defaultdict(list)
        self._reset(torch.ones(num_envs, dtype=torch.bool, device=device))

    def reflections(self) -> dict[str, Reflection]:
        """The joints change places; what has a side in space changes its sign."""
        polar, joints = ([0, 1, 2], [1.0, -1.0, 1.0]), ([1, 0], [1.0, 1.0])
        images = {
            **dict.fromkeys(("base_lin_vel", "projected_gravity", "random_com"), polar),
            **dict.fromkeys(("joint_pos", "joint_vel", "joint_torques", "last_action"), joints),
            **dict.fromkeys(("random_mass", "velocity_commands"), ([0], [1.0])),
            "base_ang_vel": ([0], [-1.0]),
            ACTIONS: joints,
        }
        return {name: Reflection.make(*image, self.device) for name, image in images.items()}

    def get_observations(self) -> TensorDict:
        return TensorDict(
            {
                "actor_obs": self.history[:, -1].clone(),
                "vae_obs": self.history.flatten(1),
                **self._state_observations(),
            },
            batch_size=[self.num_envs],
        )

    def step(
        self, actions: torch.Tensor
    ) -> tuple[TensorDict, torch.Tensor, torch.Tensor, dict[str, Any]]:
        state = self.state
        state["action"] = actions.clamp(-2.0, 2.0)
        noise = 0.01 * torch.randn_like(state["joint_vel"])
        push = 0.5 * state["action"] / (1.0 + 0.1 * state["mass"])
        state["joint_vel"] = 0.8 * state["joint_vel"] + push + noise
        state["joint_pos"] = 0.95 * state["joint_pos"] + self.step_dt * state["joint_vel"]
        state["velocity"] = 0.8 * state["velocity"] + 0.2 * state["joint_vel"] @ self.thrust.T
        self.episode_length_buf += 1

        error = (state["velocity"][:, 0] - state["command"][:, 0]).abs()
        rewards = self.step_dt * torch.exp(-error.square() / 0.25)
        fell = (state["joint_pos"].abs() > 1.0).any(dim=1)
        time_outs = (self.episode_length_buf >= self.max_episode_length) & ~fell
        dones = fell | time_outs
        state["episode_return"] = state["episode_return"] + rewards
        state["level"] = state["level"] + (time_outs & (error < 0.3)).float()
        returns = state["episode_return"] / self.max_episode_length
        terminal_obs = TensorDict(self._state_observations(), batch_size=[self.num_envs])
        extras = {
            "time_outs": time_outs,
            "terminal_obs": terminal_obs,
            "style_scale": (state["command"][:, 0].abs() > 0.1).float(),
            "state_is_valid": torch.ones_like(fell),
            "margins": torch.cat((state["joint_vel"].abs(), actions.abs()), dim=1) - 1.0,
        }
        self.log["Episode_Reward/track_lin_vel"] += [*returns[dones].tolist()]
        self.log["Metrics/velocity/error_vel_xy"] += [*error[dones].tolist()]
        self._reset(dones)
        return self.get_observations(), rewards, dones.long(), extras

    def read_log(self) -> dict[str, tuple[float, int]]:
        totals = {name: (sum(values), len(values)) for name, values in self.log.items() if values}
        self.log.clear()
        return totals | {"Curriculum/terrain_level/mean": (self.state["level"].mean().item(), 1)}

    def training_state(self, *, episodes: bool = True) -> dict[str, Any]:
        if not episodes:
            return {}
        state = {name: value.clone() for name, value in self.state.items()}
        state |= {"history": self.history, "episode_length": self.episode_length_buf}
        return {"episodes": {name: value.clone() for name, value in state.items()}}

    def load_training_state(self, saved: dict[str, Any]) -> str | None:
        if "episodes" not in saved:
            return "they were not saved"
        state = {name: value.to(self.device) for name, value in saved["episodes"].items()}
        if len(state["history"]) != self.num_envs:
            return "they are of other robots"
        self.history = state.pop("history").clone()
        self.episode_length_buf = state.pop("episode_length").clone()
        self.state = {name: value.clone() for name, value in state.items()}
        return None

    def check_health(self) -> Breakdowns:
        return Breakdowns()

    def dump_state(self, path: Path) -> Path:
        torch.save(self.training_state(), path)
        return path

    def _reset(self, ended: torch.Tensor) -> None:
        """Starts new episodes where `ended`, and completes the actor's history."""
        fresh = {
            "joint_pos": 0.1 * torch.randn_like(self.state["joint_pos"]),
            "mass": 6.0 * torch.rand_like(self.state["mass"]),
            "com": 0.2 * torch.rand_like(self.state["com"]) - 0.1,
            "command": 2.0 * torch.rand_like(self.state["command"]) - 1.0,
            "level": self.state["level"],
        }
        for name, value in self.state.items():
            start = fresh.get(name, torch.zeros_like(value))
            mask = ended.view(-1, *[1] * (value.dim() - 1))
            self.state[name] = torch.where(mask, start, value)
        self.episode_length_buf = self.episode_length_buf.masked_fill(ended, 0)
        frame = self._actor_frame().unsqueeze(1)
        shifted = torch.cat((self.history[:, 1:], frame), dim=1)
        self.history = torch.where(ended.view(-1, 1, 1), frame.expand_as(shifted), shifted)

    def _actor_frame(self) -> torch.Tensor:
        return self._assemble(_ACTOR_TERMS)

    def _state_observations(self) -> dict[str, torch.Tensor]:
        return {
            "critic_obs": self._assemble(_CRITIC_TERMS),
            "amp_obs": self._assemble(_AMP_TERMS),
        }

    def _assemble(self, terms: tuple[TermLayout, ...]) -> torch.Tensor:
        state = self.state
        down = torch.tensor([0.0, 0.0, -1.0], device=self.device)
        turn = (state["joint_vel"][:, :1] - state["joint_vel"][:, 1:]) / JOINTS
        values = {
            "base_lin_vel": state["velocity"],
            "base_lin_vel_xy": state["velocity"][:, :2],
            "base_ang_vel": turn,
            "base_ang_vel_z": turn,
            "projected_gravity": down + state["com"],
            "joint_pos": state["joint_pos"],
            "joint_vel": state["joint_vel"],
            "joint_torques": 10.0 * (state["action"] - state["joint_pos"]),
            "last_action": state["action"],
            "velocity_commands": state["command"],
            "random_com": state["com"],
            "random_mass": state["mass"],
        }
        scaled = [
            values[term.name] * torch.tensor(term.scales, device=self.device) for term in terms
        ]
        return torch.cat(scaled, dim=1)

    def _zeros(self, *shape: int) -> torch.Tensor:
        return torch.zeros(self.num_envs, *shape, device=self.device)


class ToyExpert:
    """One-step pairs of a body that swings evenly, drawn anew each time."""

    def __init__(self, device: str = "cpu") -> None:
        self.device = device

    def sample_pairs(self, batch_size: int) -> tuple[torch.Tensor, torch.Tensor]:
        phase = 6.3 * torch.rand(batch_size, 1, device=self.device)
        return self._features(phase), self._features(phase + 0.1)

    def _features(self, phase: torch.Tensor) -> torch.Tensor:
        width = toy_layout().width("amp_obs")
        return torch.sin(phase + torch.arange(width, device=self.device))


def toy_cfg(**overrides: Any) -> AmpVaeRunnerCfg:
    """A configuration small enough for tests; `overrides` are fields of the runner's."""
    settings = {
        "num_steps_per_env": 8,
        "max_iterations": 6,
        "algorithm": AmpVaePpoCfg(num_learning_epochs=2, num_mini_batches=2),
        "actor": ActorCfg(hidden_dims=(16,)),
        "critic": MlpCfg(hidden_dims=(16,)),
        "vae": ContextVaeCfg(encoder_dims=(16, 16), decoder_dims=(16, 16), latent_dim=4),
        "amp": AmpCfg(hidden_dims=(16, 16), batch_size=16, replay_size=256),
        "adaboot": AdaBootCfg(window=4, min_episodes=4),
    }
    return AmpVaeRunnerCfg(**{**settings, **overrides})
