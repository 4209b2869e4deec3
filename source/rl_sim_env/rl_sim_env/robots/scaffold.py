"""A folder to start from for a robot of one's own: its description and its tasks, as a package."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pprint import pformat

from rl_sim_env.conventions import REFERENCE_LEG_LENGTH
from rl_sim_env.errors import UserError
from rl_sim_env.robots.discovery import Discovery
from rl_sim_env.robots.robot import Drive, Robot, TrunkBox

SPAWN_CLEARANCE = 0.06
"""How far the feet hang above the ground at spawn [m]."""

TYPICAL_TORQUE = 2.4
"""What the largest torque is scaled to for the networks."""

BOX_SHARE_OF_LEG = (0.28, 0.19, 0.09)
"""Half size of the box, as shares of the leg's length."""

TRAY_SHARE_OF_MASS = 0.02
"""Mass of the empty box, as a share of the robot's."""

TRUNK_MASS_SHARE = (-0.1, 0.18)
"""What training adds to the trunk's mass, as shares of the robot's mass."""

TRUNK_COM_SHARE = ((-0.09, 0.09), (-0.05, 0.05), (-0.05, 0.09))
"""What training adds to the trunk's centre of mass, as shares of the leg's length."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What a task needs of a robot that follows from its size; a start, to be tuned."""

    torque_scale: float
    scan_offset: float
    swing_height: float
    trunk_mass: tuple[float, float]
    trunk_com: tuple[tuple[float, float], ...]
    terrain_scale: float


def describe(
    found: Discovery,
    *,
    name: str,
    pose: Mapping[str, float],
    drives: Mapping[str, Drive],
    standing_height: float,
    max_load: float,
) -> Robot:
    """The description of a discovered robot.

    Args:
        found: Its parts.
        name: What it shall be called.
        pose: Standing pose by joint [rad].
        drives: What drives each joint.
        standing_height: Height of the trunk in that pose, above the ground [m].
        max_load: Heaviest load of its box [kg]; 0 for no box.

    Raises:
        UserError: These contradict each other.
    """
    length = found.leg_length
    half_size = tuple(round(share * length, 3) for share in BOX_SHARE_OF_LEG)
    box = TrunkBox(
        body="payload",
        max_load=max_load,
        position=(0.0, 0.0, round(3.0 * half_size[2], 3)),
        half_size=half_size,  # type: ignore[arg-type]
        tray_mass=round(TRAY_SHARE_OF_MASS * found.mass, 2),
        place_range=(round(0.6 * half_size[0], 3), round(0.6 * half_size[1], 3)),
    )
    return Robot(
        name=name,
        mjcf_path=found.path.resolve(),
        base_body=found.base_body,
        legs=found.legs,
        leg_joints=tuple(joint for leg in found.legs for joint in leg.joints),
        default_pose=dict(pose),
        drives=dict(drives),
        spawn_height=round(standing_height + SPAWN_CLEARANCE, 3),
        payload=box if max_load > 0.0 else None,
    )


def sizes(found: Discovery, robot: Robot, standing_height: float) -> Sizes:
    """What follows from the size of a robot."""
    scale = found.leg_length / REFERENCE_LEG_LENGTH
    largest = max(drive.effort_limit for drive in robot.drives.values())
    return Sizes(
        torque_scale=round(TYPICAL_TORQUE / largest, 4),
        scan_offset=round(standing_height + 0.13 * found.leg_length, 3),
        swing_height=round(0.14 * found.leg_length, 3),
        trunk_mass=_scaled(TRUNK_MASS_SHARE, found.mass),
        trunk_com=tuple(_scaled(share, found.leg_length) for share in TRUNK_COM_SHARE),
        terrain_scale=round(scale, 2),
    )


def _scaled(share: tuple[float, float], size: float) -> tuple[float, float]:
    low, high = share
    return round(low * size, 3), round(high * size, 3)


def write_package(
    folder: Path, robot: Robot, size: Sizes, *, action_scale: float
) -> tuple[str, ...]:
    """Write a package that registers the robot's tasks.

    Args:
        folder: Where; it must not exist yet. Its name is the package's.
        robot: The robot.
        size: What the task needs beside it.
        action_scale: Factor from actions to joint targets [rad].

    Returns:
        Ids of the tasks.

    Raises:
        UserError: The folder exists, its name is no name of a Python package or that of an
            installed one, or it cannot be written.
    """
    package = folder.name
    if not re.fullmatch(r"[a-z][a-z0-9_]*", package):
        raise UserError(
            f"--write {folder}: '{package}' names a Python package, so it begins with a letter and "
            "holds small letters, digits and underscores"
        )
    if folder.exists():
        raise UserError(f"--write {folder}: is there already; give another name or remove it")
    if importlib.util.find_spec(package) is not None:
        raise UserError(
            f"--write {folder}: there is a Python package '{package}' already, which one of that "
            "name would hide; give another name"
        )
    family = "-".join(part.capitalize() for part in package.split("_"))
    files = {
        "pyproject.toml": _PYPROJECT.format(package=package),
        f"{package}/__init__.py": f'"""The robot {package} and its tasks for rl_sim_env."""\n',
        f"{package}/robot.py": _ROBOT.format(
            name=package, constant=package.upper(), **_literals(robot)
        ),
        f"{package}/tasks.py": _TASKS.format(
            package=package,
            constant=package.upper(),
            family=family,
            action_scale=action_scale,
            **{name: repr(value) for name, value in vars(size).items()},
        ),
    }
    try:
        for path, text in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror}") from error
    return tuple(f"{family}{variant}-v0" for variant in ("-Flat", "", "-Play"))


def _literals(robot: Robot) -> dict[str, str]:
    """Fields of a robot as Python text."""

    def text(value: object, indent: int) -> str:
        lines = pformat(value, width=96 - indent, sort_dicts=False).splitlines()
        return f"\n{' ' * indent}".join(lines)

    drives = ",\n        ".join(f"{joint!r}: {drive!r}" for joint, drive in robot.drives.items())
    legs = ",\n        ".join(repr(leg) for leg in robot.legs)
    return {
        "mjcf_path": repr(str(robot.mjcf_path)),
        "base_body": repr(robot.base_body),
        "legs": legs,
        "leg_joints": text(robot.leg_joints, 4),
        "default_pose": text(dict(robot.default_pose), 4),
        "drives": drives.replace(", armature=None", ""),
        "spawn_height": repr(robot.spawn_height),
        "payload": repr(robot.payload),
    }


_PYPROJECT = """\
[build-system]
requires = ["setuptools>=68"]
build-backend = "setuptools.build_meta"

[project]
name = "{package}"
version = "0.1.0"
dependencies = ["rl_sim_env"]

# Makes the tasks known to rl-sim-env wherever this package is installed.
[project.entry-points."rl_sim_env.tasks"]
{package} = "{package}.tasks"

[tool.setuptools]
packages = ["{package}"]
"""

_ROBOT = '''\
"""The robot: parts by name, pose, drives, payload. Written by ``rl-sim-env robot check``."""

from pathlib import Path

from rl_sim_env.robots import Drive, Leg, Robot, TrunkBox  # noqa: F401

{constant} = Robot(
    name="{name}",
    mjcf_path=Path({mjcf_path}),
    base_body={base_body},
    legs=(
        {legs},
    ),
    leg_joints={leg_joints},
    default_pose={default_pose},
    drives={{
        {drives},
    }},
    spawn_height={spawn_height},
    payload={payload},
)
'''

_TASKS = '''\
"""Its tasks. The numbers follow from the robot's size: a start, to be tuned."""

from rl_sim_env.tasks import PayloadWalkingCfg, register_walking_tasks

from {package}.robot import {constant}

register_walking_tasks(
    "{family}",
    PayloadWalkingCfg(
        robot={constant},
        action_scale={action_scale},
        torque_scale={torque_scale},
        scan_offset={scan_offset},
        swing_height={swing_height},
        trunk_mass={trunk_mass},
        trunk_com={trunk_com},
        terrain_scale={terrain_scale},
    ),
)
'''
