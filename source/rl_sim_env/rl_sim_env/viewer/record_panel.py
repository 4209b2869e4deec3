"""Recording from the page."""

from __future__ import annotations

import time
from html import escape
from itertools import chain, count
from pathlib import Path

import viser

from rl_sim_env.errors import UserError
from rl_sim_env.evaluation import Evaluator
from rl_sim_env.viewer.recorder import LONGEST, FilmRecorder, Recorder, ReplayRecorder
from rl_sim_env.viewer.view import PADDED, View

FOLDER = Path("recordings")
"""Where recordings go, below the working directory."""

KINDS = {"replay (HTML)": ".html", "film (MP4)": ".mp4", "film (GIF)": ".gif"}

_RECORD, _SAVE = "Record", "Stop and save"


class RecordPanel:
    """Starts and ends recordings, and hands them to the browser that asked.

    Args:
        view: The page.
        player: What is recorded.
        folder: Where files go.

    Attributes:
        recorder: What records now; None: nothing.
    """

    def __init__(self, view: View, player: Evaluator, folder: Path = FOLDER) -> None:
        self._view, self._player, self._folder = view, player, folder
        self.recorder: Recorder | None = None
        self._steps = 0
        self._shown_steps = 0
        gui = view.server.gui
        self.kind = gui.add_dropdown("Record as", tuple(KINDS), initial_value=next(iter(KINDS)))
        self.button = gui.add_button(_RECORD, icon=viser.Icon.VIDEO)
        self.button.on_click(self._press)
        self.text = gui.add_html(_html("a replay opens in any browser later, without physics"))

    def start(self) -> None:
        """Begin a recording.

        Raises:
            UserError: The folder cannot be made, or there is no OpenGL to film with.
        """
        suffix = KINDS.get(self.kind.value, ".html")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{self._folder}: cannot be made ({error.strerror})") from error
        now = time.strftime("%Y-%m-%d_%H-%M-%S")
        names = chain((now,), (f"{now}-{number}" for number in count(2)))
        paths = (self._folder / f"{name}{suffix}" for name in names)
        path = next(path for path in paths if not path.exists())
        if suffix == ".html":
            self.recorder = ReplayRecorder(path, self._view)
        else:
            self.recorder = FilmRecorder(path, self._player, self._view.robot)
        self._steps = self._shown_steps = 0
        self.button.label, self.button.color = _SAVE, "red"

    def stop(self, client: viser.ClientHandle | None = None) -> Path | None:
        """End and save; the browser that asked gets the file, too.

        Raises:
            UserError: It cannot be written.
        """
        recorder, self.recorder = self.recorder, None
        self.button.label, self.button.color = _RECORD, None
        if recorder is None:
            return None
        recorder.save()
        size = recorder.path.stat().st_size / 1e6
        self.text.content = _html(f"{recorder.path}, {size:.1f} MB")
        if client is not None:
            client.send_file_download(recorder.path.name, recorder.path.read_bytes())
        return recorder.path

    def close(self) -> None:
        """Discard what is not saved."""
        if self.recorder is not None:
            self.recorder.discard()
            self.recorder = None
            self.button.label, self.button.color = _RECORD, None

    def after_step(self) -> None:
        """Take in a control step."""
        if self.recorder is None:
            return
        try:
            self.recorder.after_step()
        except UserError as error:
            # A full disk costs the film, not the page.
            self.close()
            self.text.content = _html(str(error))
            return
        self._steps += 1

    def after_frame(self) -> None:
        """Take in a picture of the scene."""
        if self.recorder is None:
            return
        step_dt = self._player.step_dt
        self.recorder.after_frame((self._steps - self._shown_steps) * step_dt)
        self._shown_steps = self._steps
        self.text.content = _html(f"recording: {self._steps * step_dt:.1f} s")
        if self._steps * step_dt >= LONGEST:
            self._view.ask(self.stop)

    def _press(self, event: viser.GuiEvent) -> None:
        self._view.ask(lambda: self.start() if self.recorder is None else self.stop(event.client))


def _html(text: str) -> str:
    return f"<div style='{PADDED};opacity:.8'>{escape(text)}</div>"
