"""Who reaches the viewer's page, and at which port."""

from __future__ import annotations

import contextlib
import io
import math
import socket
import warnings
from collections.abc import Iterator

import pytest
import viser

from rl_sim_env.errors import Notice, UserError
from rl_sim_env.viewer.page import address, open_page, within


@contextlib.contextmanager
def opened(*arguments: object) -> Iterator[viser.ViserServer]:
    with contextlib.redirect_stdout(io.StringIO()):
        server = open_page(*arguments)
        yield server
        server.stop()


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_only_this_machine_reaches_the_page_unless_a_host_is_given() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with opened() as server:
            assert server.get_host() == "127.0.0.1"
            assert address(server) == f"http://127.0.0.1:{server.get_port()}"
    with pytest.warns(Notice, match="whoever reaches this machine"), opened("0.0.0.0") as server:
        assert server.get_host() == "0.0.0.0"


def test_without_a_port_the_next_free_one_is_taken() -> None:
    with opened() as first, opened() as second:
        assert second.get_port() > first.get_port()


@pytest.mark.parametrize("port", (99999, -1))
def test_a_port_that_does_not_exist_is_refused(port: int) -> None:
    with pytest.raises(UserError, match=f"--port {port}: ports are numbers"):
        open_page("127.0.0.1", port)


def test_a_port_that_is_taken_is_refused(taken: int) -> None:
    with pytest.raises(UserError, match="in use"):
        open_page("127.0.0.1", taken)


def test_a_host_that_is_not_here_is_refused() -> None:
    with pytest.raises(UserError, match=r"cannot listen at nowhere\.invalid"):
        open_page("nowhere.invalid", 0)


def test_numbers_stay_in_their_range() -> None:
    assert within(0.3, 0.0, 1.0) == 0.3
    assert within(1e30, 0.0, 1.0) == 1.0
    assert within(-math.inf, 0.0, 1.0) == 0.0
    assert within(math.nan, 0.0, 1.0) is None
