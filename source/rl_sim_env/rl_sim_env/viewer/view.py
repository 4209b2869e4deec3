"""What the panels of a page share: the page, the robot in view, and the way to change anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import viser

TRUTH_COLOR = "#495057"
ESTIMATE_COLOR = "#e8590c"
COMMAND_COLOR = "#1c7ed6"
GOOD_COLOR = "#2b8a3e"
WARNING_COLOR = "#c92a2a"
"""Colours that mean the same in tables, plots and the scene."""

PADDED = "padding:0 .9em .4em;font-size:.85em;line-height:1.45"
"""Style of text between controls."""


@dataclass
class View:
    """A page and the robot that it looks at."""

    server: viser.ViserServer

    ask: Callable[[Callable[[], object]], None]
    """Has the simulation's own thread run something between two steps. What is typed and pulled in
    browsers comes in other threads, which change nothing by themselves."""

    robot: int = 0
    """Index of the robot in view."""

    partner: Callable[[int], int] | None = None
    """Index of the robot that another one is compared with; None: none is compared."""

    note: str = ""
    """What the user was told last."""

    @property
    def chosen(self) -> list[int]:
        """Whom that concerns which is chosen for the robot in view: its partner, too."""
        partner = [] if self.partner is None else [self.partner(self.robot)]
        return [self.robot, *partner]

    def on_key(self, key: str, label: str, action: Callable[[], None]) -> None:
        """Have a key of the keyboard do something, which the page's list of commands shows, too.

        Args:
            key: As viser names it.
            label: What it does.
            action: Called, in another thread, when it goes down, and while it repeats itself.
        """
        command = self.server.gui.add_command(label, hotkey=cast("Any", key))
        command.on_trigger(lambda _: action())

    def tell(self, text: str) -> None:
        """Tell the user something, in one line."""
        self.note = text


def rgb(color: str) -> tuple[float, float, float, float]:
    """A colour of the page as the scene has it."""
    red, green, blue = (int(color[place : place + 2], 16) / 255.0 for place in (1, 3, 5))
    return red, green, blue, 1.0
