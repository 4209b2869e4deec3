"""mjlab's browser viewer for anything that moves robots step by step."""

from __future__ import annotations

from dataclasses import replace
from typing import Generic, Protocol, TypeVar

import numpy as np
import viser
from mjlab.viewer import ViserPlayViewer

from rl_sim_env.envs import AmpVaeVecEnv

SKY = (214, 228, 240)
"""Colour of the background [0 to 255]."""

AMBIENT = 0.45
"""Brightness of the light from all around; mjlab's own 0.8 leaves bright ground without shades."""


class Player(Protocol):
    """Something that moves the robots of an environment."""

    vec_env: AmpVaeVecEnv

    def advance(self) -> object:
        """Run one control step."""
        ...

    def reset(self) -> None:
        """Begin anew."""
        ...


PlayerType = TypeVar("PlayerType", bound=Player)


class PlayerViewer(ViserPlayViewer, Generic[PlayerType]):
    """Shows a player in the browser, with a panel of its own above mjlab's.

    Args:
        player: What moves the robots.
        server: Serves the page; the caller ends it.
    """

    def __init__(self, player: PlayerType, server: viser.ViserServer) -> None:
        # The player acts by itself: as a policy it is only ever reset.
        super().__init__(player.vec_env, player, viser_server=server)  # pyright: ignore[reportArgumentType]
        # Here a camera above the robot has a positive elevation, in MuJoCo a negative one.
        self.cfg = replace(self.cfg, elevation=-self.cfg.elevation)
        self.player, self.server = player, server

    def setup(self) -> None:
        """Build the page."""
        self.server.gui.configure_theme(
            control_width="large", show_logo=False, show_share_button=False
        )
        self.server.scene.set_background_image(np.array([[SKY]], dtype=np.uint8))
        self.build_panel()
        super().setup()
        self.server.scene.configure_environment_map(environment_intensity=AMBIENT)

    def build_panel(self) -> None:
        """Build what stands above mjlab's tabs."""
        raise NotImplementedError

    def update_panel(self, env_id: int) -> None:
        """Show the present state of the robot in view."""
        raise NotImplementedError

    def tick(self) -> bool:
        """Do what the page asked for, run steps, and show them when it is time."""
        self._look_at_a_robot()
        return super().tick()

    def sync_env_to_viewer(self) -> None:
        """Send what changed to the browser."""
        self._look_at_a_robot()
        super().sync_env_to_viewer()
        self.update_panel(self._scene.env_idx)

    def _look_at_a_robot(self) -> None:
        # The page asks, at any time, for a robot by a number, which may be any.
        last = self.player.vec_env.unwrapped.num_robots - 1
        self._scene.env_idx = min(max(self._scene.env_idx, 0), last)

    def _execute_step(self) -> bool:
        # The base class would show an error in the page and wait; here it ends the program.
        self.player.advance()
        self._step_count += 1
        self._stats_steps += 1
        return True
