"""Saved values back onto a fresh configuration, by structure.

The fresh configuration is made by today's code; a file only contributes numbers, texts and
containers of them. Functions and classes are compared by name and never looked up.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from rl_sim_env.configuration.plain import (
    CLASS,
    NOTHING,
    field_names,
    is_data,
    is_dataclass,
    item_names,
    name_of,
    to_plain,
)

_ARGUMENTS = "params"
"""Field that holds the arguments of the function beside it."""


@dataclass(kw_only=True)
class Restored:
    """What came of restoring a configuration; paths without the root."""

    carried_over: list[tuple[str, Any, Any]] = field(default_factory=list)
    """Path, saved value and today's default of what was saved and took the place of another
    default."""

    changed: list[tuple[str, Any, Any]] = field(default_factory=list)
    """Path, saved and present value of what could not be restored: functions and classes that are
    others, parts that exist no more (present value :data:`NOTHING`) or not yet did (saved value
    :data:`NOTHING`)."""


def restore(
    cfg: Any, default: Any, saved: Mapping[str, Any], *, left_out: Collection[str]
) -> Restored:
    """Put saved values onto a configuration, in place.

    It is a merge of three, leaf by leaf. Where ``cfg`` has what ``default`` has, the saved value
    counts; where it differs, that is on purpose, and its own value stays.

    Args:
        cfg: A fresh configuration, of the task at hand.
        default: A fresh configuration of the task whose values were saved.
        saved: Its values as :func:`~rl_sim_env.configuration.plain.to_plain` returned them, with or
            without names of classes.
        left_out: Paths, or patterns for them, that are not restored.
    """
    merge = _Merge(left_out=tuple(left_out))
    merged = merge.node(cfg, default, saved, "")
    for name in field_names(cfg):
        object.__setattr__(cfg, name, getattr(merged, name))
    return merge.restored


@dataclass(kw_only=True)
class _Merge:
    left_out: tuple[str, ...]
    restored: Restored = field(default_factory=Restored)

    def node(self, fresh: Any, default: Any, saved: Any, path: str) -> Any:
        """What takes the place of ``fresh``; all three are of the same path."""
        if any(fnmatch(path, pattern) for pattern in self.left_out) or isinstance(default, Path):
            return fresh
        if type(fresh) is not type(default):
            return self._leaf(fresh, default, saved, path) if is_data(default) else fresh
        if is_dataclass(default) and isinstance(saved, Mapping):
            self._compare_names(type(default), saved.get(CLASS), f"{path}.{CLASS}".lstrip("."))
            return self._parts(fresh, _fields(fresh), _fields(default), _plain_fields(saved), path)
        if isinstance(default, Mapping) and isinstance(saved, Mapping):
            same_keys = fresh.keys() == default.keys() == saved.keys()
            if same_keys or not is_data(default) or path.rpartition(".")[2] == _ARGUMENTS:
                return self._parts(fresh, fresh, default, saved, path)
        if is_data(default) and is_data(fresh):
            return self._leaf(fresh, default, saved, path)
        if isinstance(default, (tuple, list)) and isinstance(saved, list):
            own, usual, then = (
                dict(zip(item_names(of), of, strict=True)) for of in (fresh, default, saved)
            )
            return self._parts(fresh, own, usual, then, path)
        if saved is None and not callable(default):
            # A part of the configuration was switched off.
            return self._leaf(fresh, default, saved, path)
        if not isinstance(saved, str) or not callable(default):
            self._change(path, saved, default)
        else:
            self._compare_names(default, saved, path)
        return fresh

    def _parts(
        self,
        fresh: Any,
        own: Mapping[str, Any],
        default: Mapping[str, Any],
        saved: Mapping[str, Any],
        path: str,
    ) -> Any:
        """A copy of ``fresh`` with its parts merged.

        Args:
            fresh: The whole: a dataclass, a mapping or a sequence.
            own: Its parts by name.
            default: Parts of the default.
            saved: Saved parts.
            path: Path of the whole.
        """
        merged = {}
        for name, part in own.items():
            at = f"{path}.{name}".removeprefix(".")
            if name in default and name in saved:
                merged[name] = self.node(part, default[name], saved[name], at)
            elif name in default:
                self._change(at, NOTHING, part)
        for name, part in saved.items():
            if name not in own and name not in default:
                self._change(f"{path}.{name}".removeprefix("."), part, NOTHING)
        return _with_parts(fresh, {**own, **merged})

    def _leaf(self, fresh: Any, default: Any, saved: Any, path: str) -> Any:
        usual = to_plain(default)
        if saved == usual or to_plain(fresh) != usual:
            return fresh
        if not _is_value_for(default, saved):
            self._change(path, saved, default)
            return fresh
        self.restored.carried_over.append((path, saved, usual))
        return _like(default, saved)

    def _compare_names(self, default: Any, saved: Any, path: str) -> None:
        # Files of before describe some functions instead of naming them: nothing to compare.
        if _is_name(saved) and saved != name_of(default):
            self._change(path, saved, name_of(default))

    def _change(self, path: str, saved: Any, present: Any) -> None:
        if not any(fnmatch(path, pattern) for pattern in self.left_out):
            now = NOTHING if present is NOTHING else to_plain(present)
            self.restored.changed.append((path, saved, now))


def _fields(holder: Any) -> dict[str, Any]:
    return {name: getattr(holder, name) for name in field_names(holder)}


def _plain_fields(saved: Mapping[str, Any]) -> dict[str, Any]:
    return {name: of for name, of in saved.items() if name != CLASS and not name.startswith("_")}


def _with_parts(whole: Any, parts: Mapping[str, Any]) -> Any:
    """A copy of a dataclass, a mapping or a sequence with these parts, in this order."""
    if isinstance(whole, (tuple, list)):
        return type(whole)(parts.values())
    if isinstance(whole, Mapping):
        return dict(parts)
    changed = copy.copy(whole)
    for name, part in parts.items():
        # Also where the dataclass is frozen: this copy is not in use yet.
        object.__setattr__(changed, name, part)
    return changed


def _is_name(value: Any) -> bool:
    """Whether a plain value is the name of a function or class."""
    return isinstance(value, str) and re.fullmatch(r"[\w.]+:[\w.<>]+", value) is not None


def _is_value_for(default: Any, saved: Any) -> bool:
    """Whether a plain value can take the place of a default: it needs no code to make it."""
    if isinstance(default, Enum):
        return saved in type(default).__members__
    if isinstance(saved, Mapping):
        return CLASS not in saved and all(_is_value_for(None, item) for item in saved.values())
    if None in (default, saved):
        return not _is_name(saved)
    is_fit = isinstance(saved, str) == isinstance(default, str)
    return is_fit and (not isinstance(default, bool) or isinstance(saved, bool))


def _like(default: Any, saved: Any) -> Any:
    """A plain value as configurations hold it: they have tuples where files have lists."""
    if isinstance(default, Enum):
        return type(default)[saved]
    if isinstance(saved, Mapping):
        of = default if isinstance(default, Mapping) else {}
        return {key: _like(of.get(key), item) for key, item in saved.items()}
    if isinstance(saved, list):
        kind = type(default) if isinstance(default, (list, set, frozenset)) else tuple
        return kind(_like(None, item) for item in saved)
    return saved
