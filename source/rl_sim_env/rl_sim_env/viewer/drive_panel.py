"""Driving robots: sliders, keys, a gamepad, and a stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import torch

from rl_sim_env.evaluation import Evaluator
from rl_sim_env.viewer.browsers import HELD, Gamepad
from rl_sim_env.viewer.page import within
from rl_sim_env.viewer.view import PADDED, View

DRAWN, THIS, ALL = "drawn at random", "mine, this robot", "mine, all robots"
"""Whose commands count."""

KEY_SHARE = 0.6
"""Of the greatest command, that a key gives."""

STEP = 0.05

_LABELS = ("forward [m/s]", "to the left [m/s]", "turn left [rad/s]")

KEYS = {
    "I": (0, 1.0),
    "K": (0, -1.0),
    "U": (1, 1.0),
    "O": (1, -1.0),
    "J": (2, 1.0),
    "L": (2, -1.0),
}
"""Component of the command and its sign, by key: those of ROS's teleop_twist_keyboard, beside which
viser moves the camera by W A S D."""

_KEYS_TEXT = (
    "keys: I K forward, back; J L turn; U O sideways; X stop. They spring back, and so do a "
    "gamepad's sticks."
)


class DrivePanel:
    """Takes over commands.

    Args:
        view: The page.
        player: Whose robots are driven; before its first step.
        gamepad: Drives as keys do.
        clock: A steady clock [s].

    Attributes:
        mode: Whose commands count.
        sliders: Forward, sideways, turning.
        steered: Commands that overrule what is drawn, NaN where none does. Shape (num_envs, 3).
    """

    def __init__(
        self,
        view: View,
        player: Evaluator,
        gamepad: Gamepad,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._view, self._gamepad, self._clock = view, gamepad, clock
        env = player.env
        self._num_robots = env.num_robots
        command = env.velocity_command
        ends = command.ranges.amax(dim=0)[:, 1].tolist()
        self._ends = [max(round(end, 2), STEP) for end in ends]
        self.steered = torch.full_like(command.command, torch.nan)
        command.steer(self.steered)
        # Sign of each component, and until when its key counts as held.
        self._held = [(0.0, 0.0)] * len(_LABELS)
        gui = view.server.gui
        self.mode = gui.add_dropdown("Commands", (DRAWN, THIS, ALL), initial_value=DRAWN)
        self.sliders = [
            gui.add_slider(label, min=-end, max=end, step=STEP, initial_value=0.0)
            for label, end in zip(_LABELS, self._ends, strict=True)
        ]
        stop = gui.add_button("Stop", hint="all commands to 0: X on the keyboard")
        gui.add_html(f"<div style='{PADDED};opacity:.7'>{_KEYS_TEXT}</div>")
        stop.on_click(lambda _: self.stop())
        for slider in self.sliders:
            slider.on_update(lambda event: self._take_over() if event.client else None)
        for key, (component, sign) in KEYS.items():
            name = f"{'' if sign > 0 else 'minus '}{_LABELS[component]}"
            view.on_key(key, f"Drive {name}", partial(self.press, component, sign))
        view.on_key("X", "Stop", self.stop)

    def press(self, component: int, sign: float) -> None:
        """A key went down, or repeats itself."""
        self._held[component] = sign, self._clock() + HELD
        self._take_over()

    def stop(self) -> None:
        """Stand."""
        for slider in self.sliders:
            slider.value = 0.0
        self._held = [(0.0, 0.0)] * len(_LABELS)
        self._take_over()

    @property
    def command(self) -> tuple[float, ...]:
        """Forward, sideways and yaw rate that are wanted now [m/s, m/s, rad/s]."""
        now = self._clock()
        keys = [sign * KEY_SHARE if now < until else 0.0 for sign, until in self._held]
        wanted = []
        for slider, end, key, stick in zip(
            self.sliders, self._ends, keys, self._gamepad.sticks, strict=True
        ):
            # A page may send any number, and none.
            wanted.append(end * (key or stick) or within(slider.value, -end, end) or 0.0)
        return tuple(wanted)

    def before_step(self) -> None:
        """Let the next step go by what is wanted."""
        if any(self._gamepad.sticks):
            self._take_over()
        mode = self.mode.value
        self.steered.fill_(torch.nan)
        if mode == DRAWN:
            return
        who = slice(self._num_robots) if mode == ALL else self._view.chosen
        self.steered[who] = torch.tensor(self.command, device=self.steered.device)

    def _take_over(self) -> None:
        if self.mode.value == DRAWN:
            self.mode.value = THIS
