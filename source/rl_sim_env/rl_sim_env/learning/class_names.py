"""Classes by name, as rsl_rl resolves them: a module of one's own stands in by configuration."""

from __future__ import annotations

from typing import TypeVar

from rsl_rl.utils import resolve_callable

from rl_sim_env.errors import UserError

Kind = TypeVar("Kind")


def resolve_class(class_name: str, kind: type[Kind], setting: str) -> type[Kind]:
    """The class that a setting names.

    Args:
        class_name: ``module.path:Class``, or the plain name of one of rsl_rl's classes.
        kind: What it must be derived from. A configuration may come from a checkpoint: nothing but
            such a class is ever called.
        setting: Path of the setting, for the message.

    Raises:
        UserError: There is no such class, or it is of another kind.
    """
    try:
        found = resolve_callable(class_name)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise UserError(
            f"{setting}={class_name!r}: cannot be found ({error}); write module.path:ClassName, "
            "and put the folder of the module on PYTHONPATH or install its package"
        ) from error
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise UserError(
            f"{setting}={class_name!r}: not a class derived from {kind.__module__}.{kind.__name__}"
        )
    return found
