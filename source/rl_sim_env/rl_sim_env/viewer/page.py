"""The page of a viewer: where it listens, and what may come from it.

Whoever reaches the page moves its sliders, with any number that a message can hold.
"""

from __future__ import annotations

import errno
import ipaddress
import math
import socket
import warnings
from typing import TYPE_CHECKING

from rl_sim_env.errors import Notice, UserError

if TYPE_CHECKING:
    import viser

THIS_MACHINE = "127.0.0.1"
"""Address that nobody else reaches."""

FIRST_PORT, PORTS = 8080, 100
"""Where a port is looked for that is free, and how many are tried."""

ADDRESS = "viewer: "
"""How the line that tells a page's address begins."""

_LAST_PORT = 65535


def require_port(port: int) -> None:
    """Refuse numbers that no port has.

    Raises:
        UserError: It is one.
    """
    if not 0 <= port <= _LAST_PORT:
        raise UserError(f"--port {port}: ports are numbers from 0 to {_LAST_PORT}")


def free_port(host: str, port: int | None) -> int:
    """Find a port that can be listened at.

    Args:
        host: Address to listen at.
        port: The only one to try; None: the first one that is free.

    Raises:
        UserError: Nothing can listen there.
    """
    if port is not None:
        require_port(port)
    # viser itself takes another port without a word, or waits for ever.
    ports = range(FIRST_PORT, FIRST_PORT + PORTS) if port is None else (port,)
    refusals = []
    for each in ports:
        refusal = _refusal(host, each)
        if refusal is None:
            return each
        refusals.append(refusal)
        if refusal.errno != errno.EADDRINUSE:
            break
    raise UserError(
        f"the viewer cannot listen at {host}, port {ports[0]}: "
        f"{refusals[0].strerror or refusals[0]}; give another --port, or --host"
    )


def open_page(host: str = THIS_MACHINE, port: int | None = None) -> viser.ViserServer:
    """Serve an empty page.

    Args:
        host: Address to listen at; others than those of this machine are warned of.
        port: Port to listen at; None: the first one that is free.

    Raises:
        UserError: Nothing can listen there.
    """
    # Only here: programs ask for the address before anything heavy is imported.
    import viser

    free = free_port(host, port)
    if not _is_this_machine(host):
        warnings.warn(
            f"the viewer listens at {host}: whoever reaches this machine can watch and steer",
            Notice,
            stacklevel=2,
        )
    return viser.ViserServer(host=host, port=free, label="rl_sim_env", verbose=False)


def address(server: viser.ViserServer) -> str:
    """What to type into a browser."""
    host = server.get_host()
    if host in ("0.0.0.0", "::"):
        host = socket.gethostname()
    return f"http://{f'[{host}]' if ':' in host else host}:{server.get_port()}"


def within(value: float, low: float, high: float) -> float | None:
    """A number from a page, moved into its range; None where it is no number."""
    return None if math.isnan(value) else min(max(value, low), high)


def _refusal(host: str, port: int) -> OSError | None:
    """What keeps anybody from listening there."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, place = found[0]
        socket.create_server(place[:2], family=family).close()
    except OSError as error:
        return error
    return None


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
