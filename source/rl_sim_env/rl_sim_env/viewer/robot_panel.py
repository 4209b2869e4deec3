"""Which robot is looked at, and from where."""

from __future__ import annotations

from functools import partial

from rl_sim_env.viewer.page import within
from rl_sim_env.viewer.player_viewer import PlayerViewer

_FELL = "fell last"

_KEYS = (("before", "pageup"), ("next", "pagedown"), (_FELL, "B"))


class RobotPanel:
    """Chooses the robot in view and whether the camera follows it.

    Args:
        viewer: What is shown; its page is built just now.
        partner_distance: From a robot to the one that it is compared with; 0: there is none.

    Attributes:
        last_fallen: Who fell last; None: nobody.
    """

    def __init__(self, viewer: PlayerViewer, partner_distance: int = 0) -> None:
        self.last_fallen: int | None = None
        self._viewer = viewer
        self._ways = {"before": -1, "next": 1}
        if partner_distance:
            self._ways["partner"] = partner_distance
        gui = viewer.server.gui
        last = viewer.player.vec_env.num_envs - 1
        if last > 0:
            self.choice = gui.add_slider(
                "robot", min=0, max=last, step=1, initial_value=viewer.view.robot
            )
            self.choice.on_update(lambda _: self._look())
            go = gui.add_button_group(
                "Look at", (*self._ways, _FELL), hint="page up, page down and B on the keyboard"
            )
            go.on_click(lambda event: self.look_at(event.target.value))
            for name, key in _KEYS:
                viewer.view.on_key(key, f"Look at the robot: {name}", partial(self.look_at, name))
        self.follow = gui.add_checkbox(
            "Camera follows", initial_value=viewer.follow, hint="F on the keyboard"
        )
        self.follow.on_update(lambda _: self._follow())
        viewer.view.on_key("F", "Camera follows or stays", self._toggle)

    def _toggle(self) -> None:
        self.follow.value = not self.follow.value

    def _look(self) -> None:
        last = self._viewer.player.vec_env.num_envs - 1
        robot = within(float(self.choice.value), 0.0, last)
        if robot is not None:
            self._viewer.view.robot = round(robot)

    def look_at(self, whom: str) -> None:
        """Look at another robot, as its button calls it."""
        count = self._viewer.player.vec_env.num_envs
        if whom in self._ways:
            self.choice.value = (self._viewer.view.robot + self._ways[whom]) % count
        elif self.last_fallen is not None:
            self.choice.value = self.last_fallen
        else:
            self._viewer.view.tell("no robot has fallen yet")

    def _follow(self) -> None:
        viewer = self._viewer
        viewer.follow = bool(self.follow.value)
        viewer.view.ask(viewer.look_again)
