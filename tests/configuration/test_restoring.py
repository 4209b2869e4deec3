"""Saved values back onto a fresh configuration: a merge of three; nothing of the file runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rl_sim_env.configuration import NOTHING, Restored, plain_at, restore, to_plain


class Mode(Enum):
    SLOW = 1
    FAST = 2


def slide(*_: Any) -> float:
    return 0.0


def slip(*_: Any) -> float:
    return 1.0


@dataclass
class Term:
    func: Any = slide
    weight: float = -0.1
    params: dict[str, Any] = field(default_factory=lambda: {"limit": 1.0, "file": Path("here")})


@dataclass(frozen=True)
class Drive:
    gain: float = 70.0


@dataclass(frozen=True)
class OtherDrive:
    gain: float = 70.0


@dataclass
class Sensor:
    name: str
    delay: float = 0.0


@dataclass
class Cfg:
    scale: float | dict[str, float] = 0.35
    span: tuple[float, float] = (0.0, 1.0)
    mode: Mode = Mode.SLOW
    robots: int = 4
    noise: Drive | None = field(default_factory=Drive)
    pose: dict[str, float] = field(default_factory=lambda: {"hip": 0.0})
    terms: dict[str, Term] = field(default_factory=lambda: {"slide": Term(), "slip": Term(slip)})
    drives: tuple[Any, ...] = field(default_factory=lambda: (Drive(), Drive(gain=1.0)))
    sensors: tuple[Sensor, ...] = field(default_factory=lambda: (Sensor("a"), Sensor("b")))
    load: Any = field(default_factory=lambda: partial(slide, 1))
    _cache: dict[str, Any] = field(default_factory=dict)


def restored(
    saved: Cfg | dict[str, Any], cfg: Cfg | None = None, default: Cfg | None = None
) -> tuple[Cfg, Restored]:
    """The configuration after a trip through plain values."""
    cfg = cfg or Cfg()
    plain = saved if isinstance(saved, dict) else to_plain(saved, classes=True)
    return cfg, restore(cfg, default or Cfg(), plain, left_out=("robots",))


def changed() -> Cfg:
    cfg = Cfg(scale=0.25, span=(1.0, 2.0), mode=Mode.FAST, robots=99, noise=None)
    cfg.pose["hip"] = 0.1
    cfg.terms["slide"].weight = -0.2
    cfg.terms["slide"].params |= {"limit": 3.0, "file": Path("elsewhere")}
    cfg.drives = (Drive(), Drive(gain=2.0))
    cfg.sensors[1].delay = 0.5
    return cfg


def test_every_value_comes_back_but_those_of_the_run():
    cfg, report = restored(changed())
    expected = changed()
    expected.robots = 4
    # Where files are belongs to the machine.
    expected.terms["slide"].params["file"] = Path("here")
    expected.load = cfg.load
    assert cfg == expected
    assert ("terms.slide.params.limit", 3.0, 1.0) in report.carried_over
    assert not report.changed


def test_what_differs_on_purpose_keeps_its_own_value():
    cfg = Cfg(span=(5.0, 6.0), noise=None)
    del cfg.terms["slide"]
    cfg.sensors = (*cfg.sensors, Sensor("own", delay=9.0))
    cfg, _ = restored(changed(), cfg)
    assert cfg.span == (5.0, 6.0)
    assert cfg.noise is None
    assert list(cfg.terms) == ["slip"]
    assert [of.delay for of in cfg.sensors] == [0.0, 0.5, 9.0]
    assert cfg.scale == 0.25


def test_value_that_has_another_shape_is_taken_as_a_whole():
    cfg, _ = restored(Cfg(scale={"hip": 0.1}, pose={"hip": 0.0, "knee": 1.0}))
    assert cfg.scale == {"hip": 0.1}
    assert cfg.pose == {"hip": 0.0, "knee": 1.0}


def test_what_is_gone_or_new_or_another_function_is_told_and_not_restored():
    saved = Cfg(drives=(OtherDrive(), Drive(gain=1.0)))
    saved.terms["slip"] = Term(slide)
    saved.terms["gone"] = Term(weight=3.0)
    plain = to_plain(saved, classes=True)
    del plain["span"], plain["terms"]["slide"]["params"]["limit"]
    plain["lost"] = 7
    cfg, report = restored(plain)
    assert cfg.terms["slip"].func is slip and "gone" not in cfg.terms
    told = {path: (then, now) for path, then, now in report.changed}
    here = __name__
    assert told["terms.slip.func"] == (f"{here}:slide", f"{here}:slip")
    assert told["drives.0.class"] == (f"{here}:OtherDrive", f"{here}:Drive")
    assert told["terms.gone"][0]["weight"] == 3.0 and told["terms.gone"][1] is NOTHING
    assert told["terms.slide.params.limit"] == (NOTHING, 1.0)
    assert told["span"] == (NOTHING, [0.0, 1.0])
    assert told["lost"] == (7, NOTHING)
    assert len(told) == 6


def test_nothing_of_a_file_becomes_code():
    plain = to_plain(Cfg(noise=None), classes=True)
    plain["noise"] = {"class": "os:system", "gain": 1.0}
    plain["mode"] = "EVIL"
    cfg, report = restored(plain, Cfg(noise=None), Cfg(noise=None))
    assert cfg == Cfg(noise=None, load=cfg.load)
    assert {path for path, *_ in report.changed} == {"noise", "mode"}


def test_file_without_names_of_classes_is_compared_by_values():
    plain = to_plain(changed())
    plain["load"] = "functools.partial(<function slide at 0x7f>, 1)"
    plain["_cache"] = {}
    cfg, report = restored(plain)
    assert cfg.scale == 0.25
    assert not report.changed


def test_fresh_configuration_is_not_tied_to_the_default():
    default = Cfg()
    cfg, _ = restored(changed(), default=default)
    cfg.terms["slip"].weight = 9.0
    assert default == Cfg(load=default.load)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("sensors.b.delay", 0.5),
        ("sensors.1.delay", 0.5),
        ("drives.1.gain", 2.0),
        ("terms.slide.weight", -0.2),
        ("noise", None),
        ("terms.none.weight", NOTHING),
    ],
)
def test_plain_values_are_found_by_path(path, value):
    found = plain_at(to_plain(changed()), path)
    assert found is value if value in (None, NOTHING) else found == value
