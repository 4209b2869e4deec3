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

Array = torch.Tensor | np.ndarray
Observations = dict[str, Any]
"""An :data:`Array` for each group."""


class AmpVaeGymEnv(gymnasium.vector.VectorEnv[Observations, Array, Array]):
    """Adapter from :class:`AmpVaeEnv` to gymnasium's vectorised environment.

    A robot whose episode ends is reset in the same step. The padding environment of fixed shapes
    stays hidden.

    Args:
        env: The environment; it is not reset before :meth:`reset`.
        numpy: Whether to give NumPy arrays, which wait for a GPU in every step; by default values
            stay torch tensors on the environment's device. Actions may be either.
    """

    def __init__(self, env: AmpVaeEnv, *, numpy: bool = False) -> None:
        self.env = env
        self._numpy = numpy
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
        return self._given(self._of_robots(obs)), self._given(dict(extras))

    def step(self, actions: Array) -> tuple[Observations, Array, Array, Array, dict[str, Any]]:
        """Run one control step.

        Args:
            actions: Raw actions. Shape (num_envs, num_actions).

        Returns:
            Observations by group, rewards, terminations, truncations, shape (num_envs,) each, and
            infos: ``final_obs`` with the groups of ``cfg.terminal_groups`` before resets,
            ``_final_obs`` telling whose episode has ended, ``style_scale`` and ``state_is_valid``.

        Raises:
            UserError: The actions have another shape, or those on the CPU are not finite; a GPU is
                not asked, for that would wait for it.
        """
        actions = torch.as_tensor(actions, dtype=torch.float, device=self.env.device)
        if actions.shape != self.action_space.shape:
            raise UserError(
                f"actions have shape {tuple(actions.shape)}; it must be "
                f"{self.action_space.shape}: robots, joints"
            )
        if actions.device.type == "cpu" and not actions.isfinite().all():
            raise UserError("actions have NaN or infinity in them; the policy is broken")
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
        return tuple(map(self._given, (self._of_robots(obs), reward, terminated, truncated, infos)))

    def _given(self, values: Any) -> Any:
        """Values as they are given out."""
        if not self._numpy:
            return values
        if isinstance(values, Mapping):
            return {name: self._given(value) for name, value in values.items()}
        return values.cpu().numpy() if isinstance(values, torch.Tensor) else values

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


class AmpVaeSingleGymEnv(gymnasium.Env[dict[str, np.ndarray], np.ndarray]):
    """One robot, as gymnasium's plain environment: NumPy in and out, without the axis of robots.

    An episode that has ended goes on when :meth:`reset` is called, as gymnasium has it.

    Args:
        vec_env: The environment of one robot, in NumPy. ``cfg.terminal_groups`` has all groups that
            are no stacks of frames, for the last observation of an episode.
    """

    def __init__(self, vec_env: AmpVaeGymEnv) -> None:
        self.vec_env = vec_env
        self.render_mode = vec_env.render_mode
        self.metadata = {name: vec_env.metadata[name] for name in ("render_modes", "render_fps")}
        self.observation_space = vec_env.single_observation_space
        self.action_space = vec_env.single_action_space
        self._obs: Observations = {}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Start a new episode.

        Args:
            seed: Seed of all randomness of the process (torch, NumPy, Warp).
            options: Not used.

        Returns:
            Observations by group, shape (width,) each, and no infos.
        """
        super().reset(seed=seed)
        self._obs, _ = self.vec_env.reset(seed=seed, options=options)
        return _of_the_robot(self._obs), {}

    def step(
        self, action: np.ndarray
    ) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Run one control step.

        Args:
            action: Raw action. Shape (num_actions,).

        Returns:
            Observations by group, shape (width,) each, those of the last step where the episode
            ends; reward, whether the robot has failed, whether time is over, and infos:
            ``style_scale`` and ``state_is_valid``.

        Raises:
            UserError: The action has another shape or is not finite.
        """
        obs, reward, terminated, truncated, infos = self.vec_env.step(np.asarray(action)[None])
        if terminated[0] or truncated[0]:
            obs = self._last_of_episode(infos["final_obs"])
        self._obs = obs
        told = {name: infos[name][0].item() for name in ("style_scale", "state_is_valid")}
        return (_of_the_robot(obs), float(reward[0]), bool(terminated[0]), bool(truncated[0]), told)

    def _last_of_episode(self, final: Observations) -> Observations:
        """The last observation with its stacks: the oldest frame goes, the last one comes."""
        stacks = {}
        for name, stack in self.vec_env.env.cfg.frame_stacks.items():
            frame = final[stack.source]
            stacks[name] = np.concatenate((self._obs[name][:, frame.shape[1] :], frame), axis=1)
        return {name: {**final, **stacks}[name] for name in self._obs}

    def render(self) -> np.ndarray | None:  # type: ignore[override]
        """A picture of the scene, if the render mode is ``rgb_array``."""
        frames = self.vec_env.render()
        return None if frames is None else frames[0]

    def close(self) -> None:
        """Release the environment."""
        self.vec_env.close()


def _of_the_robot(obs: Observations) -> dict[str, np.ndarray]:
    return {name: group[0] for name, group in obs.items()}
