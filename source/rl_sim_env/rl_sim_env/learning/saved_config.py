"""Configurations of training as files hold them: plain values, read as what the fields declare."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from rl_sim_env.errors import UserError, found_in
from rl_sim_env.learning.config import AmpVaeRunnerCfg
from rl_sim_env.typed import typed

Cfg = TypeVar("Cfg")
_logger = logging.getLogger(__name__)


def runner_cfg_from_dict(values: Mapping[str, Any], source: str) -> AmpVaeRunnerCfg:
    """Rebuild a configuration from plain values, as a checkpoint holds them.

    Settings that are newer than the checkpoint take their defaults; a warning names them.

    Args:
        values: Dictionaries, lists, strings, numbers and None.
        source: Where the values came from, for the messages.

    Raises:
        UserError: There are settings that this version does not know, or values that no field has.
    """
    cfg = _from_dict(AmpVaeRunnerCfg, values, source, "agent")
    with found_in(source):
        cfg.check()
    return cfg


def _from_dict(kind: type[Cfg], values: Any, where: str, path: str) -> Cfg:
    values = typed(values, dict[str, Any], f"{where}: {path}")
    names = {each.name for each in fields(kind)}  # pyright: ignore[reportArgumentType]
    if unknown := values.keys() - names:
        raise UserError(
            f"{where}: made by another version of rl_sim_env: {kind.__name__} does not know "
            f"{', '.join(sorted(unknown))}; use the version that wrote it, or train anew"
        )
    if newer := names - values.keys():
        _logger.warning(
            "%s: written before %s had %s; taking the default",
            where,
            kind.__name__,
            ", ".join(sorted(newer)),
        )
    hints = get_type_hints(kind)
    return kind(
        **{
            name: _restored(hints[name], value, where, f"{path}.{name}")
            for name, value in values.items()
        }
    )


def _restored(kind: Any, value: Any, where: str, path: str) -> Any:
    if get_origin(kind) is dict and isinstance(value, Mapping):
        _, item = get_args(kind)
        return {
            name: _restored(item, each, where, f"{path}.{name}") for name, each in value.items()
        }
    for option in (kind, *get_args(kind)):
        if value is not None and is_dataclass(option) and isinstance(option, type):
            return _from_dict(option, value, where, path)
    return typed(value, kind, f"{where}: {path}")
