"""Which policy walks: checkpoints of a folder, the newest by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path

from rl_sim_env.errors import UserError
from rl_sim_env.evaluation.inference_policy import InferencePolicy
from rl_sim_env.learning.discriminator import Discriminator
from rl_sim_env.learning.run_folder import checkpoints_in
from rl_sim_env.viewer.view import PADDED, View

PERIOD = 2.0
"""Time between two looks into the folder [s]."""


@dataclass(frozen=True, kw_only=True)
class Walker:
    """A policy, and who judges its style."""

    policy: InferencePolicy
    style: Discriminator | None = None


@dataclass
class PolicySource:
    """Where policies come from."""

    path: Path
    """The checkpoint that walks now."""

    load: Callable[[Path], Walker]
    """Reads another one; raises a UserError where it cannot."""

    watch: bool = False
    """Whether new ones are taken as they appear, unless the page says otherwise."""


class PolicyPanel:
    """Chooses among the checkpoints beside the one that was opened.

    Args:
        view: The page.
        source: Where policies come from.
        exchange: Called, between two steps, with what walks from now on.

    Attributes:
        newest: Whether new checkpoints are taken as they appear.
    """

    def __init__(
        self, view: View, source: PolicySource, exchange: Callable[[Walker], object]
    ) -> None:
        self._view, self._source, self._exchange = view, source, exchange
        self._folder = source.path.parent
        self._next_look = 0.0
        self._refused: set[str] = set()
        gui = view.server.gui
        name = source.path.name
        self.choice = gui.add_dropdown("Checkpoint", (name,), initial_value=name)
        self.newest = gui.add_checkbox(
            "Newest by itself", initial_value=source.watch, hint="watch a training while it runs"
        )
        self._text = gui.add_html("")
        self.choice.on_update(
            lambda event: self.ask_for(self.choice.value) if event.client else None
        )
        self._say()

    def ask_for(self, name: str) -> None:
        """Have another checkpoint walk, by the name of its file in the folder."""
        # Names come from the page, which may send any.
        if name in self.choice.options and name != self._source.path.name:
            self._view.ask(lambda: self._take(name))

    def update(self, now: float | None = None) -> None:
        """Look for new checkpoints, now and then.

        Args:
            now: A steady clock [s].
        """
        now = time.monotonic() if now is None else now
        if now < self._next_look:
            return
        self._next_look = now + PERIOD
        try:
            names = tuple(file.name for file in checkpoints_in(self._folder))
        except OSError:
            # The folder of a run may be moved away while its policy walks on.
            return
        current = self._source.path.name
        shown = names if current in names else (current, *names)
        if shown != self.choice.options:
            self.choice.options = shown
            self.choice.value = current
        if self.newest.value and names and names[0] not in (current, *self._refused):
            self.ask_for(names[0])

    def _take(self, name: str) -> None:
        path = self._folder / name
        try:
            self._exchange(self._source.load(path))
        except UserError:
            self._refused.add(name)
            self.choice.value = self._source.path.name
            raise
        self._source.path = path
        self.choice.value = name
        self._say()

    def _say(self) -> None:
        self._text.content = (
            f"<div style='{PADDED};opacity:.8'>{escape(str(self._source.path))}</div>"
        )
