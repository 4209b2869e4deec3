"""A player in the browser: the loop that runs it, the scene, and who looks where."""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
import viser
from mjlab.viewer.viser import MjlabViserScene

from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.errors import UserError
from rl_sim_env.viewer.browsers import name_page
from rl_sim_env.viewer.pace import Pace
from rl_sim_env.viewer.view import View

FRAME_RATE = 30.0
"""Pictures of the scene a second."""

PANEL_RATE = 8.0
"""Updates of the panels a second: faster than anybody reads, and a tenth of what plots would send
if they followed every step."""

TITLE = "rl_sim_env"
"""Of the browser's tab."""

SKY = (214, 228, 240)
"""Colour of the background [0 to 255]."""

AMBIENT = 0.45
"""Brightness of the light from all around; mjlab's own 0.8 leaves bright ground without shades."""

PANEL_WIDTH = 400
"""Of the column of panels [pixels]."""

STEEPEST, ELEVATIONS = np.deg2rad(75.0), 8
"""How steeply a camera looks down at the most where ground would hide the robot, and how many
places are tried."""

SIGHTS = 25
"""Points between robot and camera at which the ground is looked up."""

IDLE = 0.001
"""Sleep where nothing is due [s]."""


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


class PlayerViewer(Generic[PlayerType]):
    """Shows a player in the browser, beside a column of panels.

    One thread does everything but talk to browsers: it runs steps, does between them what the page
    asks for, and sends pictures. So nothing is read while it changes.

    Args:
        player: What moves the robots.
        server: Serves the page; the caller ends it.

    Attributes:
        player: As given.
        server: As given.
        view: The page and the robot in view.
        pace: How fast simulated time passes.
        scene: The robots and their ground; there from :meth:`setup` on.
        steps: Control steps so far.
    """

    scene: MjlabViserScene

    def __init__(self, player: PlayerType, server: viser.ViserServer) -> None:
        self.player, self.server = player, server
        self.pace = Pace(player.vec_env.step_dt)
        self.steps = 0
        self.follow = True
        self._asked: deque[Callable[[], object]] = deque()
        self.view = View(server, self._asked.append, robot=player.vec_env.cfg.viewer.env_idx)
        self._next_frame = self._next_panels = 0.0
        self._frames: deque[float] = deque(maxlen=int(FRAME_RATE))
        self._ends = False

    # What a page consists of.

    def build_panels(self) -> None:
        """Build the panels."""
        raise NotImplementedError

    def update_panels(self) -> None:
        """Show the present state of the robot in view."""
        raise NotImplementedError

    def draw(self) -> None:
        """Add to the scene what is no part of a robot."""
        env = self.player.vec_env.unwrapped
        env.update_visualizers(self.scene)

    def offset(self) -> np.ndarray:
        """Where the scene is moved to: the robot that is followed stands still [m]."""
        return -self._robot_position() if self.follow else np.zeros(3)

    def advance(self) -> None:
        """Run one control step."""
        self.player.advance()

    def restart(self) -> None:
        """Begin anew with all robots."""
        self.player.reset()
        self.steps = 0

    def close(self) -> None:
        """End what is under way."""

    # The loop.

    @property
    def frame_rate(self) -> float:
        """Pictures a second at present."""
        if len(self._frames) < 2:
            return 0.0
        return (len(self._frames) - 1) / max(self._frames[-1] - self._frames[0], 1e-6)

    def setup(self) -> None:
        """Build the page."""
        gui, scene = self.server.gui, self.server.scene
        name_page(self.server, TITLE)
        gui.configure_theme(show_logo=False, show_share_button=False)
        # A column of its own, and not a window above the robot.
        gui.main_panel.dock_right()
        gui.main_panel.set_width(PANEL_WIDTH)
        scene.set_background_image(np.array([[SKY]], dtype=np.uint8))
        sim = self.player.vec_env.unwrapped.sim
        self.scene = MjlabViserScene(
            server=self.server,
            mj_model=sim.mj_model,
            num_envs=self.player.vec_env.num_envs,
            sim_model=sim.model,
            expanded_fields=sim.expanded_fields,
        )
        self.scene.debug_visualization_enabled = True
        scene.configure_environment_map(environment_intensity=AMBIENT)
        self.server.on_client_connect(self._place_camera)
        self.build_panels()

    def run(self, num_steps: int | None = None, catch_sigint: bool = True) -> None:
        """Serve the page.

        Args:
            num_steps: Control steps after which to end; None: never.
            catch_sigint: Whether Ctrl-C ends it in good order.
        """
        self.setup()
        with self._ending_on_sigint() if catch_sigint else nullcontext():
            try:
                while not self._ends and (num_steps is None or self.steps < num_steps):
                    self.tick()
                self.show()
            finally:
                self.close()

    def end(self) -> None:
        """Have :meth:`run` end after the present step; from any thread."""
        self._ends = True

    def tick(self) -> None:
        """Do what the page asked for, run a step if one is due, and show it when it is time."""
        self._obey()
        self._look_at_a_robot()
        now = time.perf_counter()
        is_due = self.pace.is_due(now)
        if is_due:
            self._step()
        if time.perf_counter() >= self._next_frame:
            self._next_frame = max(self._next_frame + 1.0 / FRAME_RATE, now)
            self.show()
        elif not is_due:
            time.sleep(IDLE)

    def step_once(self) -> None:
        """Run one step of a player that is paused."""
        if self.pace.paused:
            self._step()

    def show(self) -> None:
        """Send what changed to the browsers."""
        self._look_at_a_robot()
        self.scene.env_idx = self.view.robot
        self.scene.camera_tracking_enabled = self.follow
        self.scene.clear()
        self.draw()
        with self.server.atomic():
            self.scene.update(self.player.vec_env.unwrapped.sim.data)
        now = time.perf_counter()
        self._frames.append(now)
        if now >= self._next_panels:
            self._next_panels = now + 1.0 / PANEL_RATE
            self.update_panels()

    def _step(self) -> None:
        self.advance()
        self.steps += 1
        self.pace.count(time.perf_counter())

    def _obey(self) -> None:
        # Those that are there now: a browser that asks without end does not stop the robots.
        for _ in range(len(self._asked)):
            self._grant(self._asked.popleft())

    def _grant(self, change: Callable[[], object]) -> None:
        try:
            change()
        except UserError as error:
            self.view.tell(str(error))

    def _look_at_a_robot(self) -> None:
        # The page asks, at any time, for a robot by a number, which may be any.
        last = self.player.vec_env.unwrapped.num_robots - 1
        self.view.robot = min(max(self.view.robot, 0), last)

    # Cameras.

    def look_again(self) -> None:
        """Let all browsers look from where they began."""
        for client in self.server.get_clients().values():
            self._place_camera(client)

    def camera_offset(self) -> np.ndarray:
        """Where a browser looks from at first, seen from the robot [m]. Shape (3,)."""
        cfg = self.player.vec_env.cfg.viewer
        # In MuJoCo a camera above the robot has a negative elevation.
        azimuth, lowest = np.deg2rad((cfg.azimuth, -cfg.elevation))
        elevations = np.linspace(lowest, max(lowest, STEEPEST), ELEVATIONS)
        x, y = -np.cos(elevations) * np.cos(azimuth), -np.cos(elevations) * np.sin(azimuth)
        offsets = cfg.distance * np.stack((x, y, np.sin(elevations)), axis=-1)
        # In a pit the usual place is within the stairs around it.
        return next(filter(self._is_seen_from, offsets), offsets[-1])

    def _is_seen_from(self, offset: np.ndarray) -> bool:
        """Whether no ground is between the robot and a place so far [m] from it."""
        env = self.player.vec_env.unwrapped
        points = self._robot_position() + np.linspace(0.0, 1.0, SIGHTS)[1:, None] * offset
        ground = env.height_map.heights(torch.as_tensor(points[:, :2], device=env.device))
        return bool((points[:, 2] > ground.cpu().numpy()).all())

    def _place_camera(self, client: viser.ClientHandle) -> None:
        center = self._robot_position() + self.offset()
        client.camera.position = center + self.camera_offset()
        client.camera.look_at = center

    def _robot_position(self) -> np.ndarray:
        env = self.player.vec_env.unwrapped
        return env.robot.data.root_link_pos_w[self.view.robot].cpu().numpy()

    @contextmanager
    def _ending_on_sigint(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def end(*_: object) -> None:
            self.end()
            # The second one kills.
            signal.signal(signal.SIGINT, signal.SIG_DFL)

        before = signal.signal(signal.SIGINT, end)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
