"""The commands of ``rl-sim-env motions``, as dataclasses that a command line parser fills."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from rl_sim_env.errors import UserError
from rl_sim_env.motions.inspect import clip_table, draw_footfalls
from rl_sim_env.motions.kinematics import LegKinematics
from rl_sim_env.motions.library import generated_clip_folder, load_clips, write_generated_clips
from rl_sim_env.motions.readers import (
    PYBULLET_LEG_ORDER,
    MotionFormat,
    read_amp_for_hardware,
    read_grq20_npz,
    read_motion_imitation,
)
from rl_sim_env.motions.replay import replay_clip
from rl_sim_env.motions.retarget import SOURCE_ROBOTS, Recording, SourceRobot, retarget
from rl_sim_env.robots.grq20_v2d3.constants import MJCF_PATH

ClipPaths = Annotated[tuple[str, ...], tyro.conf.Positional]


@dataclass(kw_only=True)
class Generate:
    """Make the clips for the robot at hand."""

    output: Path | None = None
    """Folder to write them to; default: the cache, from which training takes them."""

    mjcf: Path = MJCF_PATH
    """The robot's model."""

    def run(self) -> None:
        """Make the clips and say where they are."""
        if self.output is None:
            folder = generated_clip_folder(self.mjcf)
        else:
            folder = self.output
            write_generated_clips(folder, self.mjcf)
        print(f"{len(list(folder.glob('*.npz')))} clips in {folder}")


@dataclass(kw_only=True)
class Inspect:
    """Print a table of clips and draw their foot-falls."""

    clips: ClipPaths = ()
    """Files, folders or patterns; default: the generated clips."""

    diagram: Path | None = None
    """Image file for the foot-fall diagram."""

    def run(self) -> None:
        """Print the table; draw the diagram if a file is given for it."""
        clips = load_clips(self.clips or None)
        Console().print(clip_table(clips))
        if self.diagram is not None:
            draw_footfalls(clips, self.diagram)
            print(f"foot-falls drawn in {self.diagram}")


@dataclass(kw_only=True)
class Import:
    """Bring a motion of another format onto the robot at hand."""

    file: Annotated[Path, tyro.conf.Positional]
    """The file to read."""

    format: MotionFormat
    """What it is."""

    output: Path
    """Clip to write (.npz)."""

    licence: str
    """Terms under which the motion may be used; they go into the clip."""

    robot: str | None = None
    """Robot it was recorded on: a1, go2, laikago or an MJCF with our joint names; default: laikago
    for motion-imitation, else the robot at hand."""

    leg_order: str = ",".join(PYBULLET_LEG_ORDER)
    """Order of the legs in the columns of the text formats."""

    mjcf: Path = MJCF_PATH
    """Model of the robot at hand."""

    def run(self) -> None:
        """Read, retarget, write and print what came out."""
        clip, missed = retarget(
            self._read(), LegKinematics.from_mjcf(self.mjcf), licence=self.licence
        )
        clip.save(self.output)
        Console().print(clip_table([clip]))
        print(f"worst foot target {1000.0 * missed:.0f} mm out of reach")

    def _read(self) -> Recording:
        leg_order = self.leg_order.split(",")
        if self.format == "amp-for-hardware":
            return read_amp_for_hardware(self.file, self._source_robot(), leg_order)
        if self.format == "motion-imitation":
            return read_motion_imitation(self.file, self._source_robot("laikago"), leg_order)
        return read_grq20_npz(self.file, self._source_robot().legs)

    def _source_robot(self, default: str | None = None) -> SourceRobot:
        name = self.robot or default or str(self.mjcf)
        if name in SOURCE_ROBOTS:
            return SOURCE_ROBOTS[name]
        if not Path(name).is_file():
            raise UserError(f"--robot {name}: neither a file nor one of {', '.join(SOURCE_ROBOTS)}")
        return SourceRobot(name=Path(name).stem, legs=LegKinematics.from_mjcf(name))


@dataclass(kw_only=True)
class Replay:
    """Let the robot follow clips in the physics and say how well it did."""

    clips: ClipPaths = ()
    """Files, folders or patterns; default: the generated clips."""

    mjcf: Path = MJCF_PATH
    """The robot's model."""

    def run(self) -> None:
        """Replay the clips and print a table.

        Raises:
            UserError: The robot fell in one of them; after the table.
        """
        clips = load_clips(self.clips or None, mjcf_path=self.mjcf)
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("clip", no_wrap=True)
        for heading in ("upright s", "of s", "joints rad", "velocity m/s", "peak N m"):
            table.add_column(heading, justify="right")
        reports = [replay_clip(clip, self.mjcf) for clip in clips]
        for report in reports:
            table.add_row(
                report.name,
                f"{report.upright_for:.2f}",
                f"{report.duration:.2f}",
                f"{report.joint_rmse:.3f}",
                f"{report.velocity_rmse:.3f}",
                f"{report.torque_peak:.0f}",
            )
        Console().print(table)
        fallen = [report.name for report in reports if report.fell]
        if fallen:
            raise UserError(
                f"the robot falls when it follows {', '.join(fallen)}; give these clips the weight "
                "0 or leave them out"
            )


MotionsCommand = (
    Annotated[Generate, tyro.conf.subcommand("generate")]
    | Annotated[Inspect, tyro.conf.subcommand("inspect")]
    | Annotated[Import, tyro.conf.subcommand("import")]
    | Annotated[Replay, tyro.conf.subcommand("replay")]
)
"""What follows ``rl-sim-env motions``; ``run()`` does it."""
