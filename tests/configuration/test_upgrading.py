"""Names that moved: older files keep speaking of the classes and functions of today."""

from __future__ import annotations

from functools import reduce
from importlib import import_module

import pytest

from rl_sim_env.configuration import name_of, with_todays_names
from rl_sim_env.configuration.upgrading import MOVED_NAMES


@pytest.mark.parametrize("name", sorted({*MOVED_NAMES.values()}))
def test_what_stands_in_the_place_of_a_name_exists_and_is_called_so(name):
    module, _, qualified = name.partition(":")
    found = reduce(getattr, qualified.split("."), import_module(module))
    assert name_of(found) == name
    assert with_todays_names(name) == name, "it moved on: its own line says where to"


def test_names_are_of_today_wherever_they_stand_and_all_else_is_as_it_was():
    (before, now), *_ = MOVED_NAMES.items()
    saved = {"class": before, "parts": [{"func": before}, "no.such:thing", 1.5, None]}
    expected = {"class": now, "parts": [{"func": now}, "no.such:thing", 1.5, None]}
    assert with_todays_names(saved) == expected
    assert saved["class"] == before, "the saved values are the caller's"
