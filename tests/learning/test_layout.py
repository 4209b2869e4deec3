from __future__ import annotations

import json

import pytest
import torch
from toy_env import toy_layout

from rl_sim_env.learning.layout import GroupLayout, LayoutError, ObservationLayout, TermLayout


def _layout(*names: str, history: int = 1) -> ObservationLayout:
    widths = {"lin_vel": 3, "mass": 1, "command": 2}
    scales = {"lin_vel": 2.0, "mass": 0.2, "command": (2.0, 0.35)}
    terms = tuple(TermLayout(name=n, width=widths[n], scale=scales[n]) for n in names)
    return ObservationLayout(groups={"obs": GroupLayout(terms=terms, history=history)})


def test_slices_follow_the_order_of_terms() -> None:
    layout = _layout("lin_vel", "mass", "command")
    assert layout.width("obs") == 6
    assert layout.slice("obs", "mass") == slice(3, 4)
    assert _layout("mass", "command", "lin_vel").slice("obs", "mass") == slice(0, 1)


def test_slice_of_stacked_frames_is_in_the_newest_frame() -> None:
    layout = _layout("mass", "command", history=3)
    assert layout.width("obs") == 9
    assert layout.slice("obs", "command") == slice(7, 9)


def test_gather_finds_the_same_values_in_any_order_of_terms() -> None:
    values = {"lin_vel": torch.randn(5, 3), "mass": torch.randn(5, 1), "command": torch.randn(5, 2)}
    wanted = ("mass", "lin_vel")
    found = [
        _layout(*order).gather("obs", wanted, torch.cat([values[n] for n in order], dim=-1))
        for order in (("lin_vel", "mass", "command"), ("command", "lin_vel", "mass"))
    ]
    expected = torch.cat([values[name] for name in wanted], dim=-1)
    assert torch.equal(found[0], expected)
    assert torch.equal(found[1], expected)


def test_missing_term_is_named_with_its_group_and_the_terms_there_are() -> None:
    with pytest.raises(LayoutError, match=r"'obs' has no term 'weight'.*lin_vel, mass"):
        _layout("lin_vel", "mass").slice("obs", "weight")


def test_missing_group_is_named_with_the_groups_there_are() -> None:
    with pytest.raises(LayoutError, match=r"no observation group 'critic'; there are obs"):
        _layout("mass").width("critic")


def test_scales_must_fit_the_width() -> None:
    with pytest.raises(LayoutError, match="'command' has 3 elements but 2 scales"):
        TermLayout(name="command", width=3, scale=(1.0, 2.0))


def test_survives_json_and_tells_differences() -> None:
    layout = toy_layout()
    assert ObservationLayout.from_dict(json.loads(json.dumps(layout.to_dict()))) == layout
    assert _layout("mass", "command") != _layout("command", "mass")
    assert _layout("mass") != _layout("mass", history=2)


def test_malformed_layout_is_refused() -> None:
    with pytest.raises(LayoutError, match="not an observation layout"):
        ObservationLayout.from_dict({"obs": {"terms": [{"name": "mass"}], "history": 1}})


def test_diff_marks_what_differs_within_80_columns() -> None:
    text = _layout("lin_vel", "mass").diff(_layout("lin_vel"))
    marked = [line for line in text.splitlines() if line.startswith("!")]
    assert len(marked) == 2  # the group's width, and the term that only one side has
    assert "obs: 4" in marked[0]
    assert "obs: 3" in marked[0]
    assert "mass" in marked[1]
    assert all(len(line) <= 80 for line in text.splitlines())
