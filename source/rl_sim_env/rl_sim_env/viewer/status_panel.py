"""The head of the page: how it stands, how well all walk, time, and which robot is in view."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from html import escape

from rl_sim_env.viewer.pace import SPEEDS
from rl_sim_env.viewer.player_viewer import PlayerViewer
from rl_sim_env.viewer.score import Score, ScoreLine
from rl_sim_env.viewer.view import GOOD_COLOR, PADDED, WARNING_COLOR


class StatusPanel:
    """Status and time of any player.

    Args:
        viewer: What is shown; its page is built just now.
    """

    def __init__(self, viewer: PlayerViewer) -> None:
        self._viewer = viewer
        gui = viewer.server.gui
        self.line = gui.add_html("")
        self.score = gui.add_html("")
        self._time = gui.add_button_group(
            "Time", ("Pause", "Step", "Restart"), hint="P, N, and R on the keyboard"
        )
        self._speed = gui.add_dropdown(
            "Speed",
            tuple(map(_speed_text, SPEEDS)),
            initial_value=_speed_text(1.0),
            hint="of simulated time, where the machine can keep up",
        )
        self._time.on_click(lambda event: self._act(event.target.value))
        self._speed.on_update(lambda _: self._choose_speed())
        for label, key in (("Pause", "P"), ("Step", "N"), ("Restart", "R")):
            viewer.view.on_key(key, _LONG[label], partial(self._act, label))

    def update(self, where: str, scores: Mapping[str, Score] | None = None) -> None:
        """Show how it stands.

        Args:
            where: The robot in view, in words.
            scores: How robots walk, by the name of their policy; none where nobody judges.
        """
        viewer = self._viewer
        note = escape(viewer.view.note)
        # The line has its place while it is empty, too: what is below it stays where it is.
        self.line.content = (
            f"<div style='{PADDED}'>{_pace_text(viewer)}<br>{escape(where)}"
            f"<div style='color:{WARNING_COLOR}'>{note or '&nbsp;'}</div></div>"
        )
        if scores:
            self.score.content = "".join(
                score_html(score.lines(), score.seconds, name) for name, score in scores.items()
            )

    def _act(self, what: str) -> None:
        viewer, pace = self._viewer, self._viewer.pace
        actions = {
            "Pause": pace.toggle,
            "Step": self._step,
            "Restart": viewer.restart,
        }
        if what in actions:
            viewer.view.ask(actions[what])

    def _step(self) -> None:
        if not self._viewer.pace.paused:
            self._viewer.pace.toggle()
        self._viewer.step_once()

    def _choose_speed(self) -> None:
        texts = {_speed_text(speed): speed for speed in SPEEDS}
        self._viewer.pace.speed = texts.get(self._speed.value, 1.0)


_LONG = {"Pause": "Pause or go on", "Step": "One step", "Restart": "All robots begin anew"}


def score_html(lines: tuple[ScoreLine, ...], seconds: float, name: str = "all robots") -> str:
    """The figures, with their aims and whether they are reached."""
    if not lines:
        return f"<div style='{PADDED};opacity:.6'>no figures yet</div>"
    cells = "".join(
        f"<div><div style='opacity:.6'>{line.name}</div>"
        f"<b style='color:{_judged(line)}'>{line.value}</b>"
        f"<span style='opacity:.6'>{f' aim {line.aim}' if line.aim else ''}</span></div>"
        for line in lines
    )
    return (
        f"<div class='score' style='{PADDED};display:grid;grid-template-columns:1fr 1fr;"
        f"gap:.2em .6em;line-height:1.3'>{cells}</div>"
        f"<div style='{PADDED};opacity:.6'>{escape(name)}, over {seconds:.0f} s</div>"
    )


def _judged(line: ScoreLine) -> str:
    if line.is_reached is None:
        return "inherit"
    return GOOD_COLOR if line.is_reached else WARNING_COLOR


def _pace_text(viewer: PlayerViewer) -> str:
    pace = viewer.pace
    if pace.paused:
        return f"<b>paused</b> at {viewer.steps * viewer.player.vec_env.step_dt:.2f} s"
    held_up = ""
    if pace.is_held_up:
        step = 1e3 * viewer.player.vec_env.step_dt
        held_up = f" ({step:.0f} ms take {step / pace.reached:.0f} ms here)"
    return f"<b>{pace.reached:.2f}x</b> real time{held_up}, {viewer.frame_rate:.0f} pictures/s"


def _speed_text(speed: float) -> str:
    return f"{speed:g}x" if speed >= 1.0 else f"1/{round(1.0 / speed)}x"
