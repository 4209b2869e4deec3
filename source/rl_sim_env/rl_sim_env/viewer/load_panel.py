"""What robots carry, how they are pushed, and how slippery their ground is."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import viser

from rl_sim_env.evaluation import Evaluator
from rl_sim_env.mdp import events
from rl_sim_env.robots import Boom
from rl_sim_env.viewer.comparison import MASS
from rl_sim_env.viewer.page import within
from rl_sim_env.viewer.view import View
from rl_sim_env.viewer.wishes import Wishes

MAX_LOAD, LOAD_DECIMALS = 15.0, 1
"""Greatest load [kg] that can be hung on, and decimals of its slider."""

MAX_PUSH = 3.0
"""Greatest jump of a base's velocity [m/s]."""

DIRECTIONS = {"forward": 0.0, "left": 0.5 * math.pi, "back": math.pi, "right": -0.5 * math.pi}
"""Where a push goes, as the robot sees it [rad]."""

FRICTIONS = (0.1, 1.5)

_DROP = "Drop"
_NOTHING = 0.01
"""A load that is none [kg]."""


class LoadPanel:
    """Load, boom, pushes and friction of the robot in view.

    Args:
        view: The page.
        player: Whose robots carry.
        wishes: Keeps what is chosen.

    Attributes:
        load: Slider of the load.
        everybody: Whether what is chosen counts for all robots.
    """

    def __init__(self, view: View, player: Evaluator, wishes: Wishes) -> None:
        self._view, self._env, self._wishes = view, player.env, wishes
        gui = view.server.gui
        self.everybody = gui.add_checkbox(
            "For all robots", initial_value=False, hint="else for the robot in view"
        )
        self._shown: dict[str, float] = {}
        self._dropped = 0.0
        self.load = gui.add_slider(
            # In watching tasks trunks are nominal: a load is all that is extra.
            f"{_mass_label(player)} [kg]",
            min=0.0,
            max=MAX_LOAD,
            step=10.0**-LOAD_DECIMALS,
            initial_value=0.0,
            hint=f"the load; training knew up to {self._env.cfg.robot.max_load:g} kg",
            disabled=not wishes.can_carry,
        )
        self.load.on_update(self._by_hand(self.follow_slider))
        hang = gui.add_button_group("Load", (_DROP, "Hang on again"), visible=wishes.can_carry)
        hang.on_click(
            lambda event: self.drop() if event.target.value == _DROP else self.hang_on_again()
        )
        self._build_boom()
        self._strength = gui.add_slider(
            "push [m/s]",
            min=0.1,
            max=MAX_PUSH,
            step=0.1,
            initial_value=1.0,
            hint="jump of the trunk's velocity",
        )
        pushes = gui.add_button_group("Push to", tuple(DIRECTIONS))
        pushes.on_click(lambda event: self._push(event.target.value))
        self._friction = gui.add_slider(
            "foot friction", min=FRICTIONS[0], max=FRICTIONS[1], step=0.05, initial_value=1.0
        )
        self._friction.on_update(self._by_hand(self._change_friction))

    def update(self) -> None:
        """Let the sliders show the robot in view where somebody else has changed it."""
        robot = self._view.robot
        self._show("load", self.load, self._wishes.load_of(robot), LOAD_DECIMALS)
        self._show("friction", self._friction, self._wishes.friction_of(robot), 2)
        if self._boom is not None:
            angle, length = self._wishes.boom_of(robot)
            turn = math.degrees(math.remainder(angle, 2.0 * math.pi))
            self._show("angle", self._boom[0], turn, 0)
            self._show("length", self._boom[1], 100.0 * length, 0)

    def _build_boom(self) -> None:
        boom = self._env.cfg.robot.payload
        self._boom: tuple[viser.GuiSliderHandle[float], ...] | None = None
        if not isinstance(boom, Boom):
            return
        gui = self._view.server.gui
        shortest, longest = (100.0 * end for end in boom.length_range)
        self._boom = (
            gui.add_slider("boom angle [°]", min=-180.0, max=180.0, step=1.0, initial_value=0.0),
            gui.add_slider(
                "boom length [cm]", min=shortest, max=longest, step=1.0, initial_value=shortest
            ),
        )
        for slider in self._boom:
            slider.on_update(self._by_hand(self._change_boom))

    def _by_hand(self, change: Callable[[], None]) -> Callable[[viser.GuiEvent], None]:
        """Only for what comes from a browser: the panel moves its sliders, too."""

        def react(event: viser.GuiEvent) -> None:
            if event.client is not None:
                change()

        return react

    def _show(
        self, name: str, slider: viser.GuiSliderHandle[float], value: float, decimals: int
    ) -> None:
        shown = round(value, decimals)
        if shown != self._shown.get(name):
            self._shown[name] = shown
            slider.value = min(max(shown, slider.min), slider.max)

    def _robots(self) -> torch.Tensor:
        env = self._env
        if self.everybody.value:
            return torch.arange(env.num_robots, device=env.device)
        return torch.tensor(self._view.chosen, device=env.device)

    def follow_slider(self) -> None:
        """Ask for the load that the slider shows."""
        load = within(self.load.value, 0.0, MAX_LOAD)
        if load is not None:
            self.hang_on(load)

    def hang_on(self, load: float) -> None:
        """Ask for another load [kg]."""
        if self._wishes.can_carry:
            self._view.ask(lambda: self._wishes.set_load(self._robots(), load))

    def drop(self) -> None:
        """Take the load off the robot in view."""
        load = self._wishes.load_of(self._view.robot)
        # To drop nothing twice does not forget what was dropped.
        self._dropped = load if load > _NOTHING else self._dropped
        self.hang_on(0.0)

    def hang_on_again(self) -> None:
        """Hang on what was dropped."""
        self.hang_on(self._dropped)

    def _change_boom(self) -> None:
        assert self._boom is not None
        angle, length = (within(each.value, each.min, each.max) for each in self._boom)
        if angle is not None and length is not None:
            self._view.ask(
                lambda: self._wishes.set_boom(self._robots(), math.radians(angle), 0.01 * length)
            )

    def _change_friction(self) -> None:
        friction = within(self._friction.value, *FRICTIONS)
        if friction is not None:
            self._view.ask(lambda: self._wishes.set_friction(self._robots(), friction))

    def _push(self, direction: str) -> None:
        strength = within(self._strength.value, 0.0, MAX_PUSH)
        if strength is not None and direction in DIRECTIONS:
            self._view.ask(lambda: self.push(strength, DIRECTIONS[direction]))

    def push(self, strength: float, direction: float) -> None:
        """Push now.

        Args:
            strength: Jump of the velocity [m/s].
            direction: Where to, as the robot sees it [rad].
        """
        robots = self._robots()
        angle = self._env.robot_heading()[robots] + direction
        velocity = strength * torch.stack((angle.cos(), angle.sin()), dim=-1)
        events.push_by_velocity(self._env, robots, velocity)
        self._env.sim.refresh()


def _mass_label(player: Evaluator) -> str:
    """What estimates call it, so that one thing has one name."""
    declared = player.policy.targets.declared
    return declared[MASS].label if MASS in declared else "extra mass"
