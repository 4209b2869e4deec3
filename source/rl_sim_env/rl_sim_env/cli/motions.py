"""Motion clips from the command line: make, inspect, import and replay them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console
from rich.table import Table

from rl_sim_env.cli.options import Unset
from rl_sim_env.cli.program import run_program
from rl_sim_env.errors import UserError, found_in
from rl_sim_env.motions.formats import PYBULLET_LEG_ORDER, MotionFormat
from rl_sim_env.robots import Robot
from rl_sim_env.tasks import find_robot

if TYPE_CHECKING:
    from rl_sim_env.motions.retarget import Recording, SourceRobot

DEFAULT_ROBOT = "grq20_v2d3"

ClipPaths = Annotated[
    tuple[str, ...],
    tyro.conf.Positional,
    tyro.conf.arg(metavar="FILE ...", help_behavior_hint=""),
]


@dataclass(kw_only=True)
class RobotOptions:
    """Which robot the clips are for."""

    robot: str = DEFAULT_ROBOT
    """Name of the robot."""

    mjcf: Unset[Path] = None
    """Another model of it, with the same parts; default: its own."""

    def __post_init__(self) -> None:
        find_robot(self.robot)

    def find_robot(self) -> Robot:
        """The robot at hand."""
        robot = find_robot(self.robot)
        return robot if self.mjcf is None else robot.with_model(self.mjcf)


@dataclass(kw_only=True)
class Generate(RobotOptions):
    """Make the clips for a robot."""

    output: Unset[Path] = None
    """Folder to write them to; default: the cache, from which training takes them."""

    def run(self) -> None:
        """Make the clips and say where they are."""
        # Here and below: these imports take seconds, and a slip should be told at once.
        from rl_sim_env.motions.library import generated_clip_folder, write_generated_clips

        if self.output is None:
            folder = generated_clip_folder(self.find_robot())
        else:
            folder = self.output
            write_generated_clips(folder, self.find_robot())
        print(f"{len(list(folder.glob('*.npz')))} clips in {folder}")


@dataclass(kw_only=True)
class Inspect(RobotOptions):
    """Print a table of clips and draw their foot-falls."""

    clips: ClipPaths = ()
    """Files, folders or patterns; default: the generated clips."""

    diagram: Unset[Path] = None
    """Image file for the foot-fall diagram."""

    def run(self) -> None:
        """Print the table; draw the diagram if a file is given for it."""
        from rl_sim_env.motions.inspect import clip_table, draw_footfalls
        from rl_sim_env.motions.library import load_clips

        clips = load_clips(self.clips or None, self.find_robot())
        Console(markup=False).print(clip_table(clips))
        if self.diagram is not None:
            draw_footfalls(clips, self.diagram)
            print(f"foot-falls drawn in {self.diagram}")


@dataclass(kw_only=True)
class Import(RobotOptions):
    """Bring a motion of another format, and of another robot, onto a robot."""

    file: Annotated[Path, tyro.conf.Positional]
    """The file to read."""

    format: MotionFormat
    """What it is."""

    output: Path
    """Clip to write (.npz)."""

    licence: str
    """Terms under which the motion may be used; they go into the clip."""

    recorded_on: Unset[str] = None
    """Robot it was recorded on: a1, go2, laikago, or the name of one of ours; default: laikago for
    motion-imitation, else the robot that it is brought onto."""

    leg_order: str = ",".join(PYBULLET_LEG_ORDER)
    """Order of the legs in the columns of the text formats."""

    foot_order: Unset[str] = None
    """Order of the legs in the foot columns of amp-for-hardware; default: that of the joints."""

    def run(self) -> None:
        """Read, retarget, write and print what came out.

        Raises:
            UserError: The file is malformed, or what it says cannot be.
        """
        from rl_sim_env.motions.inspect import clip_table
        from rl_sim_env.motions.kinematics import LegKinematics
        from rl_sim_env.motions.plausibility import LARGEST_MISS, require_possible
        from rl_sim_env.motions.retarget import retarget

        clip, missed = retarget(
            self._read(), LegKinematics.from_robot(self.find_robot()), licence=self.licence
        )
        with found_in(f"motion file {self.file}"):
            require_possible(clip)
            if missed > LARGEST_MISS:
                raise UserError(
                    f"a foot is {missed:.2f} m out of the reach of robot {self.robot}; look at the "
                    "order of legs and joints, and which robot was recorded"
                )
        clip.save(self.output)
        Console(markup=False).print(clip_table([clip]))
        print(f"worst foot target {1000.0 * missed:.0f} mm out of reach")

    def _read(self) -> Recording:
        from rl_sim_env.motions.readers import (
            read_amp_for_hardware,
            read_grq20_npz,
            read_motion_imitation,
        )

        leg_order = self.leg_order.split(",")
        if self.format == "amp-for-hardware":
            foot_order = None if self.foot_order is None else self.foot_order.split(",")
            return read_amp_for_hardware(self.file, self._source_robot(), leg_order, foot_order)
        if self.format == "motion-imitation":
            return read_motion_imitation(self.file, self._source_robot("laikago"), leg_order)
        return read_grq20_npz(self.file, self._source_robot().legs)

    def _source_robot(self, default: str | None = None) -> SourceRobot:
        from rl_sim_env.motions.kinematics import LegKinematics
        from rl_sim_env.motions.retarget import SOURCE_ROBOTS, SourceRobot

        name = self.recorded_on or default
        if name in SOURCE_ROBOTS:
            return SOURCE_ROBOTS[name]
        try:
            robot = self.find_robot() if name is None else find_robot(name)
        except UserError as error:
            raise UserError(
                f"{error}; recordings may also be of {', '.join(SOURCE_ROBOTS)}"
            ) from error
        return SourceRobot(name=robot.name, legs=LegKinematics.from_robot(robot))


@dataclass(kw_only=True)
class Replay(RobotOptions):
    """Let the robot follow clips in the physics and say how well it did."""

    clips: ClipPaths = ()
    """Files, folders or patterns; default: the generated clips."""

    def run(self) -> None:
        """Replay the clips and print a table.

        Raises:
            UserError: The robot fell in one of them; after the table.
        """
        from rl_sim_env.motions.library import load_clips
        from rl_sim_env.motions.replay import replay_clip

        robot = self.find_robot()
        clips = load_clips(self.clips or None, robot)
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("clip", no_wrap=True)
        for heading in ("upright s", "of s", "joints rad", "velocity m/s", "peak N m"):
            table.add_column(heading, justify="right")
        reports = [replay_clip(clip, robot) for clip in clips]
        for report in reports:
            table.add_row(
                report.name,
                f"{report.upright_for:.2f}",
                f"{report.duration:.2f}",
                f"{report.joint_rmse:.3f}",
                f"{report.velocity_rmse:.3f}",
                f"{report.torque_peak:.0f}",
            )
        Console(markup=False).print(table)
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


def main(argv: Sequence[str] | None = None) -> None:
    """Make, inspect, import or replay motion clips."""
    run_program(MotionsCommand, lambda command: command.run(), argv, prog="rl-sim-env motions")
