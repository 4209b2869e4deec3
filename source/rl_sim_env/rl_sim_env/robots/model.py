"""From a robot's file to the model that all programs simulate: its own parts, checked, no more."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache

# Before mjlab.utils.spec, which it imports back.
import mjlab.actuator  # noqa: F401
import mujoco
import numpy as np
from mjlab.utils.spec import non_default_option_fields

from rl_sim_env.errors import Notice, UserError
from rl_sim_env.mjcf import missing_parts, read_spec
from rl_sim_env.robots.robot import Leg, Robot, TrunkBox

ROBOT_CONTYPE, ROBOT_CONAFFINITY = 0, 1
"""Robot geoms meet what has a contact type of 1, as the ground, and not each other."""

FOOT_PRIORITY = 1
"""Feet decide the friction of their contacts."""

ROLLING_FRICTION = (0.005, 0.0001)
"""Torsional and rolling friction of the feet [m]; MuJoCo's defaults."""

COLLISION_GROUP, VISUAL_GROUP = 3, 2
"""Groups of geoms that touch, and that are only looked at."""

FOOT_CONDIM = 3
"""Feet slide, and neither twist nor roll on the ground."""

FREE_JOINT = "floating_base"
"""Name of the trunk's free joint where the model has none."""

SITE_TOLERANCE = 1e-3
"""How far a foot's site may be from the centre of its sphere [m]."""

NAMES_SHOWN = 3
"""Names of a kind that a message about parts left out shows."""

COPIED_GEOM_FIELDS = (
    "type",
    "size",
    "solref",
    "solimp",
    "solmix",
    "margin",
    "gap",
    "group",
    "rgba",
    "mass",
    "density",
)
"""What a foot's sphere keeps when it becomes a body of its own; contacts are set for all feet."""

PAYLOAD_COLOR = (0.95, 0.55, 0.1, 1.0)


_DEFAULT = mujoco.MjSpec()

_SIZES = (
    *("memory", "njmax", "nconmax", "nstack", "nuserdata", "nkey"),
    *(f"nuser_{kind}" for kind in ("body", "jnt", "geom", "site", "cam")),
    *(f"nuser_{kind}" for kind in ("tendon", "actuator", "sensor")),
)
"""Sizes that a file may state, which MuJoCo would warn of when the robot is put into a scene."""


def load_model(robot: Robot) -> mujoco.MjSpec:
    """The robot's model, as all programs use it.

    Of the file, the trunk with everything that hangs on it counts: bodies, joints, geoms, sites,
    meshes. Left out, and named in a warning, is what would act beside the trainer without being
    asked for: actuators, equalities, tendons, contact pairs and excludes, other bodies and geoms of
    the world such as a floor, and options such as the time step. Sensors, keyframes, lights and
    cameras of the world act on nothing and are left out without a word.

    Taken care of: the trunk gets a free joint where it has none; a foot's sphere becomes a body of
    its own with a site at its centre; geoms that touch meet the ground and not each other; drives
    bring their armature; a :class:`~rl_sim_env.robots.robot.TrunkBox` is put on the trunk.

    Args:
        robot: The robot.

    Raises:
        UserError: The file cannot be read, or lacks parts; the message lists all of them.
    """
    spec = read_spec(robot.mjcf_path)
    _check_parts(spec, robot)
    left_out = _leave_out(spec, robot)
    if left_out:
        _warn_once(f"robot model {robot.mjcf_path}: left out: {', '.join(left_out)}")
    _free_base(spec, robot)
    for leg in robot.legs:
        _separate_foot(spec, robot, leg)
    _restrict_contacts(spec, robot)
    for name, drive in robot.drives.items():
        if drive.armature is not None:
            spec.joint(name).armature = drive.armature
    if isinstance(robot.payload, TrunkBox):
        _add_box(spec, robot.base_body, robot.payload)
    return spec


@cache
def _warn_once(message: str) -> None:
    """Warn in the first of the places where a program loads a model."""
    warnings.warn(message, Notice, stacklevel=3)


def _check_parts(spec: mujoco.MjSpec, robot: Robot) -> None:
    """Refuse a model that lacks parts of the robot.

    Raises:
        UserError: Names all that is missing or unfit.
    """
    bodies = [robot.base_body, *robot.links]
    joints = list(robot.leg_joints)
    if robot.payload is not None and not isinstance(robot.payload, TrunkBox):
        bodies.append(robot.payload.body)
        joints += robot.payload.joints
    needed = {
        "body": (spec.body, bodies),
        "joint": (spec.joint, joints),
        "geom": (spec.geom, robot.foot_geoms),
    }
    if missing := missing_parts(needed):
        raise UserError(
            f"robot model {robot.mjcf_path} lacks {', '.join(missing)}, which robot {robot.name} "
            "has; rename the parts in the model, or describe your own robot: "
            "rl-sim-env robot check FILE"
        )
    unfit = []
    if spec.body(robot.base_body).parent != spec.worldbody:
        unfit.append(f"body '{robot.base_body}' does not stand in the world by itself")
    driven, base = {*joints}, spec.body(robot.base_body)
    unfit += [
        f"joint '{joint.name}' is neither a leg's nor the payload's, and nothing would drive it"
        for joint in base.find_all("joint")
        # What the trunk itself moves on is looked at later, other bodies are left out.
        if joint.name not in driven and joint.parent != base
    ]
    unfit += [
        f"joint '{name}' is no hinge with a range"
        for name in robot.leg_joints
        if spec.joint(name).type != mujoco.mjtJoint.mjJNT_HINGE
        or not spec.joint(name).range[0] < spec.joint(name).range[1]
    ]
    unfit += [
        f"geom '{name}' is no sphere"
        for name in robot.foot_geoms
        if spec.geom(name).type != mujoco.mjtGeom.mjGEOM_SPHERE
    ]
    if unfit:
        raise UserError(f"robot model {robot.mjcf_path}: {', '.join(unfit)}; change the model")


def _leave_out(spec: mujoco.MjSpec, robot: Robot) -> list[str]:
    """Take out what is not the robot; returns, in words, what of it would have acted."""
    world = spec.worldbody
    for silent in (spec.sensors, spec.keys, world.sites, world.lights, world.cameras):
        for element in list(silent):
            spec.delete(element)
    for size in _SIZES:
        setattr(spec, size, getattr(_DEFAULT, size))
    parts: dict[str, Sequence] = {
        "actuators": spec.actuators,
        "equalities": spec.equalities,
        "tendons": spec.tendons,
        "contact pairs": spec.pairs,
        "contact excludes": spec.excludes,
        "geoms of the world": world.geoms,
        "other bodies": [body for body in world.bodies if body.name != robot.base_body],
    }
    said = []
    for what, elements in parts.items():
        elements = list(elements)
        if elements:
            names = [element.name or "unnamed" for element in elements[:NAMES_SHOWN]]
            more = ", ..." if len(elements) > NAMES_SHOWN else ""
            said.append(f"{len(elements)} {what} ({', '.join(names)}{more})")
        for element in elements:
            spec.delete(element)
    if options := non_default_option_fields(spec.option):
        for name in options:
            setattr(spec.option, name, getattr(_DEFAULT.option, name))
        said.append(f"options ({', '.join(options)})")
    return said


def _free_base(spec: mujoco.MjSpec, robot: Robot) -> None:
    base = spec.body(robot.base_body)
    if not any(joint.type == mujoco.mjtJoint.mjJNT_FREE for joint in base.joints):
        if len(base.joints):
            names = ", ".join(joint.name for joint in base.joints)
            raise UserError(
                f"robot model {robot.mjcf_path}: body '{robot.base_body}' moves on {names}; the "
                "trunk needs a free joint, or none to be given one"
            )
        base.add_freejoint(name=FREE_JOINT)


def _separate_foot(spec: mujoco.MjSpec, robot: Robot, leg: Leg) -> None:
    """Give a foot a body of its own and a site at its centre, where the model has none."""
    geom = spec.geom(leg.foot_geom)
    body, frame = geom.parent, geom.frame
    centre, site = geom.pos.copy(), spec.site(leg.foot_site)
    if (
        site is not None
        and (site.parent, site.frame) == (body, frame)
        and not np.allclose(site.pos, centre, atol=SITE_TOLERANCE)
    ):
        raise UserError(
            f"robot model {robot.mjcf_path}: site '{leg.foot_site}' is not at the centre of geom "
            f"'{leg.foot_geom}'; move it, or let foot_site of leg {leg.name} be a name that the "
            "model does not have: then one is made"
        )
    if body.name != leg.foot_body:
        if spec.body(leg.foot_body) is not None:
            raise UserError(
                f"robot model {robot.mjcf_path}: geom '{leg.foot_geom}' belongs to body "
                f"'{body.name}', not to '{leg.foot_body}'; correct foot_body of leg {leg.name}"
            )
        foot = body.add_body(name=leg.foot_body, pos=centre)
        if frame is not None:
            foot.set_frame(frame)
        copied = {name: getattr(geom, name) for name in COPIED_GEOM_FIELDS}
        # The leg's mass is stated by its body; a foot without a mass of its own adds none.
        mass = {"mass": 0.0} if body.explicitinertial else {}
        spec.delete(geom)
        foot.add_geom(name=leg.foot_geom, **{**copied, **mass})
        body, frame, centre = foot, None, np.zeros(3)
    if site is None:
        site = body.add_site(name=leg.foot_site, pos=centre)
        if frame is not None:
            site.set_frame(frame)


def _restrict_contacts(spec: mujoco.MjSpec, robot: Robot) -> None:
    """Let geoms that touch meet the ground only, and feet decide their friction."""
    for geom in spec.geoms:
        if geom.contype or geom.conaffinity:
            geom.contype, geom.conaffinity = ROBOT_CONTYPE, ROBOT_CONAFFINITY
    for name in robot.foot_geoms:
        foot = spec.geom(name)
        foot.priority, foot.condim = FOOT_PRIORITY, FOOT_CONDIM
        foot.friction = (robot.foot_friction, *ROLLING_FRICTION)


def _add_box(spec: mujoco.MjSpec, base_body: str, box: TrunkBox) -> None:
    body = spec.body(base_body).add_body(name=box.body, pos=box.position)
    shape = {"type": mujoco.mjtGeom.mjGEOM_BOX, "size": box.half_size}
    body.add_geom(
        name=f"{box.body}_collision",
        mass=box.tray_mass,
        contype=ROBOT_CONTYPE,
        conaffinity=ROBOT_CONAFFINITY,
        group=COLLISION_GROUP,
        **shape,
    )
    body.add_geom(
        mass=0.0, contype=0, conaffinity=0, group=VISUAL_GROUP, rgba=PAYLOAD_COLOR, **shape
    )
