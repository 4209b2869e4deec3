"""mjlab's browser viewer for anything that moves robots step by step."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import viser
from mjlab.viewer import ViserPlayViewer

from rl_sim_env.envs import AmpVaeVecEnv


class Player(Protocol):
    """Something that moves the robots of an environment."""

    vec_env: AmpVaeVecEnv

    def advance(self) -> None:
        """Run one control step."""
        ...

    def reset(self) -> None:
        """Begin anew."""
        ...


class PlayerViewer(ViserPlayViewer):
    """Shows a player in the browser, with a panel of its own above mjlab's.

    Args:
        player: What moves the robots.
        server: Serves the page; the caller ends it.
    """

    def __init__(self, player: Player, server: viser.ViserServer) -> None:
        # The player acts by itself: as a policy it is only ever reset.
        super().__init__(player.vec_env, player, viser_server=server)  # pyright: ignore[reportArgumentType]
        # Here a camera above the robot has a positive elevation, in MuJoCo a negative one.
        self.cfg = replace(self.cfg, elevation=-self.cfg.elevation)
        self.player = player

    def setup(self) -> None:
        """Build the page."""
        self._server.gui.configure_theme(
            control_width="large", show_logo=False, show_share_button=False
        )
        self.build_panel()
        super().setup()

    def build_panel(self) -> None:
        """Build what stands above mjlab's tabs."""
        raise NotImplementedError

    def update_panel(self, env_id: int) -> None:
        """Show the present state of the robot in view."""
        raise NotImplementedError

    def sync_env_to_viewer(self) -> None:
        """Send what changed to the browser."""
        super().sync_env_to_viewer()
        self.update_panel(self._scene.env_idx)

    def _execute_step(self) -> bool:
        # The base class would show an error in the page and wait; here it ends the program.
        self.player.advance()
        self._step_count += 1
        self._stats_steps += 1
        return True
