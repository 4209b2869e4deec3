"""Records what is shown: a film, or a page that shows it again without physics."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from rl_sim_env.atomic_file import write_atomically
from rl_sim_env.evaluation import Evaluator
from rl_sim_env.viewer.comparison import caption
from rl_sim_env.viewer.offscreen import open_renderer
from rl_sim_env.viewer.video import FRAME_RATE, GIF, open_film, with_caption
from rl_sim_env.viewer.view import View

FILM_SIZE, GIF_SIZE = (640, 360), (480, 270)
"""Width and height [pixels]; without a GPU larger ones take seconds a frame."""

GIF_RATE = 12.5
"""Frames per second of a GIF, which has no compression to speak of."""

LONGEST = 60.0
"""Simulated time after which a recording ends by itself [s]."""


class Recorder(Protocol):
    """Something that records."""

    path: Path

    def after_step(self) -> None:
        """Take in a control step."""
        ...

    def after_frame(self, seconds: float) -> None:
        """Take in a picture of the scene, so many seconds [s] of simulated time after the last."""
        ...

    def save(self) -> None:
        """Finish and write the file."""
        ...

    def discard(self) -> None:
        """Leave nothing behind."""
        ...


class FilmRecorder:
    """Films the robot in view, in simulated time: a slow machine films slowly.

    Args:
        path: The file: MP4 or GIF.
        player: What is filmed.
        robot: Index of the robot.

    Raises:
        UserError: There is no OpenGL to render with, or the file cannot be written.
    """

    def __init__(self, path: Path, player: Evaluator, robot: int) -> None:
        self.path, self._player, self._robot = path, player, robot
        is_gif = path.suffix == GIF
        width, height = GIF_SIZE if is_gif else FILM_SIZE
        rate = GIF_RATE if is_gif else FRAME_RATE
        self._period = max(round(1.0 / (rate * player.step_dt)), 1)
        self._steps = 0
        env = player.env
        camera = replace(
            env.cfg.viewer, env_idx=robot, width=width, height=height, max_extra_envs=0
        )
        with ExitStack() as opening:
            self._renderer = opening.enter_context(open_renderer(env, camera))
            fps = 1.0 / (self._period * player.step_dt)
            self._add = opening.enter_context(open_film(path, (height, width), fps))
            self._open = opening.pop_all()

    def after_step(self) -> None:
        """Render each so manieth step."""
        if self._steps % self._period == 0:
            self._renderer.update(self._player.env.sim.data)
            picture = self._renderer.render()
            self._add(with_caption(picture, caption(self._player, self._robot)))
        self._steps += 1

    def after_frame(self, seconds: float) -> None:
        """Nothing: it has a camera of its own."""

    def save(self) -> None:
        """Write the file."""
        self._open.close()

    def discard(self) -> None:
        """Leave nothing behind."""
        stop = _DiscardedError()
        self._open.__exit__(_DiscardedError, stop, None)


class ReplayRecorder:
    """Keeps what browsers are sent, as a page of its own.

    Args:
        path: The file, HTML.
        view: The page.
    """

    def __init__(self, path: Path, view: View) -> None:
        self.path = path
        self._serializer = view.server.get_scene_serializer()

    def after_step(self) -> None:
        """Nothing: what counts is what was shown."""

    def after_frame(self, seconds: float) -> None:
        """The next picture is shown that much later."""
        self._serializer.insert_sleep(seconds)

    def save(self) -> None:
        """Write the file.

        Raises:
            NotWrittenError: It cannot be written.
        """
        write_atomically(self.path, self._serializer.as_html().encode())

    def discard(self) -> None:
        """Stop listening."""
        self._serializer.serialize()


class _DiscardedError(Exception):
    """Breaks off a film."""
