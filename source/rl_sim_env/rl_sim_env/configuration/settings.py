"""Settings given as ``env.path.to.field=value`` and ``agent.path.to.field=value``."""

from __future__ import annotations

import ast
import contextlib
import copy
import dataclasses
import types
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from rl_sim_env.configuration.hints import field_type
from rl_sim_env.configuration.plain import field_names, is_data, is_dataclass, item_names, to_plain
from rl_sim_env.errors import UserError, known_names

ENV, AGENT = "env", "agent"
"""What settings begin with: environment and trainer."""

_MOST_OF_A_REASON = 300
"""Characters of somebody else's message that are told."""

_WORDS = {"true": True, "false": False, "null": None, "none": None}


@dataclasses.dataclass(frozen=True, kw_only=True)
class AppliedSetting:
    """What a setting changed; plain values."""

    path: str
    """Path of the field, without the root."""
    before: Any
    """Value that the field had."""
    now: Any
    """Value that it has."""


def settings_for(root: str, settings: Iterable[str], roots: Collection[str]) -> list[str]:
    """Those of some settings that are for one configuration.

    Args:
        root: Name of the configuration.
        settings: Texts of the form ``root.path=value``.
        roots: Names of all configurations that can be set.

    Raises:
        UserError: A setting has no value, or is for none of them.
    """
    chosen = []
    for text in settings:
        path, equals, _ = text.partition("=")
        if not equals:
            raise UserError(f"setting '{text}' has no '='; write {'/'.join(roots)}.field=value")
        first = path.split(".")[0]
        if first not in roots:
            raise UserError(
                f"setting '{text}': '{first}' does not exist; {known_names(first, roots)}"
            )
        if first == root:
            chosen.append(text)
    return chosen


def apply_settings(
    settings: Iterable[str], root: str, cfg: Any, *, refused: Mapping[str, str] | None = None
) -> list[AppliedSetting]:
    """Change fields of a configuration in place.

    A path goes through dataclass fields, dictionary keys, and items of sequences by their name or
    place. The value is read as a Python literal, or taken as text if it is none, and must be what
    the field is declared to hold. What other parts of the configuration share with the changed part
    is not changed.

    Args:
        settings: Texts of the form ``root.path=value``.
        root: Name of the configuration.
        cfg: The configuration, a dataclass.
        refused: What to do instead, by path, of fields, or parts with all their fields, that
            something else decides.

    Raises:
        UserError: The text is malformed, the path leads nowhere, or the value does not fit.
    """
    applied = []
    for text in settings_for(root, settings, (root,)):
        full_path, _, value = text.partition("=")
        path = full_path.removeprefix(root).removeprefix(".")
        for part, instead in (refused or {}).items():
            if path == part or path.startswith(f"{part}."):
                raise UserError(f"setting '{text}': {instead}")
        if not path:
            raise UserError(f"setting '{text}': {_instead(full_path, cfg, value)}")
        change = _Change(text=text, root=root, value=value)
        changed = change.within(cfg, path.split("."), ())
        for name in field_names(cfg):
            object.__setattr__(cfg, name, getattr(changed, name))
        applied.append(AppliedSetting(path=path, before=change.before, now=change.now))
    return applied


@contextlib.contextmanager
def blamed_on(causes: Sequence[str]) -> Iterator[None]:
    """Blame settings, or a file, for what fails with them: what only the model can judge.

    Raises:
        UserError: Something failed, and there is something to blame.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not causes:
            raise
        reason = " ".join(str(error).split())[:_MOST_OF_A_REASON]
        raise UserError(
            f"no environment can be made with {', '.join(causes)} "
            f"({type(error).__name__}: {reason})"
        ) from error


class _MisfitError(Exception):
    """A value is not what a field is declared to hold; says what is."""


@dataclasses.dataclass(kw_only=True)
class _Change:
    """One setting on its way to its field."""

    text: str
    root: str
    value: str
    before: Any = None
    now: Any = None

    def within(self, holder: Any, names: Sequence[str], passed: tuple[str, ...]) -> Any:
        """A copy of ``holder`` with the field changed.

        Args:
            holder: Dataclass, dictionary or sequence.
            names: Path from it to the field.
            passed: Path to it.
        """
        name, *rest = names
        key, present, hint = self._find(holder, name, (*passed, name))
        if rest:
            value = self.within(present, rest, (*passed, name))
        else:
            value = self._read(present, hint, ".".join((self.root, *passed, name)))
            self.before, self.now = to_plain(present), to_plain(value)
        if isinstance(holder, tuple):
            return (*holder[:key], value, *holder[key + 1 :])
        changed = copy.copy(holder)
        if isinstance(holder, (dict, list)):
            changed[key] = value
        else:
            # Also where the dataclass is frozen: this copy is not in use yet.
            object.__setattr__(changed, key, value)
        return changed

    def _find(self, holder: Any, name: str, path: tuple[str, ...]) -> tuple[Any, Any, Any]:
        """Key, value and declared type of a part of ``holder``."""
        names: Sequence[str] = ()
        if is_dataclass(holder):
            names = field_names(holder)
            if name in names:
                return name, getattr(holder, name), field_type(type(holder), name)
        elif isinstance(holder, Mapping):
            keys = {str(key): key for key in holder}
            names = list(keys)
            if name in keys:
                return keys[name], holder[keys[name]], Any
        elif isinstance(holder, (tuple, list)):
            names = item_names(holder)
            places = [str(place) for place in range(len(holder))]
            for known in (names, places):
                if name in known:
                    place = known.index(name)
                    return place, holder[place], Any
        where = ".".join((self.root, *path))
        reason = known_names(name, names) if names else f"{where.rpartition('.')[0]} has no parts"
        raise UserError(f"setting '{self.text}': '{where}' does not exist; {reason}")

    def _read(self, present: Any, hint: Any, path: str) -> Any:
        try:
            parsed: Any = ast.literal_eval(self.value)
        except (ValueError, SyntaxError):
            parsed = _WORDS.get(self.value.lower(), self.value)
        if callable(present) and not isinstance(present, Enum):
            raise UserError(
                f"setting '{self.text}': {path} is a function, {to_plain(present)}; only "
                "code can change it: edit the task's configuration"
            )
        if not is_data(present):
            # Among terms, whose type no field declares, None stands for one that is switched off.
            if parsed is None and (hint is Any or type(None) in get_args(hint)):
                return None
            raise UserError(f"setting '{self.text}': {_instead(path, present, self.value)}")
        try:
            return _fitted(parsed, self.value, hint, present)
        except _MisfitError as misfit:
            raise UserError(f"setting '{self.text}': {misfit}") from None


def _instead(path: str, holder: Any, value: str) -> str:
    """What to write instead of a value for something that has parts."""
    names = field_names(holder) if is_dataclass(holder) else ()
    fitting = []
    for name in names:
        try:
            apply_settings([f"x.{name}={value}"], "x", copy.copy(holder))
        except UserError:
            continue
        fitting.append(f"{path}.{name}={value}")
    if fitting:
        return f"write {' or '.join(fitting)}"
    parts = names or (list(map(str, holder)) if isinstance(holder, Mapping) else item_names(holder))
    return f"{path} has parts, set one of them: {', '.join(parts)}"


def _fitted(parsed: Any, text: str, hint: Any, present: Any) -> Any:
    """The value as the field holds it.

    Args:
        parsed: The value as a Python literal.
        text: The value as it was written.
        hint: Declared type of the field.
        present: What the field holds now; tells the type where none is declared.

    Raises:
        _MisfitError: It does not fit.
    """
    origin, choices = get_origin(hint), get_args(hint)
    if hint is Any or isinstance(hint, str) or type(hint).__name__ == "TypeVar":
        return _fitted_like(parsed, text, present)
    if origin is Literal:
        if parsed in choices:
            return parsed
        raise _MisfitError(f"choose one of {', '.join(map(repr, choices))}")
    if origin in (Union, types.UnionType):
        # Text last: everything could be one.
        for choice in sorted(choices, key=lambda choice: choice is str):
            with contextlib.suppress(_MisfitError):
                return _fitted(parsed, text, choice, present)
        raise _MisfitError(_expected(hint, present, parsed))
    fitted = _fitted_to_class(parsed, text, origin or hint, choices)
    if fitted is _MISFIT:
        raise _MisfitError(_expected(hint, present, parsed))
    return fitted


_MISFIT: Any = object()


def _fitted_to_class(parsed: Any, text: str, kind: Any, items: tuple[Any, ...]) -> Any:
    """A value of a plain class, or a container of such; ``_MISFIT`` where it does not fit."""

    def each(values: Iterable[Any], hints: Iterable[Any]) -> list[Any]:
        return [
            _fitted(value, str(value), hint, _EXAMPLES.get(hint, value))
            for value, hint in zip(values, hints, strict=True)
        ]

    if kind in (tuple, list) and isinstance(parsed, (tuple, list)):
        hints: Sequence[Any] = items or (Any,)
        if kind is list or len(hints) == 1 or hints[-1] is Ellipsis:
            hints = (hints[0],) * len(parsed)
        return kind(each(parsed, hints)) if len(hints) == len(parsed) else _MISFIT
    if kind in (dict, Mapping) or getattr(kind, "__name__", "") == "Mapping":
        if not isinstance(parsed, dict):
            return _MISFIT
        keys, values = items or (Any, Any)
        of = each(parsed.values(), (values,) * len(parsed))
        return dict(zip(each(parsed, (keys,) * len(parsed)), of, strict=True))
    if not isinstance(kind, type):
        return _MISFIT
    if issubclass(kind, Enum):
        return kind.__members__.get(text, _MISFIT)
    # Text may stand in quotes, and needs none.
    words = parsed if isinstance(parsed, str) else text
    if issubclass(kind, Path):
        return kind(words)
    if kind is float and isinstance(parsed, int) and not isinstance(parsed, bool):
        return float(parsed)
    if kind is str and parsed is not None and not isinstance(parsed, (tuple, list, dict)):
        return words
    if kind is int and isinstance(parsed, bool):
        return _MISFIT
    return parsed if isinstance(parsed, kind) else _MISFIT


_EXAMPLES: dict[Any, Any] = {float: 0.0, int: 0, str: "", bool: False}


def _fitted_like(parsed: Any, text: str, present: Any) -> Any:
    """The value as a field holds it that tells its type only by what it holds."""
    if present is None or parsed is None:
        return parsed
    if isinstance(present, (tuple, list)) and isinstance(parsed, (tuple, list)):
        is_vector = bool(present) and all(isinstance(item, (int, float)) for item in present)
        if not is_vector:
            return type(present)(parsed)
        if len(parsed) == len(present):
            return type(present)(
                _fitted_like(value, str(value), item)
                for value, item in zip(parsed, present, strict=True)
            )
        raise _MisfitError(f"expected {len(present)} numbers like {present!r}, got {len(parsed)}")
    fitted = _fitted_to_class(parsed, text, type(present), ())
    if fitted is _MISFIT:
        raise _MisfitError(_expected(type(present), present, parsed))
    return fitted


def _expected(hint: Any, present: Any, parsed: Any) -> str:
    if isinstance(hint, type) and issubclass(hint, Enum):
        return f"choose one of {', '.join(hint.__members__)}"
    name = hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
    return f"expected {name} like {present!r}, got {type(parsed).__name__}"
