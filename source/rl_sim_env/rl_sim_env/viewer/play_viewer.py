"""A policy in the browser, with what it believes about its load."""

from __future__ import annotations

from typing import Any

import torch
from mjlab.viewer.base import ViewerAction

from rl_sim_env.envs import AmpVaeEnv
from rl_sim_env.evaluation import PolicyPlayer
from rl_sim_env.viewer.load_panel import LoadPanel
from rl_sim_env.viewer.player_viewer import PlayerViewer

LOAD_EVENT = "load"
"""Name of the event that draws the load at a reset."""

_NEW_LOAD = "new load"


class PlayViewer(PlayerViewer[PolicyPlayer]):
    """Shows a policy at work and compares its estimates with the truth.

    Args:
        player: The policy in its environment.
        server: Serves the page; the caller ends it.
    """

    def build_panel(self) -> None:
        """Build the panel of the load."""
        self._panel = LoadPanel(
            self._server, self.player, lambda: self.request_action("CUSTOM", _NEW_LOAD)
        )

    def update_panel(self, env_id: int) -> None:
        """Show the load of the robot in view."""
        self._panel.update(env_id, self._step_count)

    def _handle_custom_action(self, action: ViewerAction, payload: Any) -> bool:
        if payload != _NEW_LOAD:
            return super()._handle_custom_action(action, payload)
        with self._sim_lock:
            draw_new_load(self.player.vec_env.unwrapped, self._scene.env_idx)
        return True


def draw_new_load(env: AmpVaeEnv, env_id: int) -> None:
    """Draw the load of one robot anew while it walks."""
    term = env.event_manager.get_term_cfg(LOAD_EVENT)
    term.func(env, torch.tensor([env_id], device=env.device), **term.params)
    env.sim.recompute_constants(term.func.recompute)
    env.sim.forward()
