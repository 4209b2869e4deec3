"""Plots: colours, bands, axes and what captions say."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image

from reports import section, table
from rl_sim_env.evaluation import robustness
from rl_sim_env.evaluation.plots import STYLES, caption, draw
from rl_sim_env.evaluation.report import Plot, Series


def plot(name: str, *series: Series, y_label: str = "share [%]") -> Plot:
    return Plot(name=name, title="Title", x_label="time [s]", y_label=y_label, series=series)


def line(label: str, *y: float, spread: float = 0.0) -> Series:
    x = tuple(map(float, range(len(y))))
    return Series(label=label, x=x, y=y, spread=(spread,) * len(y) if spread else ())


def heights(path: str) -> list[float]:
    """Vertical coordinates of a path of the picture, from above."""
    return [float(y) for _, y in re.findall(r"[ML] ([-\d.]+) ([-\d.]+)", path)]


def test_a_band_of_shares_ends_where_all_survive():
    svg = draw(plot("survival", line("all robots", 100.0, 100.0, 98.0, spread=5.0))).svg
    (drawn,) = re.findall(r'<path d="([^"]*)"[^>]*stroke-width: 2.2', svg)
    ((band, offset),) = re.findall(
        r'id="FillBetween\w*">\s*<defs>\s*<path id="\w+" d="([^"]*)".*?<use [^>]*y="([\d.]+)"',
        svg,
        re.DOTALL,
    )
    assert float(offset) + min(heights(band)) == pytest.approx(min(heights(drawn)))
    assert float(offset) + max(heights(band)) > max(heights(drawn))


def test_truth_and_estimate_have_their_colours_everywhere():
    step = draw(plot("load_step", line("truth", 0.0, 6.0), line("estimate", 0.5, 5.5))).svg
    others = draw(plot("pushes", line("flat", 99.0, 90.0), line("slopes", 98.0, 80.0))).svg
    errors = draw(plot("calibration_mass", line("mass", 0.1, 0.9), line("truth", 0.0, 1.0))).svg
    assert "var(--estimate" in step and "var(--estimate" in errors
    assert "var(--estimate" not in others


def test_calibration_shows_errors_with_a_panel_for_each_quantity():
    lines = (line("velocity x", 0.1, 0.9), line("velocity y", 0.0, 1.1), line("truth", 0.0, 1.0))
    svg = draw(plot("calibration_velocity", *lines, y_label="estimated velocity [m/s]")).svg
    assert len(re.findall('<g id="axes_', svg)) == 2
    assert "true velocity x" in svg and "error [" in svg and ">truth [s]" in svg


def test_the_axis_begins_where_the_caption_says():
    of = plot("survival", line("all robots", 100.0, 97.2))
    words = caption(
        of, section("survival", table("Survivors of 60 s", ("survivors",), {"a": (9.0,)}))
    )
    assert "The vertical axis begins at 97, not at 0." in words
    assert "2 seeds of 8 robots" in words
    assert ">97.0<" in draw(of).svg
    from_zero = caption(plot("survival", line("all robots", 100.0, 0.0)), section("survival"))
    assert "axis" not in from_zero


def test_limits_are_those_of_the_protocols():
    assert STYLES["pushes"].limit == 100.0 * robustness.PUSH_SURVIVAL
    assert STYLES["load_limit"].limit == 100.0 * robustness.LOAD_SURVIVAL
    assert STYLES["boom_limit"].limit == 100.0 * robustness.LOAD_SURVIVAL
    assert ">90 %<" in draw(plot("pushes", line("flat", 99.0, 80.0))).svg


def test_pictures_have_the_lines_and_text_of_others_is_no_markup():
    drawing = draw(plot("any", line("<b>a</b> $x$", 1.0, 2.0), line("b", 2.0, 1.0), y_label="y"))
    assert "<b>" not in drawing.svg and "$x$" in drawing.svg
    picture = Image.open(io.BytesIO(drawing.png)).convert("RGB")
    seen = {tuple(colour) for colour in np.asarray(picture).reshape(-1, 3)}
    assert {(0xE6, 0x9F, 0x00), (0x00, 0x9E, 0x73)} <= seen


def test_a_legend_of_long_labels_takes_more_lines_and_stays_on_the_picture():
    short, long = (
        [line(f"{label} {number}", 100.0, 90.0 - number) for number in range(5)]
        for label in ("line", "a label as long as few are")
    )
    heights = []
    for lines in (short, long):
        picture = Image.open(io.BytesIO(draw(plot("pushes", *lines)).png)).convert("L")
        pixels = np.asarray(picture)
        assert (pixels[:, -4:] == 255).all(), "nothing reaches the right edge"
        heights.append(len(pixels))
    assert heights[0] < heights[1]


def test_lines_of_nothing_can_be_drawn():
    empty = Series(label="nothing", x=(), y=())
    gap = line("gap", float("nan"), float("nan"))
    for of in (plot("any", empty), plot("any", gap), plot("calibration_any", empty), plot("any")):
        assert draw(of).svg.startswith("<svg") and caption(of, section("any"))
