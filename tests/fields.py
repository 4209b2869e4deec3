"""All fields of a configuration, and nonsense for them."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any

from rl_sim_env.configuration.plain import field_names, is_data, is_dataclass, item_names


def leaves(part: Any, path: str) -> list[tuple[str, Any]]:
    """Paths of all fields that hold data, and what they hold."""
    if is_dataclass(part):
        named = {name: getattr(part, name) for name in field_names(part)}
    elif isinstance(part, dict) and not (part and is_data(part)):
        named = part
    elif isinstance(part, tuple) and not is_data(part):
        named = dict(zip(item_names(part), part, strict=True))
    else:
        return [(path, part)]
    return [leaf for name, of in named.items() for leaf in leaves(of, f"{path}.{name}")]


def nonsense(value: Any) -> list[str]:
    """Values of the kind that a field holds, as they are written, none of which is meant well."""
    if isinstance(value, bool):
        return [str(not value)]
    if isinstance(value, Enum) or not is_data(value):
        return ["nonsense"]
    if isinstance(value, float):
        return ["1e999", "-1e999", "-1", "0", "1e10", "None"]
    if isinstance(value, int):
        return ["0", "-1", "None"]
    if isinstance(value, (str, Path)):
        return ["nonsense", "", "../..", "None"]
    if isinstance(value, dict):
        return ["{}", "None", "{'nonsense': 1.0}", repr(dict.fromkeys(value, -1.0))]
    if isinstance(value, (tuple, list)):
        return [
            *("()", "None", "('nonsense',)", repr((*reversed(value),))),
            *(f"({','.join([item] * len(value))},)" for item in ("-1", "0", "1e999")),
        ]
    return ["-1", "0", "1e999", "nonsense"]
