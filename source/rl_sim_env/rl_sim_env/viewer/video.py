"""Videos of robots, without a window."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import mediapy
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from rich.progress import track

from rl_sim_env.atomic_file import whole_file
from rl_sim_env.errors import UserError
from rl_sim_env.viewer.offscreen import open_renderer
from rl_sim_env.viewer.player_viewer import Player
from rl_sim_env.viewer.video_path import check_video_path

FRAME_RATE = 25.0
"""Frames per second of simulated time, or the control rate where that is lower."""

QUALITY = 20
"""Constant rate factor of H.264: 18 looks lossless, 28 coarse."""

GIF = ".gif"
"""Suffix of films that show anywhere, without sound, at ten times the size."""

CAPTION_SIZE = 20
CAPTION_MARGIN = 14
"""Text height and distance from the corner [pixels]."""


def record(player: Player, path: Path, *, num_steps: int, caption: Callable[[], str]) -> None:
    """Let a player move on and write what a camera sees.

    The file appears when it is whole. Camera, size and number of robots are those of the
    environment's ``cfg.viewer``. Without a GPU edges are not smooth.

    Args:
        player: What moves the robots.
        path: The file.
        num_steps: Control steps to record.
        caption: Text for the frame at hand.

    Raises:
        UserError: There is no OpenGL to render with, or the file cannot be written.
    """
    check_video_path(path)
    env = player.vec_env.unwrapped
    steps_per_frame = max(round(1.0 / (FRAME_RATE * env.step_dt)), 1)
    size = (env.cfg.viewer.height, env.cfg.viewer.width)
    fps = 1.0 / (steps_per_frame * env.step_dt)
    with open_renderer(env, env.cfg.viewer) as renderer, open_film(path, size, fps) as add_frame:
        for step in track(range(num_steps), description=path.name, transient=True):
            player.advance()
            if step % steps_per_frame == 0:
                renderer.update(env.sim.data, debug_vis_callback=env.update_visualizers)
                add_frame(with_caption(renderer.render(), caption()))


@contextmanager
def open_film(path: Path, size: tuple[int, int], fps: float) -> Iterator[Callable[[Any], None]]:
    """Open a film; one that is broken off leaves nothing behind.

    Args:
        path: The file: MP4, or GIF where its name ends so.
        size: Height and width [pixels].
        fps: Frames per second.

    Yields:
        What adds a frame, shape (height, width, 3), uint8.

    Raises:
        UserError: The file cannot be written.
    """
    # ffmpeg goes by the suffix.
    suffix = path.suffix.lower()
    with whole_file(path, suffix) as partial:
        if suffix == GIF:
            writer = mediapy.VideoWriter(partial, size, fps=fps, codec="gif")
        else:
            writer = mediapy.VideoWriter(partial, size, fps=fps, crf=QUALITY)
        try:
            with _file_errors(path):
                writer.__enter__()
            yield _file_errors(path)(writer.add_image)
            with _file_errors(path):
                writer.close()
        except BaseException:
            with suppress(OSError, RuntimeError):
                writer.close()
            raise


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise UserError(f"video {path}: cannot be written ({error})") from error


def with_caption(frame: np.ndarray, text: str) -> np.ndarray:
    """A picture with a line of text at its foot. Shape (height, width, 3), uint8."""
    image = Image.fromarray(frame)
    ImageDraw.Draw(image).text(
        (CAPTION_MARGIN, image.height - CAPTION_SIZE - CAPTION_MARGIN),
        text,
        fill="white",
        font=ImageFont.load_default(CAPTION_SIZE),
        stroke_width=1,
        stroke_fill="black",
    )
    return np.asarray(image)
