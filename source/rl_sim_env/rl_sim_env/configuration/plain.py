"""Configurations as plain values: what a file may hold, since nothing in it can run."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

CLASS = "class"
"""Key under which :func:`to_plain` keeps the name of a dataclass; no field can have this name."""

_INSTALLED_IN = Path(__file__).parents[2]


class _Nothing:
    def __repr__(self) -> str:
        return "nothing"


NOTHING: Any = _Nothing()
"""What :func:`plain_at` finds where there is nothing; None is a value."""


def to_plain(value: Any, *, classes: bool = False) -> Any:
    """Return a configuration as dictionaries, lists, strings, numbers and None.

    Callables become their qualified names, partial functions that of the function; objects without
    a plain form become their description. Files of installed packages are named from the package's
    folder on, the same on all machines. Private fields are left out.

    Args:
        value: The configuration.
        classes: Whether each dataclass also tells its name, under :data:`CLASS`.
    """
    if isinstance(value, Enum):
        return value.name
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Path):
        return _portable(value)
    if is_dataclass(value):
        plain = {
            name: to_plain(getattr(value, name), classes=classes) for name in field_names(value)
        }
        return {CLASS: name_of(type(value)), **plain} if classes else plain
    if isinstance(value, Mapping):
        return {str(key): to_plain(item, classes=classes) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_plain(item, classes=classes) for item in value]
    if hasattr(value, "tolist"):
        # Arrays and tensors, without importing what they are of.
        return value.tolist()
    return name_of(value) if callable(value) else str(value)


def _portable(path: Path) -> str:
    """A file of an installed package from the package's folder on; any other as it is."""
    innermost_first = sorted(map(Path, sys.path), key=lambda of: len(of.parts), reverse=True)
    for folder in (_INSTALLED_IN, *innermost_first):
        if path.is_absolute() and folder.is_absolute() and path.is_relative_to(folder):
            return str(path.relative_to(folder))
    return str(path)


def name_of(function: Any) -> str:
    """Qualified name, ``module:name``, of a class or function, or of what stands in for one."""
    if isinstance(function, partial):
        return name_of(function.func)
    if not hasattr(function, "__qualname__"):
        function = type(function)
    return f"{function.__module__}:{function.__qualname__}"


def is_dataclass(value: Any) -> bool:
    """Whether a value is an instance of a dataclass."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def field_names(value: Any) -> tuple[str, ...]:
    """Names of a dataclass' fields; private ones are caches and no part of a configuration."""
    return tuple(of.name for of in dataclasses.fields(value) if not of.name.startswith("_"))


def is_data(value: Any) -> bool:
    """Whether a value is numbers, texts and containers of them, so that a file can replace it."""
    if is_dataclass(value) or (callable(value) and not isinstance(value, Enum)):
        return False
    if isinstance(value, Mapping):
        return all(map(is_data, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(is_data, value))
    return True


def item_names(items: Sequence[Any]) -> list[str]:
    """What the items of a sequence are called in a path: their own names, else their places."""
    names = [
        of.get("name") if isinstance(of, Mapping) else getattr(of, "name", None) for of in items
    ]
    told = [name for name in names if isinstance(name, str) and name]
    if len({*told}) == len(items):
        return told
    return [str(place) for place in range(len(items))]


def plain_at(plain: Any, path: str) -> Any:
    """What plain values hold at a path through keys and through names or places of items.

    Args:
        plain: What :func:`to_plain` returned.
        path: Names with dots between them.

    Returns:
        The value, or :data:`NOTHING` where the path leads nowhere.
    """
    for name in path.split("."):
        plain = next((item for names, item in _items(plain) if name in names), NOTHING)
    return plain


def unequal(one: Any, other: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where plain values differ.

    Yields:
        Path, and what either holds there, perhaps :data:`NOTHING`, part by part as far as both have
        parts.
    """
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        parts, others = one, other
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        parts, others = (dict(zip(item_names(of), of, strict=True)) for of in (one, other))
    else:
        if one != other:
            yield path, one, other
        return
    for name in {**parts, **others}:
        at = f"{path}.{name}".removeprefix(".")
        yield from unequal(parts.get(name, NOTHING), others.get(name, NOTHING), at)


def _items(plain: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The parts of plain values, each with the names that it goes by."""
    if isinstance(plain, Mapping):
        yield from (((key,), item) for key, item in plain.items())
    elif isinstance(plain, list):
        for place, (name, item) in enumerate(zip(item_names(plain), plain, strict=True)):
            yield (name, str(place)), item
