"""What a program runs on: its devices, its threads, and names for reports and records."""

from __future__ import annotations

import ctypes
import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rl_sim_env.errors import UserError

_DRIVER = "libcuda.so.1"
_GPUS = Path("/proc/driver/nvidia/gpus")


def require_device_name(device: str) -> None:
    """Refuse what names no device that there can be on any machine.

    Raises:
        UserError: It does not.
    """
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise UserError(f"--device {device}: no such device; use cpu, cuda or cuda:N")


def require_device(device: str) -> None:
    """Refuse a device that is certainly not there, without torch, which knows for certain.

    Raises:
        UserError: It names no device, there is no driver, or there are fewer GPUs.
    """
    require_device_name(device)
    if device == "cpu":
        return
    if not has_driver():
        raise UserError(
            f"--device {device}: there is no NVIDIA driver here ({_DRIVER}); use --device cpu"
        )
    index = int(device.partition(":")[2] or 0)
    # Not everywhere, WSL say.
    if _GPUS.is_dir() and index >= (found := len([*_GPUS.iterdir()])):
        there = "is 1 GPU" if found == 1 else f"are {found} GPUs"
        raise UserError(
            f"--device {device}: there {there} here, counted from 0; use another or --device cpu"
        )


def has_driver() -> bool:
    """Whether there is a driver for GPUs, without which there are none."""
    try:
        ctypes.CDLL(_DRIVER)
    except OSError:
        return False
    return True


def processor_name() -> str:
    """Model of the processor."""
    names = Path("/proc/cpuinfo")
    text = names.read_text(encoding="utf-8", errors="replace") if names.is_file() else ""
    lines = text.splitlines()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or "unknown processor")


def available_cores() -> int:
    """Cores that this process may use."""
    has_affinity = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1


def device_name(device: str) -> str:
    """Model of a torch device, the processor's for ``cpu``."""
    # Here and below: this import takes seconds, which a misspelt device must not cost.
    import torch

    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return processor_name()


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Limit torch's CPU threads for a while."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
