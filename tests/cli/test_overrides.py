"""Settings of the command line: what they reach, what they refuse."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pytest

from rl_sim_env.cli.overrides import apply_overrides
from rl_sim_env.errors import UserError


@dataclass
class Inner:
    rate: float = 0.5
    widths: tuple[int, ...] = (8, 4)
    limit: float | None = None


@dataclass
class Outer:
    name: str = "walk"
    steps: int = 3
    noisy: bool = True
    gait: Literal["walk", "trot"] = "walk"
    inner: Inner = field(default_factory=Inner)
    table: dict[str, Inner] = field(default_factory=lambda: {"left": Inner()})


@dataclass(frozen=True)
class Description:
    weight: float = 3.0
    parts: dict[str, Inner] = field(default_factory=lambda: {"leg": Inner()})


DESCRIPTION = Description()
"""The same for all configurations."""


@dataclass
class Described(Outer):
    robot: Description = DESCRIPTION


def refusal(text: str) -> str:
    with pytest.raises(UserError) as caught:
        apply_overrides([text], {"agent": Outer()})
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("agent.steps=7", 7),
        ("agent.name=trot", "trot"),
        ("agent.noisy=false", False),
    ],
)
def test_value_takes_the_kind_of_the_field(text, value):
    cfg = Outer()
    apply_overrides([text], {"agent": cfg})
    assert getattr(cfg, text.split(".")[1].split("=")[0]) == value


def test_path_goes_through_fields_and_keys():
    cfg = Outer()
    apply_overrides(["agent.table.left.rate=2", "agent.inner.limit=1.5"], {"agent": cfg})
    assert cfg.table["left"].rate == 2.0
    assert isinstance(cfg.table["left"].rate, float)
    assert cfg.inner.limit == 1.5
    assert cfg.inner.rate == 0.5


def test_list_becomes_a_tuple():
    cfg = Outer()
    apply_overrides(["agent.inner.widths=[16, 8]"], {"agent": cfg})
    assert cfg.inner.widths == (16, 8)


def test_misspelled_field_is_answered_with_the_nearest():
    message = refusal("agent.inner.ratte=1.0")
    assert "agent.inner.ratte" in message
    assert "did you mean rate" in message


def test_unknown_root_is_answered_with_what_there_is():
    assert "there are agent" in refusal("scene.x=1")


@pytest.mark.parametrize(
    "text", ["agent.robot.weight=4", "agent.robot.parts.leg.rate=1", "agent.robot.parts.leg=1"]
)
def test_a_description_that_all_share_is_changed_by_no_setting(text):
    cfg = Described()
    with pytest.raises(UserError, match=r"no setting changes what is in 'agent.robot'"):
        apply_overrides([text], {"agent": cfg})
    assert Description() == DESCRIPTION


def test_path_does_not_go_through_a_number():
    assert "agent.steps.x" in refusal("agent.steps.x=1")


def test_value_of_another_kind_is_refused():
    assert "expected int like 3" in refusal("agent.steps=many")


def test_value_that_is_no_choice_is_answered_with_the_choices():
    assert "choose one of 'walk', 'trot'" in refusal("agent.gait=fly")
    cfg = Outer()
    apply_overrides(["agent.gait=trot"], {"agent": cfg})
    assert cfg.gait == "trot"


def test_setting_without_value_is_refused():
    assert "no '='" in refusal("agent.steps")


def test_nothing_is_changed_by_a_refused_setting():
    cfg = Outer()
    with pytest.raises(UserError):
        apply_overrides(["agent.steps=many"], {"agent": cfg})
    assert cfg == Outer()
