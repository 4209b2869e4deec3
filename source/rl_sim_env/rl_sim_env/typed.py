"""Plain values from files as what they are declared to be, or a word on the first that is not."""

from __future__ import annotations

import dataclasses
import reprlib
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from rl_sim_env.errors import UserError, known_names, misfit


def typed(value: Any, hint: Any, where: str) -> Any:
    """A plain value as its declared type has it.

    Lists become tuples and tables become dataclasses where they are declared so. What is declared
    as something else than data, such as a function, is taken as it is.

    Args:
        value: Dictionaries, lists, tuples, numbers, texts and None; parts may be dataclasses.
        hint: The declared type.
        where: What messages call the value.

    Raises:
        UserError: A part is of another type, or a dataclass lacks a field or does not know one; the
            message names it.
    """
    origin, items = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return typed(value, items[0], where)
    if origin in (Union, types.UnionType):
        return _one_of(value, items, hint, where)
    if origin is Literal:
        # Text alone: of other values, such as tensors, not all can be compared.
        if isinstance(value, str) and value in items:
            return value
        raise UserError(misfit(where, _told(value), f"one of {', '.join(items)}"))
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        if isinstance(value, Mapping):
            return _dataclass(value, hint, where)
        if not isinstance(value, hint):
            names = ", ".join(field.name for field in dataclasses.fields(hint))
            raise UserError(misfit(where, _told(value), f"a table of {names}"))
        return value
    kind = origin or hint
    if kind in (tuple, list, Sequence):
        if not isinstance(value, list | tuple):
            raise _misfit(value, hint, where)
        return _sequence(value, kind, items, hint, where)
    if kind in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise _misfit(value, hint, where)
        key, of = items or (Any, Any)
        return {
            typed(name, key, where): typed(item, of, f"{where}.{name}")
            for name, item in value.items()
        }
    if not _is_of(value, kind):
        raise _misfit(value, hint, where)
    return value


def is_of(value: Any, hint: Any) -> bool:
    """Whether a value is of a declared type; see :func:`typed`."""
    try:
        typed(value, hint, "")
    except UserError:
        return False
    return True


def _is_of(value: Any, kind: Any) -> bool:
    """Whether a value is of a class, as far as that is one of numbers, texts and None."""
    if kind in (float, int):
        return isinstance(value, (int, kind)) and not isinstance(value, bool)
    if kind is type(None):
        return value is None
    return kind not in (str, bool, Path) or isinstance(value, kind)


def _one_of(value: Any, choices: Sequence[Any], hint: Any, where: str) -> Any:
    if value is None and type(None) in choices:
        return None
    rest = [choice for choice in choices if choice is not type(None)]
    if len(rest) == 1:
        # Its own complaint says more than that nothing fits.
        return typed(value, rest[0], where)
    for choice in rest:
        if is_of(value, choice):
            return typed(value, choice, where)
    raise _misfit(value, hint, where)


def _sequence(
    value: Sequence[Any], kind: Any, items: Sequence[Any], hint: Any, where: str
) -> Sequence[Any]:
    hints = list(items or (Any,))
    if kind is not tuple or hints[-1:] == [...] or not items:
        hints = [hints[0]] * len(value)
    if len(hints) != len(value):
        raise _misfit(value, hint, where)
    fitted = [
        typed(item, of, f"{where}.{place}")
        for place, (item, of) in enumerate(zip(value, hints, strict=True))
    ]
    return fitted if kind is list else tuple(fitted)


def _dataclass(value: Mapping[Any, Any], kind: Any, where: str) -> Any:
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name in value:
        if name not in fields:
            raise UserError(f"{where}: '{name}' is unknown; {known_names(str(name), fields)}")
    for name, field in fields.items():
        optional = (field.default, field.default_factory) != (dataclasses.MISSING,) * 2
        if name not in value and not optional:
            raise UserError(f"{where}: '{name}' is missing")
    return kind(**{name: typed(of, hints[name], f"{where}.{name}") for name, of in value.items()})


def _misfit(value: Any, hint: Any, where: str) -> UserError:
    wanted = hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)
    wanted = wanted.replace("typing.", "").replace("collections.abc.", "")
    return UserError(misfit(where, _told(value), f"of type {wanted}"))


def _told(value: Any) -> str:
    return " ".join(reprlib.repr(value).split())
