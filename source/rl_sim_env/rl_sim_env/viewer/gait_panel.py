"""How a robot walks: when its feet are down, what its joints give, and where it goes too far."""

from __future__ import annotations

import numpy as np

from rl_sim_env.evaluation import Evaluator
from rl_sim_env.mdp.constraints import CONSTRAINTS, TORQUE
from rl_sim_env.mdp.observations import foot_pos_w
from rl_sim_env.viewer.history import SECONDS, History
from rl_sim_env.viewer.view import COMMAND_COLOR, GOOD_COLOR, PADDED, WARNING_COLOR, View

STRIP_SECONDS = 3.0
"""How long the strip of footfalls is [s]: some four strides."""

PEAK_SECONDS = 0.5
"""Over which the highest torque is shown [s]: faster changes cannot be read."""

_WIDTH, _ROW = 300, 16
"""Of the strip and of one foot in it [pixels]."""


class GaitPanel:
    """The last seconds of the robot in view.

    Args:
        view: The page.
        player: The policy at work.
        history: The last seconds of the robot in view.
    """

    def __init__(self, view: View, player: Evaluator, history: History) -> None:
        self._view, self._player, self._history = view, player, history
        robot = player.env.cfg.robot
        self._feet = [leg.corner for leg in robot.legs]
        layout = player.env.constraint_monitor.layout
        widths = list(layout.widths.values())
        ends = np.cumsum(widths)
        self._columns = {
            name: slice(end - width, end)
            for name, width, end in zip(layout.names, widths, ends, strict=True)
        }
        self._joints = [name.removesuffix("_joint") for name in robot.leg_joints]
        self._share = robot.limits.torque
        gui = view.server.gui
        self.feet = gui.add_html("")
        self.torques = gui.add_html("")
        self.limits = gui.add_html("")

    def update(self) -> None:
        """Show the robot in view."""
        history = self._history
        if not len(history):
            return
        cost = history.cost_of_transport()
        text = "stands" if cost is None else f"{cost:.2f}"
        style = history.style_score()
        judged = "" if style is None else f"<br>style, 1 as the clips: <b>{style:.2f}</b>"
        contact = history.last("contact", STRIP_SECONDS) > 0.5
        self.feet.content = (
            f"<div style='{PADDED}'><b>Feet on the ground</b>, last {STRIP_SECONDS:.0f} s"
            f"{footfall_svg(self._feet, contact, round(STRIP_SECONDS / self._player.step_dt))}"
            "<span style='opacity:.7'>F front, R rear, then L left, R right; now is at the right"
            f"</span><br>ground below them, above the lowest [cm]: {self._ground_text()}<br>"
            f"cost of transport (work over weight and distance), last {SECONDS:.0f} s: "
            f"<b>{text}</b>{judged}</div>"
        )
        margins = history.last("margins")
        recent = history.last("margins", PEAK_SECONDS)
        if TORQUE in self._columns:
            used = self._share * (1.0 + recent[:, self._columns[TORQUE]].max(axis=0))
            self.torques.content = torque_html(self._joints, used, self._share)
        violated = {
            CONSTRAINTS[name].title: float((margins[:, columns] > 0.0).any(axis=1).mean())
            for name, columns in self._columns.items()
        }
        self.limits.content = limits_html(violated)

    def _ground_text(self) -> str:
        env = self._player.env
        feet = foot_pos_w(env)[self._view.robot, :, :2]
        return ground_text(self._feet, env.height_map.heights(feet).cpu().numpy())


def ground_text(feet: list[str], heights: np.ndarray) -> str:
    """How high the ground below each foot is [cm], above the lowest.

    Args:
        feet: Names.
        heights: Of the ground [m]. Shape (feet,).
    """
    above = 100.0 * (heights - heights.min())
    return ", ".join(f"{name} {height:.0f}" for name, height in zip(feet, above, strict=True))


def footfall_svg(feet: list[str], contact: np.ndarray, length: int) -> str:
    """Bars where feet are down; now is at the right.

    Args:
        feet: Names.
        contact: Shape (steps, feet), bool, the newest last.
        length: Steps that fill the width.
    """
    bars = []
    for row, (name, down) in enumerate(zip(feet, contact.T, strict=True)):
        y = row * _ROW
        bars.append(f"<text x='0' y='{y + 12}' font-size='11' fill='currentColor'>{name}</text>")
        edges = np.flatnonzero(np.diff(np.concatenate(([0], down.astype(np.int8), [0]))))
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            left = _WIDTH * (1.0 - (len(down) - start) / length)
            width = _WIDTH * (end - start) / length
            bars.append(
                f"<rect x='{26 + left:.1f}' y='{y + 2}' width='{width:.1f}' height='{_ROW - 5}'"
                f" rx='2' fill='{COMMAND_COLOR}'/>"
            )
    return (
        f"<svg viewBox='0 0 {_WIDTH + 28} {_ROW * len(feet)}' style='width:100%;display:block;"
        f"margin:.3em 0'>{''.join(bars)}</svg>"
    )


def torque_html(joints: list[str], used: np.ndarray, limit: float) -> str:
    """Bars of the highest torques as shares of what the drives can give.

    Args:
        joints: Names.
        used: Shares. Shape (joints,).
        limit: Share where the constraint begins.
    """
    rows = "".join(
        f"<tr><td style='white-space:nowrap'>{name}</td><td style='width:62%'>"
        "<div style='position:relative;background:rgba(128,128,128,.18);height:.7em'>"
        f"<div style='width:{100.0 * min(share, 1.0):.0f}%;height:100%;background:"
        f"{WARNING_COLOR if share > limit else COMMAND_COLOR}'></div>"
        f"<div style='position:absolute;left:{100.0 * limit:.0f}%;top:0;width:1px;height:100%;"
        "background:currentColor'></div></div></td>"
        f"<td style='text-align:right'>{100.0 * share:.0f} %</td></tr>"
        for name, share in zip(joints, used.tolist(), strict=True)
    )
    return (
        f"<div style='{PADDED}'><b>Highest torque</b> of the last {PEAK_SECONDS:g} s, of what the "
        f"drive can give; the line is the limit<table style='width:100%;line-height:1.2'>{rows}"
        "</table></div>"
    )


def limits_html(violated: dict[str, float]) -> str:
    """In which share of the last seconds each limit was exceeded."""
    rows = "".join(
        f"<tr><td>{title}</td><td style='text-align:right;color:"
        f"{WARNING_COLOR if share else GOOD_COLOR}'>{100.0 * share:.1f} %</td></tr>"
        for title, share in violated.items()
    )
    return (
        f"<div style='{PADDED}'><b>Limits exceeded</b>, share of the last {SECONDS:.0f} s"
        f"<table style='width:100%;line-height:1.3'>{rows}</table></div>"
    )
