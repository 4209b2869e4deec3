"""Settings of the command line: what they reach, what they refuse."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from fields import leaves
from rl_sim_env.configuration import apply_settings, settings_for, to_plain
from rl_sim_env.configuration.plain import is_data
from rl_sim_env.errors import UserError
from rl_sim_env.tasks import find_task, make_env_cfg

if TYPE_CHECKING:
    from somewhere import Unknown


FAMILY = "Rl-Sim-Env-AmpVae-Grq20-V2d3"


class Colour(Enum):
    RED = 1
    BLUE = 2


@dataclass(frozen=True)
class Part:
    name: str
    gain: float = 1.0


@dataclass
class Term:
    func: Any
    weight: float
    params: dict[str, Any] = field(default_factory=dict)


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
    parts: tuple[Part, ...] = (Part(name="a"), Part(name="b"))
    nameless: tuple[Inner, ...] = (Inner(), Inner())
    scale: float | tuple[float, ...] | dict[str, float] = 0.35
    span: tuple[float, float] = (0.0, 1.0)
    noise: Inner | None = None
    colour: Colour = Colour.RED
    file: Path = Path("a")
    unknown: Unknown | float = 0.5
    terms: dict[str, Term] = field(
        default_factory=lambda: {
            "slide": Term(func=len, weight=-0.1, params={"limit": 1.0, "range": (0.0, 6.0)})
        }
    )


def changed(*texts: str) -> Outer:
    cfg = Outer()
    apply_settings(texts, "agent", cfg)
    return cfg


def refusal(text: str) -> str:
    with pytest.raises(UserError) as caught:
        apply_settings([text], "agent", Outer())
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
    apply_settings([text], "agent", cfg)
    assert getattr(cfg, text.split(".")[1].split("=")[0]) == value


def test_path_goes_through_fields_and_keys():
    cfg = Outer()
    apply_settings(["agent.table.left.rate=2", "agent.inner.limit=1.5"], "agent", cfg)
    assert cfg.table["left"].rate == 2.0
    assert isinstance(cfg.table["left"].rate, float)
    assert cfg.inner.limit == 1.5
    assert cfg.inner.rate == 0.5


def test_list_becomes_a_tuple():
    cfg = Outer()
    apply_settings(["agent.inner.widths=[16, 8]"], "agent", cfg)
    assert cfg.inner.widths == (16, 8)


def test_misspelled_field_is_answered_with_the_nearest():
    message = refusal("agent.inner.ratte=1.0")
    assert "agent.inner.ratte" in message
    assert "did you mean rate" in message


def test_unknown_root_is_answered_with_what_there_is():
    with pytest.raises(UserError, match="'scene' does not exist; there are env, agent"):
        settings_for("env", ["env.x=1", "scene.x=1"], ("env", "agent"))


def test_settings_are_told_apart_by_their_root():
    texts = ["env.x=1", "agent.y=2", "env.z=3"]
    assert settings_for("env", texts, ("env", "agent")) == ["env.x=1", "env.z=3"]


@pytest.mark.parametrize("item", ("b", "1"))
def test_path_goes_through_items_of_a_tuple_by_name_or_place(item):
    cfg = changed(f"agent.parts.{item}.gain=2")
    assert cfg.parts == (Part(name="a"), Part(name="b", gain=2.0))


def test_items_without_names_go_by_their_places():
    assert changed("agent.nameless.1.rate=2").nameless == (Inner(), Inner(rate=2.0))
    assert changed("agent.inner.widths.0=16").inner.widths == (16, 4)
    assert "there are a, b" in refusal("agent.parts.unheard=1")


def test_what_shares_a_part_keeps_it():
    shared = Inner()
    cfg = Outer(nameless=(shared, shared))
    apply_settings(["agent.nameless.0.rate=2"], "agent", cfg)
    assert [of.rate for of in cfg.nameless] == [2.0, 0.5]


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("agent.scale=[1, 2]", "scale", (1.0, 2.0)),
        ("agent.scale={'.*_hip': 1}", "scale", {".*_hip": 1.0}),
        ("agent.span=(1, 2)", "span", (1.0, 2.0)),
        ("agent.colour=BLUE", "colour", Colour.BLUE),
        ("agent.file=b/c", "file", Path("b/c")),
        ("agent.name=5", "name", "5"),
        ("agent.name='a b'", "name", "a b"),
        ("agent.unknown=2", "unknown", 2.0),
    ],
)
def test_value_becomes_what_the_field_is_declared_to_hold(text, field, value):
    found = getattr(changed(text), field)
    assert found == value and type(found) is type(value)


def test_argument_of_a_term_keeps_its_kind():
    cfg = changed("agent.terms.slide.params.limit=3", "agent.terms.slide.params.range=[1, 2]")
    assert cfg.terms["slide"].params == {"limit": 3.0, "range": (1.0, 2.0)}
    assert isinstance(cfg.terms["slide"].params["limit"], float)
    assert "expected 2 numbers" in refusal("agent.terms.slide.params.range=[1, 2, 3]")


def test_term_may_be_switched_off():
    assert changed("agent.terms.slide=None").terms == {"slide": None}


def test_value_for_something_with_parts_is_answered_with_what_to_write():
    assert "write agent.terms.slide.weight=-0.2" in refusal("agent.terms.slide=-0.2")
    assert "set one of them: rate, widths, limit" in refusal("agent.inner=walk")


def test_function_cannot_be_set():
    assert "only code can change it" in refusal("agent.terms.slide.func=abs")


def test_part_that_only_code_can_make_cannot_be_set():
    assert "expected Inner | None like None" in refusal("agent.noise=0.1").replace(
        f"{__name__}.", ""
    )


def test_field_that_something_else_decides_is_answered_with_that():
    with pytest.raises(UserError, match="give --steps"):
        apply_settings(["x.steps=4"], "x", Outer(), refused={"steps": "give --steps"})


def test_what_was_changed_is_told():
    (applied,) = apply_settings(["agent.span=(1, 2)"], "agent", Outer())
    assert (applied.path, applied.before, applied.now) == ("span", [0.0, 1.0], [1.0, 2.0])


def test_path_does_not_go_through_a_number():
    assert "agent.steps.x" in refusal("agent.steps.x=1")


def test_value_of_another_kind_is_refused():
    assert "expected int like 3" in refusal("agent.steps=many")


def test_value_that_is_no_choice_is_answered_with_the_choices():
    assert "choose one of 'walk', 'trot'" in refusal("agent.gait=fly")
    cfg = Outer()
    apply_settings(["agent.gait=trot"], "agent", cfg)
    assert cfg.gait == "trot"


def test_setting_without_value_is_refused():
    assert "no '='" in refusal("agent.steps")


def test_nothing_is_changed_by_a_refused_setting():
    cfg = Outer()
    with pytest.raises(UserError):
        apply_settings(["agent.steps=many"], "agent", cfg)
    assert cfg == Outer()


def as_text(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    return value.name if isinstance(value, Enum) else repr(value) if is_data(value) else "x"


@pytest.mark.parametrize("task", (f"{FAMILY}-v0", f"{FAMILY}-Flat-Play-v0"))
def test_every_field_of_a_task_is_reached_or_refused_with_the_reason(task):
    cfg, agent = make_env_cfg(task), find_task(task).runner_cfg()
    # Files: text, not a literal.
    cfg.events.pop("motion", None)
    found = [*leaves(cfg, "env"), *leaves(agent, "agent")]
    assert len(found) > 300
    before = to_plain(cfg)
    for path, value in found:
        setting, root = f"{path}={as_text(value)}", path.split(".")[0]
        if is_data(value):
            apply_settings([setting], root, cfg if root == "env" else agent)
        else:
            with pytest.raises(UserError, match="only code can change it"):
                apply_settings([setting], root, cfg)
    assert to_plain(cfg) == before
