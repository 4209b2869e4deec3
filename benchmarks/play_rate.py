"""Pictures a second of both pages, as browsers get them; ``--help`` lists the options.

The page of ``play`` runs as a process of its own, and whoever receives its pictures here draws none
of them: what is measured is what the machine that simulates can do. The page without installation
runs in Chromium, which simulates and draws.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import viser
import websockets
import zstandard

from record import leave_record, prepare_output
from rl_sim_env.cli.options import POLICIES
from rl_sim_env.cli.program import check_counts, run_program
from rl_sim_env.errors import UserError
from rl_sim_env.viewer.page import ADDRESS

PICTURE = {
    "BatchedMeshesMessage",
    "SceneNodeUpdateMessage",
    "SetPositionMessage",
    "SetOrientationMessage",
}
"""Messages that move something in the scene; what is sent together is one picture."""

PACE = re.compile(r"<b>([\d.]+)x</b> real time")
"""Where the page of ``play`` tells how fast simulated time passes."""

STATUS = re.compile(r"([\d.]+) s · .* · (\d+) fps")
"""What stands at the foot of the page without installation."""

TICK = 0.5
"""Time between two looks at that [s]."""

FLAGS = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox")
"""Of a Chromium that draws with the processor."""

WIDTH, HEIGHT = 1280, 800
"""Of its window [pixels]."""

MEGA = 1e6


@dataclass(kw_only=True)
class PlayRateOptions:
    """Measure pictures a second, how fast simulated time passes, and the processor that takes."""

    checkpoint: Path = POLICIES / "grq20_v2d3"
    """The policy on the page of play, on the task that it is watched on."""

    robots: tuple[int, ...] = (1, 25)
    """Numbers of robots on it, each a run."""

    site: Path | None = None
    """Folder of the page without installation, as rl-sim-env web writes it; default: it is not
    measured."""

    seconds: float = 20.0
    """How long each is measured [s]."""

    warm_up: float = 5.0
    """Time before that, when pictures come already [s]."""

    output: Path = Path("play_rate.json")
    """Where the record goes."""

    def __post_init__(self) -> None:
        check_counts(**{f"robots {count}": count for count in self.robots})
        if self.site is not None and not (self.site / "index.html").is_file():
            raise UserError(f"--site {self.site}: no page there; rl-sim-env web writes one")


@dataclass
class Received:
    """What came of the page of ``play``."""

    pictures: int = 0
    bytes: int = 0
    paces: list[float] = field(default_factory=list)

    def take(self, message: bytes) -> None:
        """Count a message of the server: lengths, then msgpack, compressed, then arrays."""
        size = int.from_bytes(message[8:16], "little")
        packed = zstandard.ZstdDecompressor().decompress(message[16 : 16 + size])
        parts = msgspec.msgpack.decode(packed)["messages"]
        self.bytes += len(message)
        self.pictures += any(part["type"] in PICTURE for part in parts)
        self.paces += [float(pace) for pace in PACE.findall(str(parts))]


def main() -> None:
    run_program(PlayRateOptions, benchmark, None)


def benchmark(options: PlayRateOptions) -> None:
    """Measure as the options say, print the table and write the record."""
    prepare_output(options.output)
    cases = {f"play, {robots} robots": _play(options, robots) for robots in options.robots}
    if options.site is not None:
        cases["without installation"] = _static_page(options, options.site)
    leave_record("Pages", options, "cpu", cases)


def _play(options: PlayRateOptions, robots: int) -> dict[str, Any]:
    """Figures of the page of ``play``."""
    program = (sys.executable, "-m", "rl_sim_env.cli", "play", "--device", "cpu")
    arguments = ("--checkpoint", str(options.checkpoint), "--num_envs", str(robots))
    with subprocess.Popen((*program, *arguments), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            told = (line for line in process.stdout if line.startswith(ADDRESS))
            address = next(told, None)
            if address is None:
                raise UserError(f"play ended with status {process.wait()}")
            url = address.split()[1].replace("http://", "ws://")
            return asyncio.run(_receive(options, url, process.pid))
        finally:
            process.terminate()


async def _receive(options: PlayRateOptions, url: str, pid: int) -> dict[str, Any]:
    protocol = websockets.Subprotocol(f"viser-v{viser.__version__}")
    received = Received()

    async def listen() -> None:
        async for message in socket:
            assert isinstance(message, bytes)
            received.take(message)

    async with websockets.connect(url, subprotocols=[protocol], max_size=None) as socket:
        listening = asyncio.create_task(listen())
        await asyncio.sleep(options.warm_up)
        start, cpu = time.perf_counter(), cpu_seconds(pid)
        received.pictures, received.bytes, received.paces = 0, 0, []
        await asyncio.sleep(options.seconds)
        passed = time.perf_counter() - start
        figures = {
            "pictures_per_s": received.pictures / passed,
            "times_real_time": sum(received.paces) / max(len(received.paces), 1),
            "cores": (cpu_seconds(pid) - cpu) / passed,
            "megabytes_per_s": received.bytes / MEGA / passed,
        }
        listening.cancel()
    return figures


def _static_page(options: PlayRateOptions, site: Path) -> dict[str, Any]:
    """Figures of the page without installation."""
    from playwright.sync_api import sync_playwright

    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        raise UserError("no chromium here: install it, or set CHROMIUM to its path")
    with _served(site) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(address)
        page.wait_for_selector("#loading.done", state="attached", timeout=0)
        page.wait_for_timeout(1e3 * options.warm_up)
        start, cpu, rates, walked = time.perf_counter(), cpu_seconds(os.getpid()), [], []
        while time.perf_counter() - start < options.seconds:
            page.wait_for_timeout(1e3 * TICK)
            status = STATUS.search(page.inner_text("#status"))
            if status is not None:
                walked.append((time.perf_counter(), float(status[1])))
                rates.append(float(status[2]))
        passed = time.perf_counter() - start
        cores = (cpu_seconds(os.getpid()) - cpu) / passed
        browser.close()
    if not walked:
        raise UserError(f"--site {site}: its foot told nothing in {options.seconds:g} s")
    # A robot that fell begins anew at 0.
    (first, from_s), (last, to_s) = walked[0], walked[-1]
    return {
        "pictures_per_s": sum(rates) / len(rates),
        "times_real_time": (to_s - from_s) / (last - first) if to_s > from_s else None,
        "cores": cores,
    }


@contextlib.contextmanager
def _served(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """The table is all that is printed."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and of all below it that still run [s].

    Raises:
        UserError: The system does not tell (it is Linux that does).
    """
    if not Path("/proc/self/stat").is_file():
        raise UserError("processor times are read on Linux only")
    parents, times = {}, {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name before the bracket may hold anything.
            fields = file.read_text().rpartition(")")[2].split()
            number = int(file.parent.name)
            parents[number], times[number] = int(fields[1]), int(fields[11]) + int(fields[12])
    members = {pid}
    while more := {each for each, parent in parents.items() if parent in members} - members:
        members |= more
    return sum(times.get(each, 0) for each in members) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
