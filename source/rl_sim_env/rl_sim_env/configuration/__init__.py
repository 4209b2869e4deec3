"""Configurations as data: to plain values, back onto fresh ones, and settings by path."""

from rl_sim_env.configuration.plain import NOTHING, name_of, plain_at, to_plain, unequal
from rl_sim_env.configuration.restoring import Restored, restore
from rl_sim_env.configuration.settings import (
    AGENT,
    ENV,
    AppliedSetting,
    apply_settings,
    blamed_on,
    settings_for,
)
from rl_sim_env.configuration.upgrading import in_todays_form, with_todays_names

__all__ = [
    "AGENT",
    "ENV",
    "NOTHING",
    "AppliedSetting",
    "Restored",
    "apply_settings",
    "blamed_on",
    "in_todays_form",
    "name_of",
    "plain_at",
    "restore",
    "settings_for",
    "to_plain",
    "unequal",
    "with_todays_names",
]
