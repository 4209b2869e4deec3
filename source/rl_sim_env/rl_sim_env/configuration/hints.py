"""What a field, or a parameter of a function, is declared to hold."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, get_type_hints


@cache
def field_type(kind: type, name: str, *, with_limits: bool = False) -> Any:
    """Declared type of a field; Any where it names what only type checkers import.

    Args:
        kind: The dataclass.
        name: The field.
        with_limits: Whether to leave ``Annotated`` in it.
    """
    for owner in kind.__mro__:
        declared = inspect.get_annotations(owner)
        if name in declared:
            return _resolved(declared[name], owner.__module__, with_limits)
    return Any


@cache
def parameter_type(function: Callable[..., Any], name: str) -> Any:
    """Declared type of a parameter, with its limits; Any where there is none.

    Args:
        function: A function, or a class whose instances are called.
        name: The parameter.
    """
    called = inspect.unwrap(_called(function))
    declared = getattr(called, "__annotations__", {})
    if name not in declared:
        return Any
    return _resolved(declared[name], called.__module__, with_limits=True)


def parameters(function: Callable[..., Any]) -> tuple[set[str], set[str]]:
    """Parameters that a function must be given, and all that it may be given, by name.

    Args:
        function: A function, or a class whose instances are called.
    """
    declared = inspect.signature(_called(function)).parameters.values()
    named = [each for each in declared if each.kind is not each.VAR_POSITIONAL]
    needed = {
        each.name
        for each in named
        if each.default is each.empty and each.kind is not each.VAR_KEYWORD
    }
    return needed, {each.name for each in named}


def _called(function: Callable[..., Any]) -> Any:
    return function.__call__ if isinstance(function, type) else function


def _resolved(declared: Any, module: str, with_limits: bool) -> Any:
    # One at a time: others of the same class may name what cannot be found here.
    alone = type("alone", (), {"__annotations__": {"it": declared}})
    alone.__module__ = module
    try:
        return get_type_hints(alone, include_extras=with_limits)["it"]
    except NameError:
        return Any
