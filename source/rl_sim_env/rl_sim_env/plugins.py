"""Robots and tasks that other installed packages bring along."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from rl_sim_env.errors import UserError

ENTRY_POINT_GROUP = "rl_sim_env.tasks"
"""Group of entry points, each a module that registers tasks when it is imported."""


@cache
def load_plugins() -> None:
    """Import what other packages have announced as ``rl_sim_env.tasks``; once.

    Raises:
        UserError: One of them cannot be imported or is refused; the message names the package and
            the reason.
    """
    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        _load(entry_point)


def _load(entry_point: EntryPoint) -> None:
    package = entry_point.dist.name if entry_point.dist else "a package"
    try:
        entry_point.load()
    except UserError as error:
        raise UserError(f"{package} brings tasks in {entry_point.value}: {error}") from error
    except Exception as error:
        raise UserError(
            f"{package} brings tasks in {entry_point.value}, which cannot be imported: "
            f"{type(error).__name__}: {error}; mend or uninstall it"
        ) from error
