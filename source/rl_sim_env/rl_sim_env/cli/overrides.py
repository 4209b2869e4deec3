"""Settings given as ``env.path.to.field=value`` and ``agent.path.to.field=value``."""

from __future__ import annotations

import ast
import dataclasses
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args, get_origin

from rl_sim_env.errors import UserError, known_names


def apply_overrides(overrides: Iterable[str], roots: Mapping[str, Any]) -> None:
    """Change fields of configurations in place.

    A path goes through dataclass fields and dictionary keys. The value is read as a Python literal,
    or taken as text if it is none, and must be of the kind that the field holds.

    Args:
        overrides: Texts of the form ``root.path=value``.
        roots: Configurations by the name that the path starts with.

    Raises:
        UserError: The text is malformed, the path leads nowhere or through what is the same for
            all, such as a robot's description, or the value does not fit.
    """
    for text in overrides:
        path, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"setting '{text}' has no '='; write {'/'.join(roots)}.field=value")
        *parents, last = path.split(".")
        holder: Any = roots
        for depth, name in enumerate(parents):
            reached = ".".join(parents[: depth + 1])
            holder = _get(holder, name, reached, text)
            if getattr(getattr(type(holder), "__dataclass_params__", None), "frozen", False):
                raise UserError(
                    f"setting '{text}': no setting changes what is in '{reached}', a "
                    f"{type(holder).__name__}; describe another one in Python"
                )
        present = _get(holder, last, path, text)
        read = _read(value, present, text)
        choices = _choices(holder, last)
        if choices and read not in choices:
            raise UserError(f"setting '{text}': choose one of {', '.join(map(repr, choices))}")
        _set(holder, last, read)


def _names(holder: Any) -> list[str]:
    if isinstance(holder, Mapping):
        return [str(key) for key in holder]
    if dataclasses.is_dataclass(holder):
        return [field.name for field in dataclasses.fields(holder)]
    return []


def _choices(holder: Any, name: str) -> tuple[Any, ...]:
    """The values that a field declared as ``Literal`` may take; empty for other fields."""
    for kind in type(holder).__mro__ if dataclasses.is_dataclass(holder) else ():
        hint = vars(kind).get("__annotations__", {}).get(name)
        if isinstance(hint, str) and hint.startswith("Literal["):
            # This hint alone: others may name what only type checkers import.
            hint = eval(hint, vars(sys.modules[kind.__module__]))
        if get_origin(hint) is Literal:
            return get_args(hint)
    return ()


def _get(holder: Any, name: str, path: str, text: str) -> Any:
    names = _names(holder)
    if name not in names:
        raise UserError(f"setting '{text}': '{path}' does not exist; {known_names(name, names)}")
    return holder[name] if isinstance(holder, Mapping) else getattr(holder, name)


def _set(holder: Any, name: str, value: Any) -> None:
    if isinstance(holder, dict):
        holder[name] = value
    else:
        setattr(holder, name, value)


def _read(value: str, present: Any, text: str) -> Any:
    try:
        parsed: Any = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        parsed = {"true": True, "false": False, "null": None}.get(value.lower(), value)
    if isinstance(present, float) and isinstance(parsed, int) and not isinstance(parsed, bool):
        parsed = float(parsed)
    if isinstance(present, tuple) and isinstance(parsed, list):
        parsed = tuple(parsed)
    fits = present is None or parsed is None or isinstance(parsed, type(present))
    if not fits:
        raise UserError(
            f"setting '{text}': expected {type(present).__name__} like {present!r}, "
            f"got {type(parsed).__name__}"
        )
    return parsed
