"""What a set of clips holds: a table for the terminal and a foot-fall diagram."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Group
from rich.table import Table

from rl_sim_env.errors import UserError
from rl_sim_env.motions.clip import MotionClip

DIAGRAM_SECONDS = 4.0
"""Length of motion that the foot-fall diagram shows of each clip [s]."""

STANCE_BAR_HEIGHT = 0.8
"""Thickness of a stance bar, as a share of the distance between two feet's rows."""

CLIP_PANEL_HEIGHT = 0.8
"""Height of one clip's panel [inch]."""

DIAGRAM_WIDTH = 8.0
"""Width of the diagram [inch]."""


def duty_factor(clip: MotionClip) -> float:
    """Share of the time that a foot stands, mean of the feet."""
    return float(clip.foot_contact.mean())


def stride_frequency(clip: MotionClip) -> float:
    """Touchdowns of a foot per second, mean of the feet [Hz]."""
    contact = clip.foot_contact
    before = np.roll(contact, 1, axis=0) if clip.cyclic else np.vstack([contact[:1], contact[:-1]])
    return float((contact & ~before).sum(axis=0).mean() / clip.duration)


def clip_table(clips: Sequence[MotionClip]) -> Group:
    """One line per clip, 80 columns wide: length, mean velocities, gait, joint speed, weight.

    Clips of one source and licence stand together under a heading that names both.
    """
    by_origin: dict[str, list[MotionClip]] = {}
    for clip in clips:
        by_origin.setdefault(f"{clip.source} ({clip.licence})", []).append(clip)
    return Group(*(_table(origin, group) for origin, group in by_origin.items()))


def _table(title: str, clips: Sequence[MotionClip]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1))
    table.add_column("clip")
    for heading in ("s", "fps", "vx m/s", "vy m/s", "yaw/s", "duty", "Hz", "rad/s", "weight"):
        table.add_column(heading, justify="right", no_wrap=True)
    for clip in clips:
        forward, left, _ = clip.root_lin_vel.mean(axis=0)
        table.add_row(
            clip.name,
            f"{clip.duration:.1f}",
            f"{clip.fps:.0f}",
            f"{forward:+.2f}",
            f"{left:+.2f}",
            f"{clip.root_ang_vel[:, 2].mean():+.2f}",
            f"{duty_factor(clip):.2f}",
            f"{stride_frequency(clip):.2f}",
            f"{np.abs(clip.joint_vel).max():.1f}",
            f"{clip.weight:g}",
        )
    return table


def draw_footfalls(clips: Sequence[MotionClip], path: Path) -> None:
    """Draw when each foot stands (a bar) and swings (a gap), one panel per clip.

    Args:
        clips: What to draw; the first seconds of each.
        path: Image file; its ending chooses the format.

    Raises:
        UserError: The image cannot be written.
    """
    height = CLIP_PANEL_HEIGHT * (len(clips) + 1)
    figure = Figure(figsize=(DIAGRAM_WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(clips), 1, sharex=True, squeeze=False)[:, 0]
    for panel, clip in zip(panels, clips, strict=True):
        shown = clip.foot_contact[: round(DIAGRAM_SECONDS * clip.fps)]
        for row, contact in enumerate(shown.T):
            panel.broken_barh(
                _stances(contact, clip.fps),
                (row - 0.5 * STANCE_BAR_HEIGHT, STANCE_BAR_HEIGHT),
                color=f"C{row}",
            )
        panel.set_yticks(range(len(clip.foot_names)), clip.foot_names, fontsize="x-small")
        panel.invert_yaxis()
        panel.set_title(clip.name, fontsize="small", loc="left", pad=2)
    panels[-1].set_xlabel("time [s]")
    panels[-1].set_xlim(0.0, DIAGRAM_SECONDS)
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot write foot-fall diagram {path}: {error}") from error


def _stances(contact: np.ndarray, fps: float) -> list[tuple[float, float]]:
    """Start and length [s] of every unbroken contact (L,) of one foot."""
    change = np.diff(contact.astype(int), prepend=0, append=0)
    start, end = np.flatnonzero(change == 1), np.flatnonzero(change == -1)
    return list(zip(start / fps, (end - start) / fps, strict=True))
