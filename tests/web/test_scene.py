"""What the page is told of a robot."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import mujoco
import numpy as np
import pytest

from rl_sim_env.deploy import open_session
from rl_sim_env.deploy.metadata import MapFacts
from rl_sim_env.deploy.mujoco_robot import plain_spec
from rl_sim_env.errors import UserError
from rl_sim_env.robots import load_model
from rl_sim_env.web.scene import Scene, make_scene
from shipped import shipped

FIELDS = (
    *("body_mass", "body_inertia", "body_ipos", "body_pos", "body_quat", "jnt_range"),
    *("dof_armature", "dof_damping", "dof_frictionloss"),
)
GEOM_FIELDS = ("type", "size", "pos", "quat", "friction", "contype", "conaffinity", "condim")

FRAME_FIELDS = ("size", "pos", "quat")

TRUNK = """
v 0.28 0.13 0.07\nv 0.28 -0.13 0.07\nv 0.28 0.13 -0.07\nv 0.28 -0.13 -0.07
v -0.2 0.1 0.07\nv -0.2 -0.1 0.07\nv -0.2 0.1 -0.07\nv -0.2 -0.1 -0.07
f 1 2 3\nf 4 2 3\nf 5 6 7\nf 8 6 7
"""


def compiled(scene: Scene) -> mujoco.MjModel:
    """The model of a scene, as somebody has it who has nothing else."""
    return mujoco.MjModel.from_xml_string(scene.model)


def require_same_physics(scene: Scene, robot, metadata) -> None:
    ours = compiled(scene)
    length = 0.6 if metadata.robot.arm_angle_joint else 0.0
    theirs = plain_spec(
        lambda: load_model(robot), metadata, boom_length=length, boom_angle=0.0
    ).compile()
    for field in FIELDS:
        np.testing.assert_allclose(
            getattr(ours, field), getattr(theirs, field), atol=1e-6, err_msg=field
        )
    assert (ours.opt.timestep, ours.opt.integrator, ours.opt.cone) == (
        (theirs.opt.timestep, theirs.opt.integrator, theirs.opt.cone)
    )
    touching = [
        i for i in range(theirs.ngeom) if theirs.geom_contype[i] or theirs.geom_conaffinity[i]
    ]
    assert ours.ngeom == len(touching)
    for index, other in enumerate(touching):
        for field in GEOM_FIELDS:
            one, two = getattr(ours.geom(index), field), getattr(theirs.geom(other), field)
            # A mesh has a frame of its own, that of its inertia.
            if ours.geom(index).type != mujoco.mjtGeom.mjGEOM_MESH or field not in FRAME_FIELDS:
                np.testing.assert_allclose(one, two, atol=1e-6)
        np.testing.assert_allclose(extent(ours, index), extent(theirs, other), atol=1e-6)


def extent(model: mujoco.MjModel, index: int) -> np.ndarray:
    """Least and greatest coordinates of a mesh's vertices in the frame of the body; else zeros."""
    geom = model.geom(index)
    if geom.type != mujoco.mjtGeom.mjGEOM_MESH:
        return np.zeros(3)
    mesh = model.mesh(int(geom.dataid[0]))
    vertices = model.mesh_vert[mesh.vertadr[0] : mesh.vertadr[0] + mesh.vertnum[0]]
    turn = np.empty(9)
    mujoco.mju_quat2Mat(turn, geom.quat)
    placed = vertices @ turn.reshape(3, 3).T + geom.pos
    return np.stack((placed.min(axis=0), placed.max(axis=0)))


@pytest.mark.parametrize("name", ["grq20_v2d3", "go1"])
def test_the_page_has_the_physics_of_plain_mujoco_without_what_is_only_seen(name):
    path, robot = shipped(name)
    metadata = open_session(path)[1]
    scene = make_scene(robot, metadata, {})

    require_same_physics(scene, robot, metadata)
    assert compiled(scene).nmesh == 0
    assert {each["body"] for each in scene.facts["visuals"]} >= {robot.base_body, *robot.links}


def test_a_mesh_that_touches_stands_in_the_model_itself(tmp_path):
    path, robot = shipped("grq20_v2d3")
    metadata = open_session(path)[1]
    box = '<geom name="base_collision" class="collision" type="box" size="0.28 0.13 0.07"/>'
    mesh = '<geom name="base_collision" class="collision" type="mesh" mesh="trunk" pos="0 0 0.01"/>'
    source = robot.mjcf_path.read_text()
    assert box in source
    (tmp_path / "trunk.obj").write_text(TRUNK)
    changed = source.replace(box, mesh).replace(
        "<asset>", '<asset><mesh name="trunk" file="trunk.obj" scale="1 1 0.5"/>'
    )
    (tmp_path / "robot.xml").write_text(changed)
    robot = robot.with_model(tmp_path / "robot.xml")

    scene = make_scene(robot, metadata, {})

    require_same_physics(scene, robot, metadata)
    assert str(tmp_path) not in scene.model
    assert compiled(scene).nmesh == 1


def test_meshes_that_are_drawn_are_whole(tmp_path):
    path, robot = shipped("go1")
    scene = make_scene(robot, open_session(path)[1], {})
    sizes = scene.facts["meshes"]
    model = load_model(robot).compile()

    assert sum(each["faces"] for each in sizes) == model.nmeshface
    assert len(scene.meshes) == 12 * sum(chain.from_iterable(each.values() for each in sizes))
    first = sizes[0]
    vertices = np.frombuffer(scene.meshes, "<f4", 3 * first["vertices"]).reshape(-1, 3)
    assert 0.1 < np.ptp(vertices, axis=0).max() < 1.0
    faces = np.frombuffer(scene.meshes, "<u4", 3 * first["faces"], offset=vertices.nbytes)
    assert faces.max() == first["vertices"] - 1


def test_loads_reach_beyond_training_and_say_what_was_trained():
    for name, offered in (("grq20_v2d3", 10), ("go1", 7)):
        path, robot = shipped(name)
        facts = make_scene(robot, open_session(path)[1], {}).facts
        assert facts["max_load"] == {"trained": robot.max_load, "offered": offered}


def test_a_policy_that_sees_is_refused():
    path, robot = shipped("grq20_v2d3")
    _, metadata = open_session(path)
    seen = MapFacts(
        grid=(24, 16),
        resolution=0.06,
        offset=0.18,
        reference=0.5,
        height_range=(-1.0, 1.0),
        rate=10.0,
        age_limit=0.3,
        lidars=(),
    )
    with pytest.raises(UserError, match="map of the ground"):
        make_scene(robot, replace(metadata, map=seen), {})
