"""What a robot's file holds: its legs, found by their shape, and what it does not say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np

from rl_sim_env.errors import UserError, found_in
from rl_sim_env.mjcf import read_spec, require_file
from rl_sim_env.robots.robot import JOINT_KINDS, NUM_LEGS, Leg

JOINTS_PER_LEG = len(JOINT_KINDS)

STANDING_KEYFRAMES = ("home", "stand", "standing", "default")
"""Keyframes that are taken for the standing pose, in this order."""


@dataclass(frozen=True, kw_only=True)
class Discovery:
    """A robot as found in its file."""

    path: Path
    """The file."""

    base_body: str
    """Trunk."""

    legs: tuple[Leg, ...]
    """Legs in the order of the file."""

    mass: float
    """Mass of the robot [kg]."""

    trunk_mass: float
    """Mass of the trunk with all that is fixed to it [kg]."""

    joint_range: Mapping[str, tuple[float, float]]
    """Limits of the leg joints [rad]."""

    leg_length: float
    """Greatest distance from thigh joint to foot by the links' lengths, mean of the legs [m]."""

    foot_radius: Mapping[str, float]
    """Radius of each leg's foot, by leg [m]."""

    pose: Mapping[str, float] | None
    """Standing pose of the leg joints, from a keyframe of the file [rad]; None: it has none."""

    effort: Mapping[str, float]
    """Largest torque of leg joints, where the file's actuators or joints tell [N m]."""

    left_out: tuple[str, ...]
    """What else is in the file, in words."""


def discover(path: Path | str) -> Discovery:
    """Find the parts of a quadruped in an MJCF or URDF.

    A leg is a chain of three hinges between the trunk and a foot, and a foot is the sphere that
    touches, furthest down the chain. Names say nothing: sides and ends follow from where feet are.

    Args:
        path: The file.

    Raises:
        UserError: The file cannot be read, or is no quadruped of that kind; the message says what
            was found and what is missing.
    """
    path = Path(path)
    require_file(path)
    model = read_spec(path).compile()
    data = mujoco.MjData(model)
    pose_of = _standing_keyframe(model)
    if pose_of is not None:
        data.qpos[:] = model.key_qpos[pose_of]
    mujoco.mj_kinematics(model, data)

    with found_in(f"robot model {path}"):
        base = _find_trunk(model)
        chains = _find_chains(model, base)
        feet = [_find_foot(model, data, chain[-1]) for chain in chains]
        legs = _name_legs(model, data, base, chains, feet)
    joints = [joint for chain in chains for joint in chain]
    names = [model.joint(joint).name for joint in joints]
    lengths = [_chain_length(data, chain, foot) for chain, foot in zip(chains, feet, strict=True)]
    return Discovery(
        path=path,
        base_body=model.body(base).name,
        legs=legs,
        mass=float(model.body_subtreemass[base]),
        trunk_mass=float(model.body_subtreemass[base])
        - sum(float(model.body_subtreemass[model.jnt_bodyid[chain[0]]]) for chain in chains),
        joint_range={
            name: (float(model.jnt_range[joint, 0]), float(model.jnt_range[joint, 1]))
            for name, joint in zip(names, joints, strict=True)
            if model.jnt_limited[joint]
        },
        leg_length=float(np.mean(lengths)),
        foot_radius={
            leg.name: float(model.geom_size[foot, 0]) for leg, foot in zip(legs, feet, strict=True)
        },
        pose=None
        if pose_of is None
        else {
            name: float(data.qpos[model.jnt_qposadr[joint]])
            for name, joint in zip(names, joints, strict=True)
        },
        effort=_efforts(model, dict(zip(joints, names, strict=True))),
        left_out=_left_out(model, base, joints),
    )


def _standing_keyframe(model: mujoco.MjModel) -> int | None:
    names = [model.key(index).name for index in range(model.nkey)]
    return next((names.index(name) for name in STANDING_KEYFRAMES if name in names), None)


def _hinges(model: mujoco.MjModel, body: int) -> list[int]:
    first, count = model.body_jntadr[body], model.body_jntnum[body]
    return [
        joint
        for joint in range(first, first + count)
        if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_HINGE
    ]


def _children(model: mujoco.MjModel, body: int) -> list[int]:
    return [int(b) for b in np.flatnonzero(model.body_parentid == body) if b != body]


def _find_trunk(model: mujoco.MjModel) -> int:
    """The body that four legs hang on: the nearest to the world with four branches of hinges."""
    for body in range(1, model.nbody):
        if sum(bool(_chain(model, child)) for child in _children(model, body)) >= NUM_LEGS:
            return body
    hinges = int((model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE).sum())
    raise UserError(
        f"no body has {NUM_LEGS} legs of {JOINTS_PER_LEG} hinges each "
        f"({hinges} hinges in {model.nbody - 1} bodies were found); it is no quadruped of the kind "
        "that this trainer knows"
    )


def _chain(model: mujoco.MjModel, body: int) -> list[int]:
    """Hinges of a leg that begins at ``body``; empty where it is no leg.

    It may have bodies without joints in between, and what is fixed to them, but no branch with
    hinges of its own.
    """
    joints: list[int] = []
    while True:
        joints += _hinges(model, body)
        jointed = [child for child in _children(model, body) if _has_hinges(model, child)]
        if len(joints) > JOINTS_PER_LEG or len(jointed) > 1:
            return []
        if not jointed:
            return joints if len(joints) == JOINTS_PER_LEG else []
        body = jointed[0]


def _has_hinges(model: mujoco.MjModel, body: int) -> bool:
    return bool(_hinges(model, body)) or any(
        _has_hinges(model, child) for child in _children(model, body)
    )


def _find_chains(model: mujoco.MjModel, base: int) -> list[list[int]]:
    chains = [chain for child in _children(model, base) if (chain := _chain(model, child))]
    # Arms of three joints hang on some robots, too: legs reach further down.
    if len(chains) != NUM_LEGS:
        raise UserError(
            f"body '{model.body(base).name}' has {len(chains)} chains of "
            f"{JOINTS_PER_LEG} hinges where four legs are expected: "
            + "; ".join(", ".join(model.joint(j).name for j in chain) for chain in chains)
        )
    unnamed = [
        model.body(model.jnt_bodyid[joint]).name
        for chain in chains
        for joint in chain
        if not model.joint(joint).name
    ]
    if unnamed:
        raise UserError(f"the joints of {', '.join(unnamed)} have no names; give them some")
    return chains


def _find_foot(model: mujoco.MjModel, data: mujoco.MjData, calf_joint: int) -> int:
    """Geom of the foot: the sphere that touches, on or below the calf, furthest from its joint."""
    calf = int(model.jnt_bodyid[calf_joint])
    bodies = [body for body in range(calf, model.nbody) if _is_below(model, body, calf)]
    geoms = [
        geom
        for geom in range(model.ngeom)
        if model.geom_bodyid[geom] in bodies
        and (model.geom_contype[geom] or model.geom_conaffinity[geom])
    ]
    spheres = [g for g in geoms if model.geom_type[g] == mujoco.mjtGeom.mjGEOM_SPHERE]
    if not spheres:
        kinds = {mujoco.mjtGeom(model.geom_type[g]).name.removeprefix("mjGEOM_") for g in geoms}
        raise UserError(
            f"{model.body(calf).name} ends in no sphere that touches the "
            f"ground (it has {', '.join(sorted(kinds)).lower() or 'no geom that touches'}); give "
            "each foot a sphere geom, with a name"
        )
    distance = [np.linalg.norm(data.geom_xpos[g] - data.xanchor[calf_joint]) for g in spheres]
    foot = spheres[int(np.argmax(distance))]
    if not model.geom(foot).name:
        raise UserError(f"the foot's sphere on {model.body(calf).name} has no name; give it one")
    return foot


def _is_below(model: mujoco.MjModel, body: int, ancestor: int) -> bool:
    while body > ancestor:
        body = int(model.body_parentid[body])
    return body == ancestor


def _name_legs(
    model: mujoco.MjModel,
    data: mujoco.MjData,
    base: int,
    chains: list[list[int]],
    feet: list[int],
) -> tuple[Leg, ...]:
    """Legs by where their hip joints are on the trunk: x ahead, y to the left."""
    rotation = data.xmat[base].reshape(3, 3)
    hips = (data.xanchor[[chain[0] for chain in chains]] - data.xpos[base]) @ rotation
    front, left = (hips[:, axis] > hips[:, axis].mean() for axis in (0, 1))
    corners = {*zip(front.tolist(), left.tolist(), strict=True)}
    if len(corners) != NUM_LEGS:
        places = ", ".join(f"({x:.2f}, {y:.2f})" for x, y, _ in hips)
        raise UserError(
            f"its hip joints are at {places} in the frame of "
            f"'{model.body(base).name}', which are not the corners of a trunk with x ahead and y "
            "to the left; turn the model's frames"
        )
    legs = []
    for chain, foot, is_front, is_left in zip(chains, feet, front, left, strict=True):
        hip, thigh, calf = (model.joint(joint).name for joint in chain)
        corner = ("F" if is_front else "R") + ("L" if is_left else "R")
        thigh_body, calf_body = (model.body(model.jnt_bodyid[j]).name for j in chain[1:])
        holder = model.body(model.geom_bodyid[foot]).name
        name = model.geom(foot).name
        legs.append(
            Leg(
                name=corner,
                side="left" if is_left else "right",
                end="front" if is_front else "rear",
                hip_joint=hip,
                thigh_joint=thigh,
                calf_joint=calf,
                thigh_body=thigh_body,
                calf_body=calf_body,
                foot_body=f"{name}_body" if holder == calf_body else holder,
                foot_site=f"{name}_site",
                foot_geom=name,
            )
        )
    return tuple(legs)


def _chain_length(data: mujoco.MjData, chain: list[int], foot: int) -> float:
    thigh, calf = data.xanchor[chain[1]], data.xanchor[chain[2]]
    return float(np.linalg.norm(calf - thigh) + np.linalg.norm(data.geom_xpos[foot] - calf))


def _efforts(model: mujoco.MjModel, joints: Mapping[int, str]) -> dict[str, float]:
    """Largest torques that joints or the file's actuators allow."""
    efforts = {}
    for joint, name in joints.items():
        if model.jnt_actfrclimited[joint]:
            efforts[name] = float(np.abs(model.jnt_actfrcrange[joint]).max())
    for actuator in range(model.nu):
        name = joints.get(int(model.actuator_trnid[actuator, 0]))
        if name is None or model.actuator_trntype[actuator] != mujoco.mjtTrn.mjTRN_JOINT:
            continue
        gear = abs(float(model.actuator_gear[actuator, 0]))
        is_motor = model.actuator_biastype[actuator] == mujoco.mjtBias.mjBIAS_NONE
        if model.actuator_forcelimited[actuator]:
            efforts[name] = gear * float(np.abs(model.actuator_forcerange[actuator]).max())
        elif is_motor and model.actuator_ctrllimited[actuator]:
            gain = gear * float(model.actuator_gainprm[actuator, 0])
            efforts[name] = gain * float(np.abs(model.actuator_ctrlrange[actuator]).max())
    return efforts


def _left_out(model: mujoco.MjModel, base: int, leg_joints: list[int]) -> tuple[str, ...]:
    """What the trainer does not take from the file, and what nothing would drive."""
    world_geoms = int((model.geom_bodyid == 0).sum())
    others = [b for b in _children(model, 0) if not _is_below(model, base, b)]
    undriven = [
        model.joint(j).name
        for j in range(model.njnt)
        if j not in leg_joints
        and model.jnt_type[j] != mujoco.mjtJoint.mjJNT_FREE
        and _is_below(model, int(model.jnt_bodyid[j]), base)
    ]
    counted = {
        "actuators": model.nu,
        "sensors": model.nsensor,
        "equalities": model.neq,
        "tendons": model.ntendon,
        "contact pairs": model.npair,
        "contact excludes": model.nexclude,
        "keyframes": model.nkey,
        "geoms of the world": world_geoms,
        "other bodies in the world": len(others),
    }
    said = [f"{count} {what}" for what, count in counted.items() if count]
    if undriven:
        said.append(f"joints that are no leg's, which must be welded first: {', '.join(undriven)}")
    return tuple(said)
