"""The last failure of physics, kept on the device until somebody asks for a dump.

mjlab's ``NanGuard`` (``sim.nan_guard``) waits for the device in every step; this one only when it
is asked.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from rl_sim_env.envs.selection import padded_ids
from rl_sim_env.learning.training_env import Breakdowns

if TYPE_CHECKING:
    from rl_sim_env.envs.amp_vae_env import AmpVaeEnv

_STATE = ("qpos", "qvel", "ctrl")
"""Fields of the physics state that a dump holds."""

_MAX_DUMPED = 16
"""Robots of one failure that are dumped."""

Snapshot = dict[str, torch.Tensor]


class FailureDump:
    """What robots were like in the step that broke them: enough to repeat it.

    Args:
        env: The environment.
    """

    def __init__(self, env: AmpVaeEnv) -> None:
        self._env = env
        self._before: Snapshot = {}
        self._last: Snapshot = {}
        self._resets = torch.zeros(env.num_envs, dtype=torch.long, device=env.device)

    def begin_step(self) -> None:
        """Remember the physics state that a step starts from."""
        self._before = self._state()

    def end_step(self, is_broken: torch.Tensor) -> None:
        """Count the robots that broke in this step, and keep them if there are any.

        Args:
            is_broken: Shape (num_envs,).
        """
        self._resets += is_broken
        ids, count = padded_ids(is_broken, min(_MAX_DUMPED, len(is_broken)), fill=0)
        new = {"env_ids": ids, "count": count, **self._snapshot(ids, self._before)}
        if not self._last:
            self._last = new
        is_news = count > 0
        for name, value in self._last.items():
            torch.where(is_news, new[name], value, out=value)

    def count(self) -> Breakdowns:
        """What broke since the last call. Reads the device."""
        resets = self._resets[: self._env.num_robots]
        robots, total = torch.stack(((resets > 0).sum(), resets.sum())).tolist()
        self._resets.zero_()
        return Breakdowns(robots=robots, resets=total)

    def dump(self, path: Path) -> None:
        """Write the present state and the last failure.

        The file holds two dictionaries of tensors, ``present`` (all environments) and ``broken``
        (the environments ``env_ids`` that broke down last, as they were before that control step;
        empty if none did): physics state, per-environment model fields, the action, the age.
        """
        present = self._snapshot(slice(None), self._state())
        broken = {name: value.cpu() for name, value in self._last.items()}
        count = int(broken.pop("count", 0))
        torch.save(
            {
                "present": {name: value.cpu() for name, value in present.items()},
                "broken": {name: value[:count] for name, value in broken.items()} if count else {},
            },
            path,
        )

    def _state(self) -> Snapshot:
        return {name: getattr(self._env.sim.data, name).clone() for name in _STATE}

    def _snapshot(self, ids: torch.Tensor | slice, state: Snapshot) -> Snapshot:
        """Rows of a physics state, and of everything else that the next step depends on."""
        env = self._env
        snapshot = {name: value[ids] for name, value in state.items()}
        for name in sorted(env.sim.expanded_fields):
            snapshot[name] = getattr(env.sim.model, name)[ids]
        snapshot["action"] = env.action_manager.action[ids]
        snapshot["episode_length"] = env.episode_length_buf[ids]
        return snapshot
