"""Options of the evaluation program."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import tyro

from rl_sim_env.cli.options import (
    EnvironmentOptions,
    Flag,
    PolicyOptions,
    RobotOptions,
    Unset,
    require_output,
    require_positive,
)
from rl_sim_env.cli.program import check_counts
from rl_sim_env.errors import UserError, known_names
from rl_sim_env.mdp.hardware_sensors_cfg import SensorModel

PROTOCOL_NAMES = (
    *("tracking", "estimation", "survival", "pushes", "load_limits"),
    *("levels", "violations", "footholds", "gait", "sim_to_sim"),
)
"""What can be measured; the protocols themselves import the simulator."""


@dataclass(kw_only=True)
class EvaluateOptions(EnvironmentOptions, RobotOptions, PolicyOptions):
    """Measure a trained policy and write a report: figures, plots and a web page."""

    task: Unset[str] = None
    """Id of the task to evaluate on; default: the one that the policy was trained on."""

    checkpoint: Unset[str] = None
    """Policy to evaluate: file, file name in the run, run folder or experiment folder, or the
    exported policy_no_history.onnx, or its folder; default: the newest of the run."""

    takes_exported: ClassVar[bool] = True

    output: Unset[Path] = None
    """Folder of the report; an earlier report there is replaced when all is measured. Until then,
    what is measured stands beside it in a folder that ends in .unfinished. Default: report, beside
    the checkpoint, and for the policy of the checkout in the working directory."""

    protocols: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="NAME ...", help_behavior_hint="")
    ] = ()
    """What to measure: tracking, estimation, survival, pushes, load_limits, levels, violations,
    footholds, gait, sim_to_sim; default: everything."""

    seeds: Annotated[
        tuple[int, ...] | None, tyro.conf.arg(metavar="INT ...", help_behavior_hint="")
    ] = None
    """Seeds of the walks, over which figures spread; default: 0 to 4."""

    robots: Unset[int] = None
    """Robots in each walk; default: what suits the device."""

    seconds: Unset[float] = None
    """Length of a walk [s]; default: what suits the device."""

    survival_seconds: Unset[float] = None
    """Length of a survival walk [s]; default: what suits the device."""

    levels: Annotated[
        tuple[int, ...] | None, tyro.conf.arg(metavar="INT ...", help_behavior_hint="")
    ] = None
    """Levels of the terrain that robots stand on in equal shares, from 0; default: 1 to 4."""

    sensors: Annotated[tuple[SensorModel, ...], tyro.conf.arg(help_behavior_hint="")] = ()
    """How sensors are: ideal, as on hardware, or both; all is measured with each. Default: as in
    training."""

    p_boot_mean: float = 1.0
    """Share of the policy's own estimates in what its actor reads: 1 estimates, 0 the truth, for
    policies that were trained on it or as an upper bound, without sim_to_sim."""

    quick: Flag = False
    """A minute's try: one seed of a few robots, without load_limits, levels and sim_to_sim unless
    they are named; its figures mean little."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_output(self.output, "the report")
        for name in self.protocols:
            if name not in PROTOCOL_NAMES:
                raise UserError(f"unknown protocol '{name}'; {known_names(name, PROTOCOL_NAMES)}")
        check_counts(robots=self.robots)
        require_positive(seconds=self.seconds, survival_seconds=self.survival_seconds)
        for name in ("seeds", "levels"):
            numbers = getattr(self, name)
            if numbers is not None and (
                not numbers or min(numbers) < 0 or len({*numbers}) < len(numbers)
            ):
                given = " ".join(map(str, numbers))
                raise UserError(f"--{name} {given}: give different whole numbers from 0")
        if not 0.0 <= self.p_boot_mean <= 1.0:
            raise UserError(
                f"--p_boot_mean {self.p_boot_mean}: must be from 0 (truth) to 1 (estimates)"
            )
        if len({*self.sensors}) < len(self.sensors):
            raise UserError(f"--sensors {' '.join(self.sensors)}: name each only once")
