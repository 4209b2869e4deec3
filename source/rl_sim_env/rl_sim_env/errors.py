"""The exception and the warning whose messages are meant for the user as they stand."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Collection, Iterator


class UserError(Exception):
    """A mistake in the input or the surroundings, told in one line.

    The message names what is wrong, where, and what to do about it. Command line programs print it
    without a traceback and exit with status 2.
    """


class Notice(UserWarning):
    """Something that the user should know and that stops nothing, told in one line.

    Command line programs print it without the place in the code that it comes from.
    """


def misfit(where: str, found: str, wanted: str) -> str:
    """The message on a value that is not what it must be.

    Args:
        where: What the value is called.
        found: What it is.
        wanted: What it must be.
    """
    return f"{where} is {found}; it must be {wanted}"


@contextlib.contextmanager
def found_in(source: object) -> Iterator[None]:
    """Let the message of a :class:`UserError` begin with where the mistake was found.

    Args:
        source: A file, or a part of one.
    """
    try:
        yield
    except UserError as error:
        raise UserError(f"{source}: {error}") from error


def known_names(
    name: str, known: Collection[str], *, cutoff: float = 0.6, listed_by: str | None = None
) -> str:
    """Tell what could have been meant by an unknown name: the nearest names, or else all.

    Args:
        name: The unknown name.
        known: The names there are.
        cutoff: Similarity, in [0, 1], that a name needs to be near.
        listed_by: Command that lists the names, where they are too many for a message.
    """
    near = difflib.get_close_matches(name, known, n=3, cutoff=cutoff)
    meant = f"did you mean {' or '.join(near)}?" if near else ""
    if listed_by is not None:
        return f"{meant} {listed_by} lists all".lstrip()
    return meant or f"there are {', '.join(known)}"
