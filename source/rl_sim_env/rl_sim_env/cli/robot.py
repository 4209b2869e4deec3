"""Robots from the command line: what a file holds, and a folder to start from."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console
from rich.table import Table

from rl_sim_env.cli.options import Unset
from rl_sim_env.cli.program import run_program
from rl_sim_env.errors import Notice, UserError

if TYPE_CHECKING:
    from rl_sim_env.robots.discovery import Discovery

DRIVE_OPTIONS = {
    "stiffness": ("stiffness", "N m/rad"),
    "damping": ("damping", "N m s/rad"),
    "effort": ("effort_limit", "N m"),
    "speed": ("velocity_limit", "rad/s"),
}
"""Options that drives are made of: what they are called in a :class:`Drive`, and their units."""

STALL_TO_EFFORT = 2.0
"""Stall torque over largest torque where nothing else is said: full torque up to half the speed."""

MAX_LOAD_TO_MASS = 2.0
"""Heaviest load over the robot's own mass. Quadrupeds walk under less than once their mass; what is
far above is a slip of the decimal point, or grams."""

LONGEST_LINE = 5000
"""Columns of a list whose paths are to be copied: whole, however narrow the terminal is."""

ByJoint = Annotated[
    tuple[str, ...], tyro.conf.arg(metavar="PATTERN=VALUE ...", help_behavior_hint="")
]


@dataclass(kw_only=True)
class Check:
    """Tell what a URDF or MJCF holds, what a trainer still has to know, and write a folder of it.

    Values by joint are given as PATTERN=VALUE, the pattern being a regular expression of the whole
    joint name, or as one number for all joints; later ones overrule earlier ones.
    """

    file: Annotated[Path, tyro.conf.Positional]
    """The robot's file."""

    write: Unset[Path] = None
    """Folder to write, which becomes a Python package of that name with the robot's tasks."""

    pose: ByJoint = ()
    """Standing pose [rad], such as '.*thigh.*=0.9'; default: the file's keyframe home."""

    stiffness: ByJoint = ()
    """Position gains of the joint controllers [N m/rad]."""

    damping: ByJoint = ()
    """Velocity gains [N m s/rad]."""

    effort: ByJoint = ()
    """Largest torques [N m]; default: the file's."""

    speed: ByJoint = ()
    """No-load speeds of the drives [rad/s]."""

    max_load: Unset[float] = None
    """Heaviest load in a box on the trunk [kg]; 0: it carries nothing."""

    action_scale: float = 0.3
    """Factor from the policy's actions to joint targets [rad]."""

    def run(self) -> None:
        """Say what was found, and write the folder if one is asked for.

        Raises:
            UserError: The file is no quadruped, or what the folder needs is not said.
        """
        if self.max_load is not None and not 0.0 <= self.max_load < math.inf:
            raise UserError(f"--max_load {self.max_load}: give kilograms, at least 0")
        if not 0.0 < self.action_scale < math.inf:
            raise UserError(f"--action_scale {self.action_scale}: give radians above 0")
        # Only here: these imports take seconds, and a slip should be told at once.
        from rl_sim_env.mjcf import require_file

        require_file(self.file)
        from rl_sim_env.robots.discovery import discover
        from rl_sim_env.robots.robot import MAY_BE_ZERO, is_drive_value

        found = discover(self.file)
        if self.max_load is not None and self.max_load > MAX_LOAD_TO_MASS * found.mass:
            raise UserError(
                f"--max_load {self.max_load:g} kg is {self.max_load / found.mass:.1f} times the "
                f"robot's own {found.mass:.1f} kg; give kilograms, at most "
                f"{MAX_LOAD_TO_MASS:g} times its mass"
            )
        joints = [joint for leg in found.legs for joint in leg.joints]
        given = {
            name: by_joint(f"--{name}", getattr(self, name), joints)
            for name in ("pose", *DRIVE_OPTIONS)
        }
        for name, (field, unit) in DRIVE_OPTIONS.items():
            for joint, value in given[name].items():
                if not is_drive_value(field, value):
                    least = "at least" if field in MAY_BE_ZERO else "more than"
                    raise UserError(f"--{name}: {value:g} {unit} for {joint}; give {least} 0")
        pose = {**(found.pose or {}), **given["pose"]}
        for joint, angle in pose.items():
            low, high = found.joint_range.get(joint, (-math.inf, math.inf))
            if not low <= angle <= high:
                raise UserError(
                    f"--pose: {joint} at {angle:g} rad is outside its range, {low:g} to {high:g}"
                )
        values = {**given, "effort": {**found.effort, **given["effort"]}, "pose": pose}
        Console(markup=False).print(_table(found, values))
        feet = (
            f"{leg.foot_geom} {1000.0 * found.foot_radius[leg.name]:.0f} mm" for leg in found.legs
        )
        print(f"feet, by radius: {', '.join(feet)}")
        if found.left_out:
            print(f"not taken from the file: {'; '.join(found.left_out)}")
        missing = [
            f"--{name} ({unit}) of {_some_of(unknown, joints)}"
            for name, (_, unit) in {"pose": ("", "rad"), **DRIVE_OPTIONS}.items()
            if (unknown := [joint for joint in joints if joint not in values[name]])
        ]
        if self.max_load is None:
            missing.append("--max_load (kg; 0 for none)")
        unlimited = [joint for joint in joints if joint not in found.joint_range]
        if unlimited:
            print(f"limits to be added to the file: {_some_of(unlimited, joints)}")
        if missing:
            print(f"still to be said: {'; '.join(missing)}")
        if self.write is None:
            return
        if missing or unlimited:
            raise UserError(
                f"--write {self.write}: nothing is written before these are known; drives and pose "
                "are never guessed"
            )
        self._write(found, values, joints)

    def _write(
        self, found: Discovery, values: dict[str, dict[str, float]], joints: list[str]
    ) -> None:
        from rl_sim_env.motions.kinematics import LegKinematics
        from rl_sim_env.robots.robot import Drive
        from rl_sim_env.robots.scaffold import describe, sizes, write_package

        assert self.write is not None and self.max_load is not None
        drives = {
            joint: Drive(
                **{field: values[name][joint] for name, (field, _) in DRIVE_OPTIONS.items()},
                stall_torque=STALL_TO_EFFORT * values["effort"][joint],
            )
            for joint in joints
        }
        described = partial(
            describe,
            found,
            name=self.write.name,
            pose=values["pose"],
            drives=drives,
            max_load=self.max_load,
        )
        # How high it stands its legs tell, whatever height they are described with.
        robot = described(standing_height=found.leg_length)
        with warnings.catch_warnings():
            # What is left out of the file was said above.
            warnings.simplefilter("ignore", Notice)
            legs = LegKinematics.from_robot(robot)
        feet = legs.forward(robot.default_joint_pos)
        height = legs.foot_radius - float(feet[:, 2].mean())
        robot = described(standing_height=height)
        tasks = write_package(
            self.write, robot, sizes(found, robot, height), action_scale=self.action_scale
        )
        print(
            f"{self.write}: stands {height:.2f} m high; python -m pip install -e {self.write}, "
            f"then rl-sim-env train --task {tasks[0]}"
        )


def by_joint(option: str, settings: Sequence[str], joints: Sequence[str]) -> dict[str, float]:
    """Values by joint.

    Args:
        option: Name of the option, for messages.
        settings: ``PATTERN=VALUE``, or a number for all joints.
        joints: Names of the joints.

    Raises:
        UserError: A text is neither, or a pattern fits no joint.
    """
    values: dict[str, float] = {}
    for setting in settings:
        pattern, _, number = setting.rpartition("=")
        try:
            value = float(number)
            fits = re.compile(pattern or ".*")
        except (ValueError, re.error) as error:
            raise UserError(
                f"{option} {setting}: give a number, or PATTERN=NUMBER ({error})"
            ) from error
        named = [joint for joint in joints if fits.fullmatch(joint)]
        if not named or not math.isfinite(value):
            raise UserError(
                f"{option} {setting}: no leg joint is called so; there are {', '.join(joints)}"
                if not named
                else f"{option} {setting}: give a finite number"
            )
        values |= dict.fromkeys(named, value)
    return values


def _some_of(some: Sequence[str], joints: Sequence[str]) -> str:
    return "all leg joints" if len(some) == len(joints) else ", ".join(some)


def _table(found: Discovery, values: dict[str, dict[str, float]]) -> Table:
    table = Table(
        title=f"{found.path.name}: {found.mass:.1f} kg, trunk '{found.base_body}' "
        f"{found.trunk_mass:.1f} kg, legs {found.leg_length:.3f} m",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    table.add_column("joint", no_wrap=True)
    for heading in ("range rad", "pose rad", *(unit for _, unit in DRIVE_OPTIONS.values())):
        table.add_column(heading, justify="right", no_wrap=True)
    for leg in found.legs:
        table.add_row(f"{leg.end} {leg.side}")
        for joint in leg.joints:
            limits = found.joint_range.get(joint)
            table.add_row(
                f"  {joint}",
                "none" if limits is None else f"{limits[0]:.2f} to {limits[1]:.2f}",
                *(
                    f"{values[name][joint]:g}" if joint in values[name] else "?"
                    for name in ("pose", *DRIVE_OPTIONS)
                ),
            )
    return table


@dataclass(kw_only=True)
class List:
    """List the robots that there are tasks for."""

    def run(self) -> None:
        """Print a table of them."""
        from rl_sim_env.tasks import robots

        table = Table(box=None, pad_edge=False)
        for heading in ("robot", "legs", "carries", "model"):
            table.add_column(heading, no_wrap=True)
        for robot in robots():
            legs = " ".join(leg.name for leg in robot.legs)
            carries = f"{robot.max_load:g} kg" if robot.payload else "nothing"
            table.add_row(robot.name, legs, carries, str(robot.mjcf_path))
        Console(width=LONGEST_LINE, markup=False).print(table)


RobotCommand = (
    Annotated[Check, tyro.conf.subcommand("check")] | Annotated[List, tyro.conf.subcommand("list")]
)


def main(argv: Sequence[str] | None = None) -> None:
    """Check a robot's file, or list the robots there are."""
    run_program(RobotCommand, lambda command: command.run(), argv, prog="rl-sim-env robot")
