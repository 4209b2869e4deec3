"""A policy in the browser, with what it believes about its load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from mjlab.viewer.base import ViewerAction

from rl_sim_env.envs import AmpVaeEnv
from rl_sim_env.evaluation import Evaluator
from rl_sim_env.mdp import events
from rl_sim_env.viewer.load_panel import LoadPanel
from rl_sim_env.viewer.player_viewer import PlayerViewer


@dataclass(frozen=True)
class OtherLoad:
    """The wish for another load on the robot in view."""

    load: float
    """[kg]"""


class PlayViewer(PlayerViewer[Evaluator]):
    """Shows a policy at work and compares its estimates with the truth.

    Args:
        player: The policy in its environment.
        server: Serves the page; the caller ends it.
    """

    def build_panel(self) -> None:
        """Build the panel of the load."""
        self._panel = LoadPanel(
            self.server,
            self.player,
            lambda load: self.request_action("CUSTOM", OtherLoad(load)),
        )

    def update_panel(self, env_id: int) -> None:
        """Show the load of the robot in view."""
        self._panel.update(env_id, self._step_count)

    def _handle_custom_action(self, action: ViewerAction, payload: Any) -> bool:
        if not isinstance(payload, OtherLoad):
            return super()._handle_custom_action(action, payload)
        with self._sim_lock:
            set_load_of(self.player.vec_env.unwrapped, self._scene.env_idx, payload.load)
        return True


def set_load_of(env: AmpVaeEnv, env_id: int, load: float) -> None:
    """Have one robot carry another load [kg] while it walks."""
    robot = torch.tensor([env_id], device=env.device)
    events.set_load(env, robot, torch.tensor([load], device=env.device), recompute=True)
    env.sim.forward()
