"""What is used inside other packages: all declared in `compat`, all still there."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import rl_sim_env
from private_names import (
    accessed,
    defined,
    foreign_bases,
    imported,
    is_private,
    members,
    mentioned,
    shared_with_bases,
)
from rl_sim_env.compat.members import MEMBERS, PARAMETERS, WRITTEN_FOR

_ROOT = Path(rl_sim_env.__file__).parent
_COMPAT = _ROOT / "compat"
_TREES = {
    str(file.relative_to(_ROOT)): ast.parse(file.read_text())
    for file in sorted(_ROOT.rglob("*.py"))
    if _COMPAT not in file.parents
}
_OWN = {name for tree in _TREES.values() for name in defined(tree)}
_PUBLIC = {"_exit"}
"""Names of the standard library that are documented in spite of their underscore."""
_MENTIONED = {file: mentioned(tree) for file, tree in _TREES.items()}

_IMPORTS = [
    (f"{node.module}.{alias.name}", alias.asname or alias.name)
    for file in _COMPAT.glob("*.py")
    for node in ast.parse(file.read_text()).body
    if isinstance(node, ast.ImportFrom) and node.module != "__future__"
    for alias in node.names
]
"""What compat imports, and the name that it gives to it."""


def _find(name: str) -> Any:
    try:
        return pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return None


def _release(name: str) -> str:
    """Installed release of the package that a name belongs to, and whether it is another one."""
    distribution, releases = WRITTEN_FOR[name.partition(".")[0]]
    installed = version(distribution)
    if any(f"{installed}.".startswith(f"{release}.") for release in releases):
        return f"{distribution} {installed}"
    return f"{distribution} {installed} (this code is written for {' and '.join(releases)})"


def _users(name: str) -> str:
    return ", ".join(file for file, names in _MENTIONED.items() if name in names)


def _own_classes() -> Iterator[type]:
    for module in pkgutil.walk_packages(rl_sim_env.__path__, f"{rl_sim_env.__name__}."):
        for cls in vars(importlib.import_module(module.name)).values():
            if inspect.isclass(cls) and cls.__module__ == module.name:
                yield cls


# What an upgrade can break.


def _missing_members(declared: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    for owner, reasons in declared.items():
        found = _find(owner)
        there = set(dir(found))
        if inspect.isclass(found):
            there = there.union(*map(members, found.__mro__))
        for name, reason in reasons.items():
            if name not in there:
                yield (
                    f"{_release(owner)}: {owner}.{name} is gone; used by {_users(name)} ({reason})"
                )


def _changed_parameters(cls: type) -> Iterator[str]:
    """Methods of mjlab, private or not, that are overridden with other parameters."""
    for base in foreign_bases(cls):
        if not base.__module__.startswith("mjlab."):
            continue  # torch's forward() takes what it likes
        for name in vars(cls).keys() & vars(base).keys():
            methods = vars(cls)[name], vars(base)[name]
            if name.startswith("__") or not all(map(inspect.isfunction, methods)):
                continue
            ours, theirs = (tuple(inspect.signature(method).parameters) for method in methods)
            if ours != theirs:
                yield (
                    f"{_release(base.__module__)}: {base.__name__}.{name} takes {theirs}, but "
                    f"{ours} in {cls.__module__}.{cls.__name__}"
                )


def test_what_is_imported_is_still_there():
    missing = [
        f"{_release(name)}: {name} is gone; used by {_users(alias)}"
        for name, alias in _IMPORTS
        if _find(name) is None
    ]

    assert not missing, "\n".join(missing)


def test_members_are_still_there():
    missing = list(_missing_members(MEMBERS))

    assert not missing, "\n".join(missing)


def _parameters(function: Any) -> str:
    """Names of what a function takes, also one that Warp compiles."""
    return " ".join(inspect.signature(getattr(function, "func", function)).parameters)


def test_functions_that_kernels_call_take_the_same_parameters():
    changed = [
        f"{_release(name)}: {name} takes {taken!r}, but {given!r} when this was written"
        for name, given in PARAMETERS.items()
        if (taken := _parameters(_find(name))) != given
    ]

    assert not changed, "\n".join(changed)


def test_overridden_methods_take_the_same_parameters():
    changed = [line for cls in _own_classes() for line in _changed_parameters(cls)]

    assert not changed, "\n".join(changed)


# What our own code has to declare.


def _undeclared_names(tree: ast.AST) -> set[str]:
    declared = {name for names in MEMBERS.values() for name in names}
    private = set(filter(is_private, accessed(tree))) - declared - _OWN - _PUBLIC
    return {*imported(tree), *private}


def _undeclared_members(cls: type) -> set[str]:
    owners = [owner for owner in MEMBERS if _find(owner) in cls.__mro__]
    return shared_with_bases(cls).difference(*(MEMBERS[owner] for owner in owners))


def test_nothing_private_is_used_that_is_not_declared():
    undeclared = {
        **{file: _undeclared_names(tree) for file, tree in _TREES.items()},
        **{cls.__qualname__: _undeclared_members(cls) for cls in _own_classes()},
    }

    found = {where: names for where, names in undeclared.items() if names}

    assert not found, "use public names, or declare these in rl_sim_env/compat and say why"


def test_every_package_says_for_which_releases_this_code_is_written():
    names = [*MEMBERS, *(name for name, _ in _IMPORTS)]

    assert {name.partition(".")[0] for name in names} == set(WRITTEN_FOR)


def test_nothing_is_declared_that_is_not_used():
    declared = {
        *(alias for _, alias in _IMPORTS),
        *(name for names in MEMBERS.values() for name in names),
    }

    assert not [name for name in declared if not _users(name)]


# Whether all that would be noticed.


@pytest.mark.parametrize(
    ("snippet", "name"),
    (
        ("from mjlab.sim.sim import _suspend_gc", "mjlab.sim.sim._suspend_gc"),
        ("import mujoco_warp._src.types as types", "mujoco_warp._src.types"),
        ("import mujoco_warp\nmujoco_warp._src.types.OverflowType", "_src"),
        ("env.sim._per_world_default_fields.zero_()", "_per_world_default_fields"),
        ("env.sim._per_world_default_fields = None", "_per_world_default_fields"),
        ("getattr(env.sim, '_per_world_default_fields')", "_per_world_default_fields"),
    ),
)
def test_a_private_name_in_the_source_is_noticed(snippet, name):
    assert _undeclared_names(ast.parse(snippet)) == {name}


def _intruder() -> type:
    from mjlab.sim.sim import Simulation

    class Intruder(Simulation):
        def _sense_kernel(self, again: bool) -> None:  # pyright: ignore
            self._per_world_default_fields = None

    return Intruder


def test_what_a_class_shares_with_a_foreign_base_is_noticed():
    assert _undeclared_members(_intruder()) == {"_sense_kernel", "_per_world_default_fields"}


def test_another_signature_is_noticed():
    (line,) = _changed_parameters(_intruder())

    assert "Simulation._sense_kernel takes ('self',), but ('self', 'again') in" in line


def test_a_missing_member_is_told_with_release_and_users(monkeypatch):
    monkeypatch.setitem(WRITTEN_FOR, "mjlab", ("mjlab", ("0.9",)))

    (line,) = _missing_members({"mjlab.sim.sim.WarpBridge": {"_torch_stream": "for a test"}})

    assert line == (
        f"mjlab {version('mjlab')} (this code is written for 0.9): "
        "mjlab.sim.sim.WarpBridge._torch_stream is gone; used by simulation/warp.py (for a test)"
    )
