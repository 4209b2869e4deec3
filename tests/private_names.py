"""Finds the private names of other packages that source text and classes use."""

from __future__ import annotations

import ast
import functools
import inspect
import sys
import textwrap
from collections.abc import Iterator

_OURS = "rl_sim_env"
_BY_NAME = ("getattr", "setattr", "hasattr", "delattr")


def is_private(name: str) -> bool:
    """Whether a name begins with one underscore."""
    return name.startswith("_") and not name.startswith("__") and name != "_"


def imported(tree: ast.AST) -> Iterator[str]:
    """What is imported of other packages by a private name or from a private module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            package, *parts = name.split(".")
            if package != _OURS and any(map(is_private, parts)):
                yield name


def accessed(tree: ast.AST) -> Iterator[str]:
    """Names of attributes that are read, set or called, of any object."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif (
            isinstance(node, ast.Call)
            and _is_name(node.func, *_BY_NAME)
            and isinstance(name := node.args[1], ast.Constant)
        ):
            yield name.value


def defined(tree: ast.AST) -> Iterator[str]:
    """Names that modules and classes define, and under which objects keep something."""
    yield from _stored(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        if isinstance(node, ast.Module | ast.ClassDef):
            for statement in node.body:
                if isinstance(statement, ast.Assign | ast.AnnAssign):
                    for name in ast.walk(statement):
                        if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store):
                            yield name.id


def mentioned(tree: ast.AST) -> set[str]:
    """Names that are imported, accessed or defined."""
    aliases = {node.name for node in ast.walk(tree) if isinstance(node, ast.alias)}
    return {*aliases, *accessed(tree), *defined(tree)}


@functools.cache
def members(cls: type) -> frozenset[str]:
    """What a class itself defines, or its objects keep."""
    return frozenset((*vars(cls), *_stored(_source(cls))))


def shared_with_bases(cls: type) -> set[str]:
    """Private names that a class defines or uses of itself, and that a foreign base has."""
    mine = {*vars(cls), *_used_of_self(_source(cls))} - {"_abc_impl"}
    theirs = {name for base in foreign_bases(cls) for name in members(base)}
    return set(filter(is_private, mine & theirs))


def foreign_bases(cls: type) -> list[type]:
    """Bases that are neither ours nor python's own."""
    ours = {_OURS, *sys.stdlib_module_names}
    return [base for base in cls.__mro__[1:] if base.__module__.partition(".")[0] not in ours]


def _stored(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if _is_name(node.value, "self"):
                yield node.attr
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "__setattr__"  # of object, or of a base: (self, name, value)
            and isinstance(name := node.args[-2], ast.Constant)
        ):
            yield name.value


def _used_of_self(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _is_name(node.value, "self"):
            yield node.attr


def _is_name(node: ast.AST, *names: str) -> bool:
    return isinstance(node, ast.Name) and node.id in names


def _source(cls: type) -> ast.AST:
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError):  # written in C, or made by a call
        return ast.Module([], [])
