"""Warp's kernels: compiled side by side before they are first launched, and where they are kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import warp as wp

from rl_sim_env.errors import UserError

MAX_WORKERS = 8
"""Threads that compile. One kernel, of convex collisions, takes two fifths of the time of all: more
threads would wait for it, and each takes memory."""

BINARIES = (".cubin", ".ptx", ".o")
"""Suffixes of compiled modules: for a GPU, for a GPU's driver to finish, for a CPU."""

Variants = dict[tuple[wp.Module, int | None], None]
"""Modules and the threads of a block that they are launched with, in the order of launches."""


def load_side_by_side(launch: Callable[[], object], device: wp.Device) -> None:
    """Load all kernels that a function launches, and compile those that are in no cache.

    Warp by itself compiles a module when it is first launched, one after the other. Here the
    function is run with launches only noted; then threads compile, for the compiler itself is not
    held by Python's lock. On a GPU what the function does beside launching is captured into a graph
    that nobody runs.

    Args:
        launch: Launches kernels on ``device``. Loops and branches that depend on what a kernel has
            computed are gone through once.
        device: Where they will run.
    """
    noted: Variants = {}
    with wp.ScopedDevice(device):
        with wp.ScopedCapture() if device.is_cuda else nullcontext(), _launches_noted(noted):
            launch()
        with ThreadPoolExecutor(min(MAX_WORKERS, os.cpu_count() or 1)) as pool:
            loads = [
                # Without a number Warp would take those of blocks that are loaded already.
                pool.submit(wp.load_module, module, device, block_dim=block_dim or 0)
                for module, block_dim in noted
            ]
        for load in loads:
            load.result()


@contextmanager
def _launches_noted(noted: Variants) -> Iterator[None]:
    """Note what is launched instead of launching it.

    Args:
        noted: Where to.
    """

    def note(kernel: wp.Kernel, *args: Any, block_dim: int | None = None, **rest: Any) -> None:
        if kernel in asked:
            # Otherwise the question is answered from a variant of blocks of 256 threads, which
            # nothing launches, and MuJoCo Warp asks about the kernel that compiles longest.
            wp.set_module_options({"block_dim": block_dim or 256}, kernel.module)
        noted.setdefault((kernel.module, block_dim))

    def note_question(kernel: wp.Kernel, device: Any = None) -> tuple[int, int]:
        asked.add(kernel)
        return 1, 1

    def go_through(condition: Any, *bodies: Any, stream: Any = None, **arguments: Any) -> None:
        named = ("on_true", "on_false", "while_body")
        bodies = (*bodies, *(arguments.pop(name, None) for name in named))
        for body in bodies:
            if callable(body):
                body(**arguments)

    asked: set[wp.Kernel] = set()
    instead = {
        "launch": note,
        "launch_tiled": note,
        "get_suggested_block_size": note_question,
        "capture_if": go_through,
        "capture_while": go_through,
    }
    # Warp has no hook for launches; all code calls these by their names in its module.
    originals = {name: getattr(wp, name) for name in instead}
    wp.__dict__.update(instead)
    try:
        yield
    finally:
        wp.__dict__.update(originals)


def use_kernel_cache(folder: Path) -> None:
    """Keep compiled kernels in a folder, as Warp does where ``WARP_CACHE_PATH`` names it.

    Args:
        folder: The folder; it is made where there is none.

    Raises:
        UserError: It cannot be written.
    """
    wp.init()
    # A version of Warp uses no kernels of another; it makes such a folder itself, but only once.
    cache = folder.resolve() / wp.config.version
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write kernels to {folder}: {error.strerror}") from error
    wp.config.kernel_cache_dir = str(cache)


def kernel_cache() -> Path:
    """Folder of the compiled kernels of this version of Warp."""
    wp.init()
    return Path(wp.config.kernel_cache_dir or "")


def compiled_modules() -> set[Path]:
    """Files of the modules that are in the cache, each for one device and one size of blocks."""
    return {path for path in kernel_cache().glob("wp_*/*") if path.suffix in BINARIES}
