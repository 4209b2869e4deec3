"""Limits of what a configuration holds: declared with the fields, checked before anything starts.

A field says ``gamma: Annotated[float, SHARE]``; so does a parameter of a term's function. What a
field of another package's dataclass must be is given beside it, by class.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal, Protocol, TypeVar, Union, get_args, get_origin

from rl_sim_env.configuration.hints import field_type, parameter_type, parameters
from rl_sim_env.configuration.plain import field_names, is_dataclass, item_names, to_plain
from rl_sim_env.errors import UserError, known_names
from rl_sim_env.typed import is_of

ForeignLimits = Mapping[Any, Mapping[str, "tuple[Limit, ...]"]]
"""Limits that are not declared where they belong: by dataclass and field, or by function and
parameter."""

_MAX_NAME = 200
"""Bytes of a folder's name: with a time stamp it stays below what file systems take, 255."""

_GIVEN = {"self", "env", "env_ids"}
"""What every term is given by its manager."""


class Limit(Protocol):
    """What a value must be."""

    def unmet(self, value: Any) -> str | None:
        """What the value must be and is not, to follow "it must"; None where it is."""
        ...


@dataclass(frozen=True, kw_only=True)
class Number:
    """Where a number must be, or every number of a sequence or table."""

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None

    def unmet(self, value: Any) -> str | None:
        """See :class:`Limit`."""
        return None if all(map(self._is_met, _numbers(value))) else f"be {self}"

    def _is_met(self, number: float) -> bool:
        return (
            (self.at_least is None or number >= self.at_least)
            and (self.above is None or number > self.above)
            and (self.at_most is None or number <= self.at_most)
            and (self.below is None or number < self.below)
        )

    def __str__(self) -> str:
        if self.at_least is not None and self.at_most is not None:
            return f"between {self.at_least} and {self.at_most}"
        bounds = {
            "at least": self.at_least,
            "above": self.above,
            "at most": self.at_most,
            "below": self.below,
        }
        return " and ".join(f"{name} {of}" for name, of in bounds.items() if of is not None)


@dataclass(frozen=True)
class _Ascending:
    def unmet(self, value: Any) -> str | None:
        low, high = value
        return None if low <= high else "begin with the lower end"


@dataclass(frozen=True)
class _MayBeInfinite:
    def unmet(self, value: Any) -> str | None:
        del value
        return None


@dataclass(frozen=True)
class _MayBeOff:
    def unmet(self, value: Any) -> str | None:
        del value
        return None


@dataclass(frozen=True)
class Length:
    """How many items a sequence or table must have."""

    at_least: int

    def unmet(self, value: Any) -> str | None:
        """See :class:`Limit`."""
        return None if len(value) >= self.at_least else f"have at least {self.at_least} of them"


@dataclass(frozen=True)
class _NoRepeats:
    def unmet(self, value: Any) -> str | None:
        return None if len({*value}) == len(value) else "name each only once"


@dataclass(frozen=True, kw_only=True)
class FolderName:
    """A text that can name one folder, in its parent and nowhere else."""

    may_be_empty: bool = False

    def unmet(self, value: Any) -> str | None:
        """See :class:`Limit`."""
        if not value.strip():
            return None if self.may_be_empty and not value else "not be empty"
        if not value.strip(".") or not value.isprintable() or {*"/\\"} & {*value}:
            return "be the name of a folder: no '/', no '..'"
        return None if len(value.encode()) <= _MAX_NAME else f"have at most {_MAX_NAME} bytes"


POSITIVE = Number(above=0)
NOT_NEGATIVE = Number(at_least=0)
COUNT = Number(at_least=1)
SHARE = Number(at_least=0, at_most=1)
SHARE_ABOVE_0 = Number(above=0, at_most=1)
LEARNING_RATE = Number(above=0, at_most=1)
"""No network bears more in a step."""
DELAY = Number(at_least=0, at_most=1)
"""Seconds: what is late is kept for every physics step until its time has come."""
SEED = Number(at_least=0, at_most=2**32 - 1)
"""What NumPy takes."""
ASCENDING = _Ascending()
"""The ends of a range: the lower one first."""
Range = Annotated[tuple[float, float], ASCENDING]
"""From a number to another."""
NOT_EMPTY = Length(1)
NO_REPEATS = _NoRepeats()
MAY_BE_INFINITE = _MayBeInfinite()
"""Any other number is finite."""
MAY_BE_OFF = _MayBeOff()
"""A table of parts that a setting may switch off: they are None, whatever is declared."""


def check_limits(cfg: Any, root: str, foreign: ForeignLimits | None = None) -> None:
    """Refuse a configuration with a value that its field must not have.

    Every number is finite, every choice one of those declared, and where only code that a setting
    goes around, ``__post_init__``, knows what fits together, it is asked.

    Args:
        cfg: The configuration, a dataclass.
        root: What its paths begin with.
        foreign: Limits of fields that do not declare them.

    Raises:
        UserError: Names the first such field, what it is and what it must be.
    """
    _check(cfg, Any, (), root, foreign or {})


def require_known(path: str, name: str, known: Iterable[str]) -> None:
    """Refuse a name of something that a configuration does not have.

    Args:
        path: Path of the field with the name.
        name: The name.
        known: The names there are.

    Raises:
        UserError: There is none of this name.
    """
    if name not in (known := tuple(known)):
        raise UserError(f"{path} is {name!r}, which does not exist; {known_names(name, known)}")


def _check(
    value: Any, hint: Any, limits: tuple[Limit, ...], path: str, foreign: ForeignLimits
) -> None:
    if get_origin(hint) is Annotated:
        hint, *declared = get_args(hint)
        limits = (*limits, *declared)
    if value is None:
        if not _allows_none(hint):
            raise _refusal(path, value, "have a value")
        return
    if get_origin(hint) is Literal and value not in get_args(hint):
        raise _refusal(path, value, f"be one of {', '.join(map(str, get_args(hint)))}")
    if isinstance(value, float) and not math.isfinite(value) and MAY_BE_INFINITE not in limits:
        raise _refusal(path, value, "be a finite number")
    if not is_of(_switched_on(value, hint, limits, path), hint):
        # A table of arguments that is set as a whole is not converted to what they are declared as.
        raise _refusal(path, value, f"be of type {getattr(hint, '__name__', hint)}")
    for limit in limits:
        if (unmet := limit.unmet(value)) is not None:
            raise _refusal(path, value, unmet)
    if is_dataclass(value):
        _check_fields(value, path, foreign)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            _check(item, Any, (), f"{path}.{name}", foreign)
    elif isinstance(value, (tuple, list)):
        for name, item in zip(item_names(value), value, strict=True):
            _check(item, Any, (), f"{path}.{name}", foreign)


def _switched_on(value: Any, hint: Any, limits: tuple[Limit, ...], path: str) -> Any:
    """A table of parts without those that a setting has switched off; anything else as it is."""
    items = get_args(hint)
    if not (isinstance(value, Mapping) and items and dataclasses.is_dataclass(items[-1])):
        return value
    for name, item in value.items():
        if item is None and MAY_BE_OFF not in limits:
            raise _refusal(f"{path}.{name}", item, "have a value")
    return {name: item for name, item in value.items() if item is not None}


def _check_fields(cfg: Any, path: str, foreign: ForeignLimits) -> None:
    for name in field_names(cfg):
        limits = next(
            (foreign[kind][name] for kind in type(cfg).__mro__ if name in foreign.get(kind, ())), ()
        )
        hint = field_type(type(cfg), name, with_limits=True)
        _check(getattr(cfg, name), hint, limits, f"{path}.{name}", foreign)
    params = getattr(cfg, "params", None)
    if callable(function := getattr(cfg, "func", None)) and isinstance(params, Mapping):
        _require_parameters(function, params, f"{path}.params")
        for name, value in params.items():
            limits = foreign.get(function, {}).get(name, ())
            hint = parameter_type(function, name)
            _check(value, hint, limits, f"{path}.params.{name}", foreign)
    if hasattr(cfg, "__post_init__"):
        try:
            copy.copy(cfg).__post_init__()
        except (UserError, ValueError, AssertionError) as error:
            raise UserError(f"{path}: {error}") from None


def _require_parameters(function: Any, params: Mapping[str, Any], path: str) -> None:
    """Refuse arguments that a term's function does not take, or lacks."""
    needed, known = parameters(function)
    if missing := needed - params.keys() - _GIVEN:
        raise _refusal(path, params, f"hold {', '.join(sorted(missing))}")
    for name in params:
        require_known(f"{path}: a parameter", name, known - _GIVEN)


def _allows_none(hint: Any) -> bool:
    if get_origin(hint) in (Union, types.UnionType):
        return any(map(_allows_none, get_args(hint)))
    return hint in (Any, type(None)) or isinstance(hint, TypeVar)


def _numbers(value: Any) -> Iterator[float]:
    """Every number in a value."""
    if isinstance(value, (int, float)) and not isinstance(value, (bool, Enum)):
        yield value
    elif isinstance(value, Mapping):
        yield from (number for item in value.values() for number in _numbers(item))
    elif isinstance(value, (tuple, list)):
        yield from (number for item in value for number in _numbers(item))


def _refusal(path: str, value: Any, unmet: str) -> UserError:
    text = repr(to_plain(value))
    text = text if len(text) <= 60 else f"{text[:57]}..."
    return UserError(f"{path} is {text}; it must {unmet}")
