"""The environment as rsl_rl sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from rsl_rl.env import VecEnv
from tensordict import TensorDict

from rl_sim_env.compat.torch import pytree
from rl_sim_env.envs.amp_vae_env import AmpVaeEnv
from rl_sim_env.envs.config import AmpVaeEnvCfg
from rl_sim_env.envs.episode_meter import Totals
from rl_sim_env.envs.training_state import load_training_state, training_state
from rl_sim_env.errors import UserError
from rl_sim_env.learning.constraint_layout import ConstraintLayout
from rl_sim_env.learning.footing import FOOTING, FootSupport
from rl_sim_env.learning.layout import ObservationLayout
from rl_sim_env.learning.structure import require_like, require_tensors
from rl_sim_env.learning.symmetry import Reflection
from rl_sim_env.learning.training_env import Breakdowns
from rl_sim_env.mdp.footing import footing
from rl_sim_env.mdp.reflections import reflections
from rl_sim_env.terrains import support_deficiency_map

_ALWAYS_SAVED = ("common_step_counter", "sim_step_counter")
"""What the training state of every environment has, beside the command's."""


class AmpVaeVecEnv(VecEnv):
    """Adapter from :class:`AmpVaeEnv` to rsl_rl's vectorised environment.

    It shows the robots that count: the padding environment of fixed shapes stays hidden.

    Args:
        env: The environment; it is reset.
    """

    def __init__(self, env: AmpVaeEnv) -> None:
        self.env = env
        self.num_envs = env.num_robots
        self.num_actions = env.action_manager.total_action_dim
        self.max_episode_length = env.max_episode_length
        self.device = env.device
        self.reset()

    @property
    def cfg(self) -> AmpVaeEnvCfg:  # type: ignore[override]
        """Configuration of the environment."""
        return self.env.cfg

    @property
    def unwrapped(self) -> AmpVaeEnv:
        """The environment itself."""
        return self.env

    @property
    def step_dt(self) -> float:
        """Control period [s]."""
        return self.env.step_dt

    @property
    def observation_layout(self) -> ObservationLayout:
        """Names, widths and scales of all observation terms."""
        return self.env.observation_layout

    @property
    def constraint_layout(self) -> ConstraintLayout:
        """Names and columns of ``extras["margins"]``."""
        return self.env.constraint_monitor.layout

    def reflections(self) -> dict[str, Reflection]:
        """See :func:`rl_sim_env.mdp.reflections.reflections`."""
        return reflections(self.env)

    def report_footing(self) -> FootSupport:
        """Report ``extras["footing"]``, see :func:`rl_sim_env.mdp.footing.footing`.

        To be called before the first step. The map of the ground takes as much memory as the
        height map: 38 MB for the full task.
        """
        self.env.transition_terms[FOOTING] = footing
        ground = support_deficiency_map(self.env.height_map, foot_radius=self.env.index.foot_radius)
        return FootSupport(len(self.env.cfg.robot.legs), ground.heights)

    @property
    def episode_length_buf(self) -> torch.Tensor:  # type: ignore[override]
        """Steps of the running episodes. Shape (num_envs,)."""
        return self.env.episode_length_buf[: self.num_envs]

    @episode_length_buf.setter
    def episode_length_buf(self, value: torch.Tensor) -> None:
        self.env.episode_length_buf[: self.num_envs] = value

    def get_observations(self) -> TensorDict:
        """Observations of the present state, one entry per group."""
        return self._tensordict(self.env.observation_manager.compute())

    def reset(self) -> TensorDict:
        """Begin a new episode everywhere; returns its first observations."""
        self.env.reset()
        return self.get_observations()

    def step(
        self, actions: torch.Tensor
    ) -> tuple[TensorDict, torch.Tensor, torch.Tensor, dict[str, Any]]:
        """Run one control step.

        Args:
            actions: Raw actions. Shape (num_envs, num_actions).

        Returns:
            Observations, rewards (num_envs,), dones (num_envs,), and extras: ``time_outs``, and
            whatever the environment reports, ``terminal_obs`` among it.
        """
        obs, reward, terminated, time_outs, extras = self.env.step(actions)
        count = self.num_envs
        seen = pytree.tree_map_only(torch.Tensor, self._of_robots, dict(extras))
        seen["terminal_obs"] = self._tensordict(extras["terminal_obs"])
        # A robot that fell in its last step has fallen: there is nothing to bootstrap from.
        seen["time_outs"] = (time_outs & ~terminated)[:count]
        dones = (terminated | time_outs)[:count].long()
        return self._tensordict(obs), reward[:count], dones, seen

    def read_log(self) -> Totals:
        """See :meth:`AmpVaeEnv.read_log`."""
        return self.env.read_log()

    def check_health(self) -> Breakdowns:
        """See :meth:`AmpVaeEnv.check_health`."""
        return self.env.check_health()

    def dump_state(self, path: Path) -> None:
        """See :meth:`AmpVaeEnv.dump_state`."""
        self.env.dump_state(path)

    def training_state(self, *, episodes: bool = True) -> dict[str, Any]:
        """See :func:`rl_sim_env.envs.training_state.training_state`."""
        return training_state(self.env, episodes=episodes)

    def load_training_state(self, state: dict[str, Any]) -> str | None:
        """See :func:`rl_sim_env.envs.training_state.load_training_state`.

        Raises:
            UserError: It is not a state of such an environment.
        """
        own = self.training_state(episodes=False)
        # A run on a plane has no terrain levels, and families of ground come and go.
        looked_at = {name: own[name] for name in own if name in state or name in _ALWAYS_SAVED}
        require_like(state, {**looked_at, "command": {}}, "env", rows_may_differ=True)
        levels, origins = state.get("terrain_levels"), self.env.terrain.terrain_origins
        if levels is not None and origins is not None:
            rows = len(origins)
            if not levels.numel() or levels.min() < 0 or levels.max() >= rows:
                raise UserError(f"env.terrain_levels must be from 0 to {rows - 1}")
        if "episodes" in state:
            like = {"physics": {}, "parts": {"episode_length": self.env.episode_length_buf}}
            require_like(state["episodes"], like, "env.episodes", rows_may_differ=True)
            require_tensors(state["episodes"], "env.episodes")
        return load_training_state(self.env, state)

    def close(self) -> None:
        """Release the environment."""
        self.env.close()

    def _of_robots(self, value: torch.Tensor) -> torch.Tensor:
        """What a tensor of all environments says about those that count."""
        return value[: self.num_envs] if value.shape[:1] == (self.env.num_envs,) else value

    def _tensordict(self, groups: Any) -> TensorDict:
        count = self.num_envs
        return TensorDict({k: group[:count] for k, group in groups.items()}, batch_size=[count])
