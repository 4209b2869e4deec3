"""What browsers do for a page beyond viser: its name and icon, and a gamepad."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path

import viser

from rl_sim_env.compat.viser import RunJavascriptMessage
from rl_sim_env.viewer.page import within
from rl_sim_env.web.packages import PAGE

STICKS = "gamepad"
"""Label of the input that browsers type a gamepad's sticks into; they hide it."""

HELD = 0.6
"""How long a key or a stick counts as held after its last sign of life [s]: keyboards wait half a
second before they repeat a key."""

_SCRIPT = Path(__file__).with_name("page.js")
_AXES = 3


def name_page(server: viser.ViserServer, title: str) -> None:
    """Give the page's tab a name, and the icon that our pages share."""
    icon = _url("image/svg+xml", (PAGE / "icon.svg").read_bytes())
    _call(server, f"page.name({json.dumps(title)}, {json.dumps(icon)})")


class Gamepad:
    """The sticks of a gamepad, at whichever browser moved one last.

    viser knows no gamepads: a script of ours reads them in the browser, by the module that the page
    without installation reads them with, and types what they say into an input of this page.

    Args:
        server: Serves the page; the input becomes its next control, and must not be in a tab:
            what is in a closed tab is not there.
        clock: A steady clock [s].

    Attributes:
        typed: The input: forward, to the left, turn to the left, and a count that only grows, as
            words.
    """

    def __init__(
        self, server: viser.ViserServer, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._sticks, self._until = (0.0,) * _AXES, 0.0
        self.typed = server.gui.add_text(STICKS, initial_value="")
        self.typed.on_update(lambda _: self._take(self.typed.value))
        read = _url("text/javascript", (PAGE / "gamepad.js").read_bytes())
        _call(
            server,
            f"import({json.dumps(read)}).then((pad) => page.followGamepad({json.dumps(STICKS)}, "
            "pad.readGamepad))",
        )

    @property
    def sticks(self) -> tuple[float, ...]:
        """Forward, to the left, turn to the left, each -1 to 1; zeros where nobody moves one."""
        return self._sticks if self._clock() < self._until else (0.0,) * _AXES

    def _take(self, text: str) -> None:
        # The page may send any text.
        try:
            sticks = tuple(float(word) for word in text.split()[:_AXES])
        except ValueError:
            return
        if len(sticks) < _AXES:
            return
        self._sticks = tuple(within(stick, -1.0, 1.0) or 0.0 for stick in sticks)
        self._until = self._clock() + HELD


def _call(server: viser.ViserServer, what: str) -> None:
    """Have browsers run something of our script, those that come later, too."""
    script = json.dumps(_url("text/javascript", _SCRIPT.read_bytes()))
    message = RunJavascriptMessage(source=f"import({script}).then((page) => {what});")
    server._websock_server.queue_message(message)


def _url(kind: str, content: bytes) -> str:
    """An address that is its content: browsers know only those of viser's own files."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
