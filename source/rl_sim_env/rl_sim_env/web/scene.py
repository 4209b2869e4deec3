"""What the page needs to know of a robot: a model for the physics, shapes to draw, facts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import mujoco
import numpy as np

from rl_sim_env.conventions import DEVIATIONS_95, FALL_ANGLE
from rl_sim_env.deploy.deployed_policy import SENSORS, STATE
from rl_sim_env.deploy.metadata import NOTHING_DRAWN, PolicyMetadata
from rl_sim_env.deploy.mujoco_robot import TIME_STEP, plain_spec
from rl_sim_env.deploy.sim_to_sim import COMMAND_RANGE
from rl_sim_env.errors import UserError
from rl_sim_env.robots import Boom, Robot, load_model

FORMAT = 2
"""Version of the facts; the page refuses another."""

BEYOND_TRAINING = 5.0 / 3.0
"""Heaviest load that the page offers, over the heaviest of training: 10 kg where that was 6."""

_FACTS_OF_THE_POLICY = (
    *("task", "iteration", "training_commit", "joint_names", "default_joint_pos", "stiffness"),
    *("damping", "effort_limit", "stall_torque", "velocity_limit", "control_period"),
)

_TYPES = {
    mujoco.mjtGeom.mjGEOM_SPHERE: "sphere",
    mujoco.mjtGeom.mjGEOM_CAPSULE: "capsule",
    mujoco.mjtGeom.mjGEOM_ELLIPSOID: "ellipsoid",
    mujoco.mjtGeom.mjGEOM_CYLINDER: "cylinder",
    mujoco.mjtGeom.mjGEOM_BOX: "box",
    mujoco.mjtGeom.mjGEOM_MESH: "mesh",
}
"""Geoms that the page can draw, and its names for them."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One robot for the page, as the content of three files."""

    facts: Mapping[str, Any]
    """Plain values: names, gains, limits, shapes; frames and units as everywhere."""
    model: str
    """MJCF of the robot as :class:`~rl_sim_env.deploy.mujoco_robot.MujocoRobot` simulates it, its
    boom ahead and as long as in the default pose; without ground, and without what is only looked
    at."""
    meshes: bytes
    """Vertices (float32, 3 each, [m]) and faces (uint32, 3 each) of all meshes that are drawn, one
    mesh after the other; little-endian."""


def make_scene(
    robot: Robot, metadata: PolicyMetadata, inputs: Mapping[str, tuple[int, ...]]
) -> Scene:
    """Describe a robot and its policy to the page.

    Args:
        robot: The robot.
        metadata: Facts of its policy.
        inputs: Shape of each input of the policy, by name, for one robot.

    Raises:
        UserError: The policy reads what the page does not have, such as maps of the ground, or the
            model cannot be read or is not that of the policy.
    """
    if unknown := [name for name in inputs if name not in (*SENSORS, *STATE)]:
        raise UserError(
            f"the policy reads {', '.join(unknown)}, which the page does not have: give "
            "policy.onnx as exported, of a policy that walks blind"
        )
    boom = robot.payload if isinstance(robot.payload, Boom) else None
    spec = plain_spec(
        lambda: load_model(robot),
        metadata,
        boom_length=boom.default_length if boom else 0.0,
        boom_angle=0.0,
    )
    swivel = load_model(robot).joint(boom.angle_joint) if boom else None
    model = spec.compile()
    visuals, meshes, packed = _visuals(model)
    facts = {
        "format": FORMAT,
        "robot": robot.name,
        "policy": {
            **{name: getattr(metadata, name) for name in _FACTS_OF_THE_POLICY},
            "estimates": [
                {"name": each.name, "width": each.width, "trained_range": each.trained_range}
                for each in metadata.estimates
            ],
            "inputs": inputs,
        },
        "parts": asdict(metadata.robot),
        "nominal_mass": float(model.body_mass.sum()),
        "max_load": {"trained": robot.max_load, "offered": round(BEYOND_TRAINING * robot.max_load)},
        "boom": swivel and {"body": swivel.parent.name, "axis": swivel.axis.tolist()},
        "time_step": TIME_STEP,
        "late_steps": _late_steps(metadata),
        "fall_angle": FALL_ANGLE,
        "deviations_95": DEVIATIONS_95,
        "max_command": COMMAND_RANGE,
        "visuals": visuals,
        "meshes": meshes,
    }
    return Scene(facts=facts, model=_physics_only(spec, model), meshes=packed)


def _late_steps(metadata: PolicyMetadata) -> dict[str, int]:
    """Physics steps that come between the policy and the robot in the middle of training."""
    drawn = metadata.drawn or NOTHING_DRAWN
    longest = {
        "targets": drawn.command_delay,
        "signals": drawn.signal_delay,
        "torques": drawn.torque_delay,
    }
    return {name: round(delay / 2.0 / TIME_STEP) for name, delay in longest.items()}


def _is_visual(geom: Any) -> bool:
    return not geom.contype and not geom.conaffinity


def _visuals(model: mujoco.MjModel) -> tuple[list[dict[str, Any]], list[dict[str, int]], bytes]:
    """Geoms that are drawn, sizes of the meshes among them, and these meshes.

    Of a body that has nothing for the eye, what it touches with is drawn.
    """
    geoms = [model.geom(index) for index in range(model.ngeom)]
    dressed = {int(geom.bodyid[0]) for geom in geoms if _is_visual(geom)}
    order: dict[int, int] = {}
    visuals = []
    for geom in geoms:
        body = int(geom.bodyid[0])
        kind = _TYPES.get(mujoco.mjtGeom(int(geom.type[0])))
        if kind is None or (body in dressed and not _is_visual(geom)):
            continue
        material = int(geom.matid[0])
        color = geom.rgba if material < 0 else model.mat_rgba[material]
        visual = {
            "body": model.body(body).name,
            "type": kind,
            "size": geom.size.tolist(),
            "pos": geom.pos.tolist(),
            "quat": geom.quat.tolist(),
            "rgba": [round(float(value), 4) for value in color],
        }
        if kind == "mesh":
            visual["mesh"] = order.setdefault(int(geom.dataid[0]), len(order))
        visuals.append(visual)
    meshes, packed = [], bytearray()
    for index in order:
        mesh = model.mesh(index)
        first, count = int(mesh.vertadr[0]), int(mesh.vertnum[0])
        vertices = model.mesh_vert[first : first + count]
        first, count = int(mesh.faceadr[0]), int(mesh.facenum[0])
        faces = model.mesh_face[first : first + count]
        meshes.append({"vertices": len(vertices), "faces": len(faces)})
        packed += vertices.astype("<f4").tobytes() + faces.astype("<u4").tobytes()
    return visuals, meshes, bytes(packed)


def _physics_only(spec: mujoco.MjSpec, model: mujoco.MjModel) -> str:
    """The MJCF without what is only looked at, in one file.

    Args:
        spec: The robot; it is changed.
        model: What it was compiled to before.
    """
    for body in spec.bodies[1:]:
        # What is only looked at may have told the body's mass.
        body.mass, body.inertia = model.body_mass[body.id], model.body_inertia[body.id]
        body.ipos, body.iquat = model.body_ipos[body.id], model.body_iquat[body.id]
        body.fullinertia, body.explicitinertial = np.full(6, math.nan), True
    for geom in [geom for geom in spec.geoms if _is_visual(geom)]:
        spec.delete(geom)
    hulls = {
        name: _hull(spec, name, model)
        for name in sorted({geom.meshname for geom in spec.geoms} - {""})
    }
    for mesh in [mesh for mesh in spec.meshes if mesh.name not in hulls.values()]:
        spec.delete(mesh)
    for geom in spec.geoms:
        geom.material, geom.meshname = "", hulls.get(geom.meshname, "")
    for asset in (*spec.materials, *spec.textures):
        spec.delete(asset)
    spec.comment, spec.compiler.meshdir, spec.compiler.texturedir = "", "", ""
    spec.compile()
    return spec.to_xml()


def _hull(spec: mujoco.MjSpec, name: str, model: mujoco.MjModel) -> str:
    """Add a mesh that stands in the MJCF itself: vertices alone, of which MuJoCo takes the hull.

    Args:
        spec: What it is added to.
        name: The mesh in a file that it stands for.
        model: What the specification was compiled to before.

    Returns:
        Its name.
    """
    mesh = model.mesh(name)
    first, count = int(mesh.vertadr[0]), int(mesh.vertnum[0])
    turn = np.empty(9)
    mujoco.mju_quat2Mat(turn, model.mesh_quat[mesh.id])
    vertices = model.mesh_vert[first : first + count] @ turn.reshape(3, 3).T
    hull = f"{name} hull"
    spec.add_mesh(
        name=hull,
        uservert=(vertices + model.mesh_pos[mesh.id]).ravel(),
        inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_CONVEX,
    )
    return hull
