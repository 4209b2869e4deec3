"""What the policy believes about its load, beside the truth."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import viser
import viser.uplot

from rl_sim_env.conventions import DEVIATIONS_95, leaves_range
from rl_sim_env.evaluation import Evaluator
from rl_sim_env.mdp import events
from rl_sim_env.viewer.page import within

TRUTH_COLOR = "#adb5bd"
ESTIMATE_COLOR = "#f76707"
WARNING_COLOR = "#e03131"

BEYOND_TRAINING = "maybe beyond training"
"""What is said of a load that may be heavier, or lighter, than any that was trained."""

_MASS = "mass"

PLOT_SECONDS = 10.0
"""Length of the running plot [s]."""

PLOT_HEIGHT = 170
"""Its height [pixels]."""

MAX_LOAD, LOAD_DECIMALS = 15.0, 1
"""Greatest load [kg] that can be hung on, and decimals of its slider."""

UPDATE_PERIOD = 0.1
"""Time between two updates of the panel [s]."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One quantity as it is and as the policy believes it to be."""

    target: str
    """Name of the quantity."""
    label: str
    unit: str
    span: float
    """Magnitude that fills the bar."""
    true: float
    estimated: float
    reach: float | None = None
    """Half of the estimate's 95 % interval; None where the policy does not tell."""
    beyond_training: bool = False
    """Whether it is a mass that may be beyond training."""


def compare(player: Evaluator, env_id: int) -> list[Comparison]:
    """What is true of one robot, and what its policy believed when it last acted."""
    true, estimated = (
        belief.joined()[env_id].tolist() for belief in (player.truth, player.estimate)
    )
    targets, std = player.policy.targets, player.std
    deviations = [None] * len(true) if std is None else std.joined()[env_id].tolist()
    trained = None if std is None else player.policy.trained_range()
    rows = []
    for each, truth, guess, deviation in zip(
        targets.components, true, estimated, deviations, strict=True
    ):
        low, high = targets.declared[each.target].shown_range
        rows.append(
            Comparison(
                target=each.target,
                label=each.label,
                unit=each.unit,
                span=0.5 * (high - low),
                true=each.per_si * truth,
                estimated=each.per_si * guess,
                reach=None if deviation is None else DEVIATIONS_95 * each.per_si * deviation,
                beyond_training=trained is not None
                and each.target == _MASS
                and leaves_range(guess, deviation, *trained[_MASS].flatten().tolist()),
            )
        )
    # Quantities of a single number first, and of them the first is plotted over time.
    return sorted(rows, key=lambda row: targets.widths[row.target] > 1)


def caption(player: Evaluator, env_id: int) -> str:
    """One line about one robot, for a video."""
    row, env = compare(player, env_id)[0], player.vec_env.unwrapped
    command = env.velocity_command.command[env_id, :2].norm()
    speed = env.robot.data.root_link_lin_vel_b[env_id, :2].norm()
    interval = "" if row.reach is None else f" ± {row.reach:.1f}"
    beyond = f" ({BEYOND_TRAINING})" if row.beyond_training else ""
    return (
        f"{row.label} {row.true:.1f} {row.unit}, estimated {row.estimated:.1f}{interval} {row.unit}"
        f"{beyond}    speed {speed:.2f} m/s, commanded {command:.2f} m/s"
    )


class LoadPanel:
    """Table, bars and running plot of the robot in view, and what may be changed about it.

    Args:
        server: The page.
        player: What is shown.
        request_load: Called, from another thread, with the load [kg] that the user wants.

    Attributes:
        load: Slider of the load of the robot in view.
        share: Slider of the share of estimates that the policy is fed.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        player: Evaluator,
        request_load: Callable[[float], None],
    ) -> None:
        self._player = player
        self._request_load = request_load
        step_dt = player.vec_env.step_dt
        self._period = max(round(UPDATE_PERIOD / step_dt), 1)
        self._history: deque[tuple[float, float]] = deque(
            maxlen=round(PLOT_SECONDS / UPDATE_PERIOD)
        )
        self._env_id = -1
        self._shown_step = 0
        self._shown_load = 0.0
        first = compare(player, 0)[0]
        plotted = f"{first.label} [{first.unit}]"
        with server.gui.add_folder("Load: estimate and truth"):
            self._table = server.gui.add_html("")
            self._plot = server.gui.add_uplot(
                data=self._series(),
                series=(
                    viser.uplot.Series(label="s"),
                    viser.uplot.Series(label=plotted, stroke=TRUTH_COLOR, width=2),
                    viser.uplot.Series(label="estimated", stroke=ESTIMATE_COLOR, width=2),
                ),
                scales={
                    "x": viser.uplot.Scale(time=False, auto=False, range=(-PLOT_SECONDS, 0.0)),
                    "y": viser.uplot.Scale(auto=True),
                },
                height=PLOT_HEIGHT,
            )
            self.share = server.gui.add_slider(
                "Estimates fed",
                min=0.0,
                max=1.0,
                step=0.05,
                initial_value=player.p_boot,
                hint="1: the policy walks on its own estimates; 0: on the truth; between: a blend",
            )
            self.load = server.gui.add_slider(
                "Load [kg]",
                min=0.0,
                max=MAX_LOAD,
                step=10.0**-LOAD_DECIMALS,
                initial_value=0.0,
                hint="gives the robot in view another load, while it walks",
                disabled=player.vec_env.cfg.robot.payload is None,
            )
        self.share.on_update(lambda _: self._feed())
        self.load.on_update(lambda _: self._follow_slider())

    def update(self, env_id: int, step: int) -> None:
        """Show the robot in view, a few times a second.

        Args:
            env_id: The robot in view.
            step: Steps so far; the panel waits until enough have passed.
        """
        if env_id == self._env_id and 0 <= step - self._shown_step < self._period:
            return
        if env_id != self._env_id:
            self._history.clear()
        self._env_id, self._shown_step = env_id, step
        rows = compare(self._player, env_id)
        self._history.append((rows[0].true, rows[0].estimated))
        self._table.content = table_html(rows)
        self._plot.data = self._series()
        load = self._load_in_view()
        if load != self._shown_load:
            # Another robot, or a load that was drawn at a reset.
            self._shown_load = load
            self.load.value = min(max(round(load, LOAD_DECIMALS), 0.0), MAX_LOAD)

    def _feed(self) -> None:
        if (share := within(self.share.value, 0.0, 1.0)) is not None:
            self._player.p_boot = share

    def _follow_slider(self) -> None:
        load = within(self.load.value, 0.0, MAX_LOAD)
        if load is None or self._player.vec_env.cfg.robot.payload is None:
            return
        # The panel moves the slider, too, to the nearest step of what hangs there.
        if abs(load - self._load_in_view()) > 0.5 * 10.0**-LOAD_DECIMALS:
            self._request_load(load)

    def _load_in_view(self) -> float:
        return float(events.get_load(self._player.vec_env.unwrapped)[self._env_id])

    def _series(self) -> tuple[np.ndarray, ...]:
        history = np.array(self._history, dtype=float).reshape(-1, 2)
        ages = np.arange(1 - len(history), 1) * UPDATE_PERIOD
        return ages, history[:, 0].copy(), history[:, 1].copy()


def table_html(rows: list[Comparison]) -> str:
    """Table of true and estimated values, each with a bar from the middle of its column."""
    cells = "".join(
        f"<tr><td>{row.label} <span style='opacity:.6'>[{row.unit}]</span>{_warning(row)}</td>"
        f"<td style='text-align:right'>{_number(row.true)}</td>"
        f"<td style='text-align:right;color:{ESTIMATE_COLOR}'>{_number(row.estimated)}"
        f"{'' if row.reach is None else f' ± {row.reach:.2f}'}</td>"
        f"<td style='width:36%'>{_bar(row.true, row.span, TRUTH_COLOR)}"
        f"{_bar(row.estimated, row.span, ESTIMATE_COLOR)}</td></tr>"
        for row in rows
    )
    return (
        "<table style='width:100%;font-size:.8em;border-spacing:.5em 0;padding:0 .4em'>"
        "<tr style='opacity:.6'><td></td><td style='text-align:right'>true</td>"
        f"<td style='text-align:right'>estimate</td><td></td></tr>{cells}</table>"
    )


def _warning(row: Comparison) -> str:
    text = f"<br><b style='color:{WARNING_COLOR}'>{BEYOND_TRAINING}</b>"
    return text if row.beyond_training else ""


def _number(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}"  # the sum has no negative zero


def _bar(value: float, span: float, color: str) -> str:
    half_width = 50.0 * min(abs(value) / span, 1.0)
    left = 50.0 - half_width if value < 0.0 else 50.0
    return (
        f"<div style='height:4px;margin:1px 0 1px {left:.1f}%;width:{half_width:.1f}%;"
        f"background:{color};border-radius:2px'></div>"
    )
