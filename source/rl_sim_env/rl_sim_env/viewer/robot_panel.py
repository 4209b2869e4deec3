"""Which robot is looked at, and from where."""

from __future__ import annotations

from rl_sim_env.viewer.page import within
from rl_sim_env.viewer.player_viewer import PlayerViewer


class RobotPanel:
    """Chooses the robot in view and whether the camera follows it.

    Args:
        viewer: What is shown; its page is built just now.
    """

    def __init__(self, viewer: PlayerViewer) -> None:
        self._viewer = viewer
        gui = viewer.server.gui
        last = viewer.player.vec_env.num_envs - 1
        if last > 0:
            self.choice = gui.add_slider(
                "robot",
                min=0,
                max=last,
                step=1,
                initial_value=viewer.view.robot,
                hint="comma and full stop on the keyboard: the one before, the next",
            )
            self.choice.on_update(lambda _: self._look())
            for name, way, key in (("Robot before", -1, ","), ("Next robot", 1, ".")):
                command = gui.add_command(name, hotkey=key)  # type: ignore[arg-type]
                command.on_trigger(lambda _, way=way: self._go(way))
        self.follow = gui.add_checkbox(
            "Camera follows", initial_value=viewer.follow, hint="F on the keyboard"
        )
        self.follow.on_update(lambda _: self._follow())
        gui.add_command("Camera follows or stays", hotkey="F").on_trigger(
            lambda _: setattr(self.follow, "value", not self.follow.value)
        )

    def _look(self) -> None:
        last = self._viewer.player.vec_env.num_envs - 1
        robot = within(float(self.choice.value), 0.0, last)
        if robot is not None:
            self._viewer.view.robot = round(robot)

    def _go(self, way: int) -> None:
        count = self._viewer.player.vec_env.num_envs
        self.choice.value = (self._viewer.view.robot + way) % count

    def _follow(self) -> None:
        viewer = self._viewer
        viewer.follow = bool(self.follow.value)
        viewer.view.ask(viewer.look_again)
