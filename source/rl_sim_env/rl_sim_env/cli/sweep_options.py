"""Options of the sweep program."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from rl_sim_env.cli.options import Flag, Unset
from rl_sim_env.cli.sweep_file import Sweep


@dataclass(kw_only=True)
class SweepOptions:
    """Train and evaluate several settings with several seeds, and compare them.

    One run at a time on each GPU, and on CPUs as many as the cores are enough for. The same command
    goes on with what an earlier one left undone.
    """

    file: tyro.conf.Positional[Path]
    """The sweep: a YAML file; docs/sweeps.md says what stands in it."""

    device: Unset[Literal["cpu", "cuda"]] = None
    """Whether runs take GPUs; default: where there are any."""

    dry_run: Flag = False
    """Only print the commands, those of a run on one line."""

    def __post_init__(self) -> None:
        Sweep.read(self.file)
