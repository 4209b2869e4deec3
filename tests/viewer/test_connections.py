"""Many browsers at once, and what they must not send.

They are connections that take what they are sent: ten that draw without a GPU take minutes.
"""

from __future__ import annotations

import asyncio
import threading

import viser
import websockets

from browser import PATIENCE, running
from rl_sim_env.viewer.play_viewer import PlayViewer

MESSAGES = 60
"""Frames that each of them takes before it leaves."""


def test_ten_browsers_and_senseless_messages_stop_nothing(policy_player, server):
    viewer = PlayViewer(policy_player, server)

    async def look(number: int) -> int:
        url = f"ws://{viewer.server.get_host()}:{viewer.server.get_port()}"
        protocol = websockets.Subprotocol(f"viser-v{viser.__version__}")
        received = 0
        async with websockets.connect(url, subprotocols=[protocol], max_size=None) as socket:
            while received < MESSAGES:
                await socket.recv()
                received += 1
            if number % 2:
                await socket.send(b"\x93no message" * number)
        return received

    async def all_of_them() -> list[int]:
        return await asyncio.gather(*(look(number) for number in range(10)))

    with running(viewer):
        assert asyncio.run(all_of_them()) == [MESSAGES] * 10
        obeyed = threading.Event()
        viewer.view.ask(obeyed.set)
        assert obeyed.wait(PATIENCE / 1000.0)
    policy_player.env.velocity_command.steer(None)
