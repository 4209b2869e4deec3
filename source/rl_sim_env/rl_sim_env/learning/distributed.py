"""Several processes, one training run: ranks, devices, seeds, exchange of values, a common end."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]
from torch.distributed.distributed_c10d import PrefixStore, Store

from rl_sim_env.errors import UserError
from rl_sim_env.hardware import require_device_name

_LAUNCH_EXAMPLE = "torchrun --nproc_per_node=4 scripts/rsl_rl/train.py --distributed ..."
_TORCHRUN_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_COLLECTIVE_TIMEOUT_S = 600.0
_STORE_TIMEOUT_S = 10.0
_RUN_KEY = "rl_sim_env/run"
# gloo reports a lost peer as a bare RuntimeError, told from others only by the name in its text.
_COLLECTIVE_LIBRARIES = ("gloo", "NCCL")

T = TypeVar("T")


def resolve_device(requested: str | None, local_rank: int = 0) -> str:
    """Return the torch device to run on.

    Args:
        requested: "cpu", "cuda", "cuda:N", or None for CUDA where there is any and else the CPU.
        local_rank: Index of this process on its host; picks the GPU where ``requested`` names none.

    Raises:
        UserError: The device does not exist on this machine.
    """
    available = torch.cuda.device_count()
    if requested is None:
        requested = "cuda" if available else "cpu"
    require_device_name(requested)
    device = torch.device(requested)
    if device.type == "cpu":
        return "cpu"
    index = local_rank if device.index is None else device.index
    if index >= available:
        found = f"{available} CUDA device(s)" if available else "no CUDA device"
        raise UserError(
            f"--device cuda:{index}: torch sees {found} here; use another or --device cpu"
        )
    return f"cuda:{index}"


@dataclass(frozen=True, kw_only=True)
class Distributed:
    """The processes of a run as one of them sees them; a single process by default.

    Used as a context manager, it ends the process group with the run and turns the error that a
    collective raises after another process died into one line for the user.
    """

    device: str = "cpu"
    """Torch device of this process."""
    rank: int = 0
    """Index of this process among all, 0 for the one that writes."""
    world_size: int = 1
    """Number of processes."""
    node: int | None = None
    """Index of the torchrun that started this process, one on each host; None without any."""

    @classmethod
    def launch(
        cls,
        *,
        distributed: bool,
        device: str | None = None,
        timeout_s: float = _COLLECTIVE_TIMEOUT_S,
    ) -> Distributed:
        """Join the processes that torchrun started, or stand alone.

        Args:
            distributed: Whether the user asked for many processes.
            device: Device as in ``resolve_device``; among many processes without an index.
            timeout_s: Longest wait for another process in a collective [s].

        Raises:
            UserError: ``distributed`` and the way this process was started contradict each other,
                or the device does not exist.
        """
        if not distributed:
            if int(os.environ.get("WORLD_SIZE", "1")) > 1:
                raise UserError(
                    "torchrun started several processes but --distributed is missing: each would "
                    "train on its own and write the same files; add --distributed"
                )
            return cls(device=resolve_device(device))
        missing = [name for name in _TORCHRUN_VARIABLES if name not in os.environ]
        if missing:
            raise UserError(
                f"--distributed needs to be started by torchrun ({', '.join(missing)} not set): "
                f"{_LAUNCH_EXAMPLE}"
            )
        if device is not None and ":" in device:
            raise UserError(
                f"--device {device} with --distributed: the local rank picks the GPU; "
                "give --device cuda or --device cpu, or choose GPUs by CUDA_VISIBLE_DEVICES"
            )
        processes = cls(
            device=resolve_device(device, int(os.environ["LOCAL_RANK"])),
            rank=int(os.environ["RANK"]),
            world_size=int(os.environ["WORLD_SIZE"]),
            node=int(node) if (node := os.environ.get("GROUP_RANK")) else None,
        )
        if processes.world_size > 1:
            on_gpu = processes.device != "cpu"
            if on_gpu:
                torch.cuda.set_device(processes.device)
            # torchrun keeps its store when it starts processes anew, and torch then takes the
            # addresses of those before for those of today.
            attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
            dist.init_process_group(
                "nccl" if on_gpu else "gloo",
                store=PrefixStore(f"rl_sim_env/{attempt}", processes.open_store(timeout_s)),
                rank=processes.rank,
                world_size=processes.world_size,
                timeout=timedelta(seconds=timeout_s),
            )
        return processes

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes files and prints."""
        return self.rank == 0

    def seed_all(self, seed: int) -> int:
        """Seed python, numpy and torch for this process and return the seed used.

        The offset is the global rank: the local one repeats on every host.
        """
        seed += self.rank
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)
        return seed

    def all_gather(self, value: T) -> list[T]:
        """Return the value of every process, by rank. Waits for all; for small host values."""
        if self.world_size == 1:
            return [value]
        values: list[T | None] = [None] * self.world_size
        dist.all_gather_object(values, value)
        return values  # type: ignore[return-value]

    def require_same(self, **values: object) -> None:
        """Refuse what differs between processes and must not. All processes call it.

        Args:
            **values: What each process has, by name.

        Raises:
            UserError: Something differs; the message names it, with two ranks and their values.
        """
        first, *others = self.all_gather(values)
        for rank, other in enumerate(others, start=1):
            for name, value in other.items():
                if value != first[name]:
                    raise UserError(
                        f"{name}: rank 0 has {first[name]}, rank {rank} has {value}; all processes "
                        "of a run need the same, so give every torchrun the same options"
                    )

    def broadcast(self, value: T) -> T:
        """Return the value that rank 0 passed, for instance the run's folder."""
        return self.all_gather(value)[0]

    def decided_by_main(self, decide: Callable[[], T]) -> T:
        """Return what rank 0 decides. All processes call it; those of other hosts see other files.

        Raises:
            UserError: Rank 0 was refused; all processes are then, for the same reason.
        """
        decided: T | UserError | None = None
        if self.is_main:
            try:
                decided = decide()
            except UserError as error:
                decided = error
        decided = self.broadcast(decided)
        if isinstance(decided, UserError):
            raise decided
        return decided  # type: ignore[return-value]

    def require_seen(self, file: Path | None) -> None:
        """Refuse a file that rank 0 has found and others do not see. All processes call it.

        Raises:
            UserError: Some do not see it; the message names their hosts.
        """
        if file is None:
            return
        seen = self.all_gather((file.is_file(), socket.gethostname()))
        if blind := sorted({host for sees, host in seen if not sees}):
            raise UserError(
                f"{file}: rank 0, on {seen[0][1]}, has found it, but {', '.join(blind)} sees no "
                "such file; start every torchrun in a folder that all hosts share, or copy the "
                "file to the same place on each"
            )

    def open_store(self, timeout_s: float = _STORE_TIMEOUT_S) -> Store:
        """Connect to the store of torchrun, by a connection that no collective holds up.

        Args:
            timeout_s: Longest wait for an answer [s].

        Raises:
            RuntimeError: It does not answer.
        """
        has_agent = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
        return TCPStore(
            os.environ["MASTER_ADDR"],
            int(os.environ["MASTER_PORT"]),
            is_master=self.is_main and not has_agent,
            wait_for_workers=False,
            timeout=timedelta(seconds=timeout_s),
            multi_tenant=True,
        )

    def note_run(self, folder: Path) -> None:
        """Tell the processes that torchrun starts in place of these where the run was saved."""
        if self.node is not None:
            with suppress(RuntimeError):
                self.open_store().set(_RUN_KEY, str(folder.absolute()))

    def noted_run(self) -> Path | None:
        """Where the run was saved before torchrun started it anew; None where it was not."""
        if self.node is None:
            return None
        store = self.open_store()
        return Path(store.get(_RUN_KEY).decode()) if store.check([_RUN_KEY]) else None

    def __enter__(self) -> Distributed:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if self.world_size == 1:
            return
        if error is None:
            dist.destroy_process_group()
        elif is_lost_peer(error):
            raise UserError(
                f"rank {self.rank}: another process of this run ended or stopped answering, so "
                "this one ends too; the first message of that process says why. Continue from the "
                "last checkpoint with --resume"
            ) from error
        # After any other error the group stays up until this process is gone: ending it could wait
        # for the others, who learn of the loss from their closed connections.


def is_lost_peer(error: BaseException) -> bool:
    """Whether an error is that of a collective after another process ended."""
    return isinstance(error, RuntimeError) and (
        isinstance(error, dist.DistError)
        or any(library in str(error) for library in _COLLECTIVE_LIBRARIES)
    )
