"""Names that moved: older files keep speaking of the classes and functions of today."""

from __future__ import annotations

import copy
from functools import reduce
from importlib import import_module

import pytest

from grq20 import amp_vae_env_cfg
from rl_sim_env.configuration import in_todays_form, name_of, to_plain, with_todays_names
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


def test_policies_of_before_had_ideal_sensors_and_saw_what_drives_now_report():
    of_today = amp_vae_env_cfg()
    of_today.sensors = "hardware"
    cfg = to_plain(of_today)
    reported = cfg["observations"]["actor_obs"]["terms"]["joint_torques"]["func"]
    saved = copy.deepcopy(cfg)
    del saved["sensors"], saved["hardware_sensors"]
    saved["observations"]["actor_obs"]["terms"]["joint_torques"]["func"] = (
        "rl_sim_env.mdp.observations:joint_torques"
    )
    upgraded = in_todays_form(saved, None)
    assert upgraded["sensors"] == "ideal"
    assert upgraded["observations"]["actor_obs"]["terms"]["joint_torques"]["func"] == reported
    assert in_todays_form(cfg, None)["sensors"] == "hardware"


def test_maps_of_before_were_not_kept():
    saved = {"scene": {"sensors": {"exteroception": {"rate": 10.0}}}}
    assert in_todays_form(saved, None)["scene"]["sensors"]["exteroception"]["keep"] == 0.0
    saved["scene"]["sensors"]["exteroception"]["keep"] = 5.0
    assert in_todays_form(saved, None)["scene"]["sensors"]["exteroception"]["keep"] == 5.0
    assert "sensors" not in in_todays_form({"scene": {}}, None)["scene"]
