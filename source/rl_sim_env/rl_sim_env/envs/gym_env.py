"""The environment as gymnasium sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from rl_sim_env.envs.amp_vae_env import AmpVaeEnv
from rl_sim_env.errors import UserError

Observations = dict[str, torch.Tensor]


class AmpVaeGymEnv(gymnasium.vector.VectorEnv[Observations, torch.Tensor, torch.Tensor]):
    """Adapter from :class:`AmpVaeEnv` to gymnasium's vectorised environment.

    Values stay torch tensors on the environment's device. A robot whose episode ends is reset in
    the same step. The padding environment of fixed shapes stays hidden.

    Args:
        env: The environment; it is not reset before :meth:`reset`.
    """

    def __init__(self, env: AmpVaeEnv) -> None:
        self.env = env
        self.num_envs = env.num_robots
        self.render_mode = env.render_mode
        self.metadata = {
            "autoreset_mode": AutoresetMode.SAME_STEP,
            "render_modes": ["rgb_array"],
            "render_fps": 1.0 / env.step_dt,
        }
        layout, clip = env.observation_layout, env.cfg.observation_clip
        self.single_observation_space = gymnasium.spaces.Dict(
            {group: Box(-clip, clip, (layout.width(group),)) for group in layout.groups}
        )
        self.single_action_space = Box(-np.inf, np.inf, (env.action_manager.total_action_dim,))
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Start a new episode everywhere.

        Args:
            seed: Seed of all randomness of the process (torch, NumPy, Warp).
            options: Not used.

        Returns:
            Observations by group, shape (num_envs, width) each, and the infos.
        """
        super().reset(seed=seed)
        obs, extras = self.env.reset(seed=seed, options=options)
        return self._of_robots(obs), dict(extras)

    def step(
        self, actions: torch.Tensor | np.ndarray
    ) -> tuple[Observations, torch.Tensor, torch.Tensor, torch.Tensor, dict[str, Any]]:
        """Run one control step.

        Args:
            actions: Raw actions. Shape (num_envs, num_actions).

        Returns:
            Observations by group, rewards, terminations, truncations, shape (num_envs,) each, and
            infos: ``final_obs`` with the groups of ``cfg.terminal_groups`` before resets,
            ``_final_obs`` telling whose episode has ended, ``style_scale`` and ``state_is_valid``.

        Raises:
            UserError: The actions have another shape.
        """
        actions = torch.as_tensor(actions, dtype=torch.float, device=self.env.device)
        if actions.shape != self.action_space.shape:
            raise UserError(
                f"actions have shape {tuple(actions.shape)}; it must be "
                f"{self.action_space.shape}: robots, joints"
            )
        obs, reward, terminated, truncated, extras = self.env.step(actions)
        # The managers overwrite theirs in the next step.
        reward, terminated, truncated = (
            of[: self.num_envs].clone() for of in (reward, terminated, truncated)
        )
        infos = {
            **extras,
            "final_obs": self._of_robots(extras["terminal_obs"]),
            "_final_obs": terminated | truncated,
            **{name: extras[name][: self.num_envs] for name in ("style_scale", "state_is_valid")},
        }
        del infos["terminal_obs"]
        return self._of_robots(obs), reward, terminated, truncated, infos

    def _of_robots(self, groups: Mapping[str, Any]) -> Observations:
        return {name: group[: self.num_envs] for name, group in groups.items()}

    def render(self) -> tuple[np.ndarray, ...] | None:
        """One picture of the scene, if the render mode is ``rgb_array``."""
        frame = self.env.render()
        return None if frame is None else (frame,)

    def close_extras(self, **kwargs: Any) -> None:
        """Release the environment."""
        del kwargs
        self.env.close()
