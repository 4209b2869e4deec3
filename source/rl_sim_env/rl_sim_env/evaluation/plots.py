"""Plots as pictures: PNG for Markdown, and SVG that takes the colours of the page it stands in."""

from __future__ import annotations

import io
import math
import re
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from rl_sim_env.evaluation.printed import stands_on
from rl_sim_env.evaluation.report import Plot, Section, Series
from rl_sim_env.evaluation.wording import TOTAL

INK, FAINT, LINE, ESTIMATE = "#1c2330", "#5b6575", "#d9dee6", "#0072b2"
"""Colours of truth and text, of remarks, of the grid, and of estimates in all plots."""

_VARIABLES = {INK: "--text", FAINT: "--faint", LINE: "--line", ESTIMATE: "--estimate"}
"""Names of those colours in the page, which has others in the dark."""

_COLOURS = ("#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#8c8c00", "#7f7f9f")
"""Told apart whatever one's colour vision, and on white and black (after Okabe and Ito, Color
Universal Design, 2008, whose blue is that of estimates)."""

_MARKERS = "os^Dv<>"
"""Marks of the points, so that lines are told apart in grey as well."""

_MARKED_POINTS = 30
"""Lines of more points have no marks."""

TRUTH, ESTIMATED, EVERYBODY = "truth", "estimate", "all robots"
"""Labels of lines with a colour of their own."""

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 6.4, 0.8, 0.15, 0.12, 0.5
_HEIGHT, _PANEL, _LEGEND_LINE = 2.6, 1.35, 0.24
"""Sizes [in]; all plots have the same edges."""

_LEGEND_COLUMNS = 4
"""At the most; fewer where labels are long."""

_PNG_DPI = 170

_OVER_SEEDS = "± standard deviation over seeds"
_OVER_SAMPLES = "± standard deviation over robots and time"


@dataclass(frozen=True, kw_only=True)
class Style:
    """What a plot says beside its lines."""

    lines: str = "mean over seeds"
    band: str = _OVER_SEEDS
    limit: float | None = None
    """Height of a line that defines what the section's table tells."""

    table: str = ""
    """How the title begins of the table that tells how many robots are behind the lines."""

    remark: str = ""


STYLES = {
    "survival": Style(table="Survivors"),
    "pushes": Style(limit=90.0),
    "load_limit": Style(limit=95.0, table="Heaviest"),
    "boom_limit": Style(limit=95.0, table="Longest"),
    "cost_of_transport": Style(table="Gait on flat"),
    "load_step": Style(
        band="± standard deviation of the error over robots",
        table="Mass estimate after",
        remark="Without load the truth is not 0: the trunk's own mass varies as in training",
    ),
}
"""By the name of the plot. The limits are those of the protocols."""

_CALIBRATION = Style(
    lines="mean of estimate minus truth",
    band=_OVER_SAMPLES,
    table="Calibration",
    remark="A line that falls: what is rare is drawn to the middle, also where the table's slope, "
    "of truth over estimate, is 1",
)


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A plot that was drawn."""

    png: bytes
    svg: str
    """Element of a page, in the page's colours."""


def is_calibration(plot: Plot) -> bool:
    """Whether the plot shows estimates over the truth."""
    return plot.name.startswith("calibration_")


@lru_cache(maxsize=64)
def draw(plot: Plot) -> Drawing:
    """Draw a plot; the same plot always gives the same picture."""
    with rc_context(
        {
            "font.size": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": FAINT,
            "axes.labelcolor": INK,
            "text.color": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "grid.color": LINE,
            "svg.fonttype": "none",
            "svg.hashsalt": plot.name,
        }
    ):
        canvas = (_draw_errors if is_calibration(plot) else _draw_lines)(plot)
        png, svg = io.BytesIO(), io.StringIO()
        canvas.savefig(png, format="png", dpi=_PNG_DPI, facecolor="white")
        canvas.savefig(svg, format="svg", transparent=True, metadata={"Date": None})
    return Drawing(png=png.getvalue(), svg=_themed(svg.getvalue(), plot.title))


def caption(plot: Plot, section: Section) -> str:
    """What lines and bands of a plot are, what they stand on, and where its axis begins.

    Args:
        plot: The plot.
        section: Where it stands, whose tables tell how many robots there were.
    """
    style = _style(plot)
    tables = [table for table in section.tables if table.title.startswith(style.table)]
    figures = [figure for table in tables for row in table.rows for figure in row.cells]
    has_band = any(series.spread for series in plot.series)
    parts = [f"line: {style.lines}", f"band: {style.band}" if has_band else "", stands_on(figures)]
    sentences = [plot.title, "; ".join(filter(None, parts))]
    if is_calibration(plot):
        sentences[0] = f"Error of the estimate over the truth: {plot.title.rpartition(': ')[2]}"
    if style.limit is not None:
        sentences.append(f"dotted: the {style.limit:g} % that define the limit")
    if not is_calibration(plot) and (begin := _vertical_ticks(plot)[0]):
        sentences.append(f"the vertical axis begins at {begin:g}, not at 0")
    sentences.append(style.remark)
    return "".join(f"{text[0].upper()}{text[1:]}. " for text in sentences if text).rstrip()


def _style(plot: Plot) -> Style:
    return _CALIBRATION if is_calibration(plot) else STYLES.get(plot.name, Style())


def _draw_lines(plot: Plot, legend_columns: int = _LEGEND_COLUMNS) -> Canvas:
    """All lines over one axis."""
    limit = _style(plot).limit
    shown = [series for series in plot.series if series.x]
    legend_lines = math.ceil(len(shown) / legend_columns) if len(shown) > 1 else 0
    canvas, (axes,) = _panels(1, _HEIGHT, legend_lines)
    colours = iter(_COLOURS * len(shown))
    for place, series in enumerate(shown):
        low, high = _band(series, plot)
        own = INK if len(shown) == 1 else _own_colour(series.label)
        colour = next(colours) if own is None else own
        axes.plot(
            series.x,
            series.y,
            label=_literal(series.label),
            color=colour,
            linestyle="--" if series.label == TRUTH else "-",
            linewidth=2.2 if own else 1.5,
            marker=_MARKERS[place % len(_MARKERS)] if len(series.x) <= _MARKED_POINTS else None,
            markersize=4,
            zorder=3 if own else 2,
        )
        if series.spread:
            axes.fill_between(series.x, low, high, color=colour, alpha=0.18, linewidth=0)
    ticks = _vertical_ticks(plot)
    axes.set_yticks(ticks)
    axes.set_ylim(bottom=ticks[0])
    if limit is not None:
        axes.axhline(limit, color=FAINT, linestyle=":", linewidth=1.2)
        axes.annotate(
            f"{limit:g} %",
            (0.0, limit),
            (3.0, -3.0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            # Where lines are not: they begin above the limit and fall.
            ha="left",
            va="top",
            color=FAINT,
            fontsize=9,
        )
    axes.set(xlabel=_literal(plot.x_label), ylabel=_literal(plot.y_label))
    if legend_lines:
        legend = canvas.legend(
            loc="lower left",
            bbox_to_anchor=(_LEFT / _WIDTH, 0.0),
            ncols=legend_columns,
            frameon=False,
            borderaxespad=0.1,
            fontsize=9,
        )
        canvas.draw_without_rendering()
        if legend.get_window_extent().x1 > canvas.bbox.x1 and legend_columns > 1:
            return _draw_lines(plot, legend_columns - 1)
    return canvas


def _draw_errors(plot: Plot) -> Canvas:
    """Estimate minus truth over the truth, a panel for each quantity."""
    shown = [series for series in plot.series if series.label != TRUTH and series.x]
    canvas, panels = _panels(len(shown), _PANEL * max(len(shown), 2), 0)
    unit = plot.x_label.partition("[")[2]
    for axes, series in zip(panels, shown, strict=True):
        errors = replace(series, y=tuple(y - x for x, y in zip(series.x, series.y, strict=True)))
        low, high = _band(errors, plot)
        axes.axhline(0.0, color=INK, linestyle="--", linewidth=1.2)
        axes.plot(errors.x, errors.y, color=ESTIMATE, linewidth=2.2)
        if errors.spread:
            axes.fill_between(errors.x, low, high, color=ESTIMATE, alpha=0.18, linewidth=0)
        reach = float(np.nanmax(np.abs([*low, *high]), initial=0.0)) * 1.1 or 1.0
        axes.set_ylim(-reach, reach)
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.set_ylabel(f"error [{unit}" if unit else "error")
        if len(shown) > 1:
            axes.set_title(_literal(f"true {series.label}"), loc="left", fontsize=10, pad=3)
    if panels:
        panels[-1].set_xlabel(f"truth [{unit}" if unit else "truth")
    return canvas


def _panels(count: int, height: float, legend_lines: int) -> tuple[Canvas, list[Axes]]:
    """A sheet with axes below one another, whose left and right edges are those of all plots."""
    bottom = _BOTTOM + _LEGEND_LINE * legend_lines
    top = _TOP + (0.2 if count > 1 else 0.0)
    total = top + height + bottom
    canvas = Canvas(figsize=(_WIDTH, total))
    axes = list(canvas.subplots(max(count, 1), squeeze=False).flat)
    canvas.subplots_adjust(
        left=_LEFT / _WIDTH,
        right=1.0 - _RIGHT / _WIDTH,
        bottom=bottom / total,
        top=1.0 - top / total,
        hspace=0.55,
    )
    for each in axes:
        each.grid(visible=True)
        each.set_axisbelow(True)
    canvas.align_ylabels()
    return canvas, axes[:count]


def _band(series: Series, plot: Plot) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper edge, within what is possible."""
    y = np.array(series.y)
    half = np.array(series.spread) if series.spread else np.zeros_like(y)
    low, high = y - half, y + half
    return (low.clip(0.0, 100.0), high.clip(0.0, 100.0)) if _is_share(plot) else (low, high)


def _is_share(plot: Plot) -> bool:
    return plot.y_label.endswith("[%]")


def _vertical_ticks(plot: Plot) -> list[float]:
    """What is written on the vertical axis, which begins with the first of it."""
    edges = [edge for series in plot.series for edge in _band(series, plot)]
    limit = _style(plot).limit
    # A percent below it, so that its line is not that of the axis.
    values = np.concatenate([*edges, [np.nan if limit is None else limit - 1.0]])
    values = values[np.isfinite(values)]
    if not len(values):
        return [0.0, 1.0]
    low, high = float(values.min()), float(values.max())
    low -= float(low == high)
    ticks = MaxNLocator(8, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    # The last tick may lie beyond what is possible.
    return [float(tick) for tick in ticks if tick <= high or not _is_share(plot)]


def _own_colour(label: str) -> str | None:
    if label in (TRUTH, TOTAL, EVERYBODY):
        return INK
    return ESTIMATE if label == ESTIMATED else None


def _themed(svg: str, title: str) -> str:
    """The picture as an element that scales, with the page's font and colours."""
    body = svg[svg.index("<svg") :]
    width, height = re.findall(r'(?:width|height)="([\d.]+)pt"', body)[:2]
    opening = f'<svg role="img" aria-label="{_attribute(title)}" viewBox="0 0 {width} {height}">'
    body = re.sub(r"<svg.*?>", lambda _: opening, body, count=1, flags=re.DOTALL)
    # A style in an element of the page would hold for all of the page.
    body = re.sub(r"<(metadata|style).*?</\1>", "", body, flags=re.DOTALL)
    body = body.replace("xlink:href", "href")
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, f"var({variable}, {colour})")
    return re.sub(r"font-family: [^;\"]*", "font-family: system-ui, sans-serif", body)


def _attribute(text: str) -> str:
    for sign, name in (("&", "amp"), ("<", "lt"), (">", "gt"), ('"', "quot")):
        text = text.replace(sign, f"&{name};")
    return text


def _literal(text: str) -> str:
    """The text as matplotlib shows it unchanged, not as mathematics."""
    return text.replace("$", r"\$")
