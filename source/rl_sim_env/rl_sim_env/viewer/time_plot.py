"""Truth and estimate of one number over the last seconds, as a picture in the page.

Charts of viser's own come out empty where their tab is opened after they were made.
"""

from __future__ import annotations

import math

import numpy as np

from rl_sim_env.viewer.view import ESTIMATE_COLOR, TRUTH_COLOR

WIDTH, HEIGHT = 360, 150
"""Of the picture [pixels]; it is as wide as its column, and scales with it."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 12, 20, 30
_TICKS = 5
_TEXT = "font-size='11' fill='currentColor'"
_LINE = "stroke='currentColor' stroke-opacity='.18'"


def time_plot(
    title: str,
    shown_range: tuple[float, float],
    seconds: float,
    *,
    ages: np.ndarray,
    true: np.ndarray,
    estimated: np.ndarray,
    reach: np.ndarray,
    begun: np.ndarray,
) -> str:
    """Draw it, on a scale that does not follow the values.

    Args:
        title: What is plotted, with its unit.
        shown_range: Ends of the scale; what is beyond stays at its edge.
        seconds: How far it reaches back [s].
        ages: When, 0 is now [s]. Shape (n,), as what follows.
        true: What is true.
        estimated: What is believed.
        reach: Half the 95 % interval of that.
        begun: When episodes began [s]. Shape (any,).

    Returns:
        An SVG element.
    """
    low, high = shown_range
    inner_width, inner_height = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM

    def x(age: np.ndarray | float) -> np.ndarray:
        return _LEFT + inner_width * (1.0 + np.asarray(age) / seconds)

    def y(value: np.ndarray | float) -> np.ndarray:
        return _TOP + inner_height * (1.0 - (np.clip(value, low, high) - low) / (high - low))

    def path(at: np.ndarray, values: np.ndarray) -> str:
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x(at), y(values), strict=True))

    parts = [f"<text x='{_LEFT}' y='13' {_TEXT} font-weight='600'>{title}</text>"]
    for tick in ticks(low, high):
        place = float(y(tick))
        parts.append(f"<path d='M{_LEFT} {place:.1f}H{WIDTH - _RIGHT}' {_LINE}/>")
        parts.append(
            f"<text x='{_LEFT - 4}' y='{place + 4:.1f}' {_TEXT} text-anchor='end'>{tick:g}</text>"
        )
    for age in ticks(-seconds, 0.0):
        place = float(x(age))
        parts.append(f"<path d='M{place:.1f} {_TOP}V{HEIGHT - _BOTTOM}' {_LINE}/>")
        parts.append(
            f"<text x='{place:.1f}' y='{HEIGHT - _BOTTOM + 13}' {_TEXT} text-anchor='middle'>"
            f"{age:g}</text>"
        )
    middle = _LEFT + 0.5 * inner_width
    parts.append(
        f"<text x='{middle}' y='{HEIGHT - 3}' {_TEXT} text-anchor='middle'>time [s]</text>"
    )
    parts.extend(
        f"<path class='begun' d='M{float(x(age)):.1f} {_TOP}V{HEIGHT - _BOTTOM}' "
        "stroke='currentColor' stroke-dasharray='3 3'/>"
        for age in begun
    )
    band = f"{path(ages, estimated + reach)} {path(ages[::-1], (estimated - reach)[::-1])}"
    parts.append(f"<polygon points='{band}' fill='{ESTIMATE_COLOR}' fill-opacity='.16'/>")
    for values, color in ((true, TRUTH_COLOR), (estimated, ESTIMATE_COLOR)):
        parts.append(
            f"<polyline points='{path(ages, values)}' fill='none' stroke='{color}' "
            "stroke-width='1.8'/>"
        )
    return (
        f"<svg class='time-plot' viewBox='0 0 {WIDTH} {HEIGHT}' "
        f"style='width:100%;display:block'>{''.join(parts)}</svg>"
    )


def ticks(low: float, high: float) -> list[float]:
    """Round numbers from one end of a scale to the other, some five of them."""
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * each for each in (1.0, 2.0, 5.0, 10.0) if power * each >= rough)
    # The sum has no negative zero.
    return [step * k + 0.0 for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
