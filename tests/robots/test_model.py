"""From a robot's file to the model that all programs simulate."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
import pytest

from grq20 import LEG_JOINT_NAMES, MJCF_PATH, amp_vae_env_cfg
from rl_sim_env.conventions import PHYSICS_DT
from rl_sim_env.envs import AmpVaeEnv
from rl_sim_env.errors import Notice, UserError
from rl_sim_env.robots import Robot, load_model
from rl_sim_env.robots.go1 import GO1
from rl_sim_env.robots.grq20_v2d3 import GRQ20_V2D3

BARE_GO1 = replace(
    GO1,
    payload=None,
    drives={joint: replace(drive, armature=None) for joint, drive in GO1.drives.items()},
)
"""The Go1 as its file has it."""

Edit = Callable[[mujoco.MjSpec], object]


def arrays(model: mujoco.MjModel) -> dict[str, np.ndarray]:
    """Everything that a compiled model holds, its options too."""
    found = {}
    for holder in (model, model.opt):
        for name in dir(holder):
            value = None if name.startswith("_") else getattr(holder, name)
            if isinstance(value, int | float | np.ndarray | bytes):
                found[name] = np.asarray(value)
    return found


def assert_equal(model: mujoco.MjModel, expected: mujoco.MjModel) -> None:
    found, wanted = arrays(model), arrays(expected)
    assert found.keys() == wanted.keys() and len(found) > 300
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.fixture
def edited(tmp_path: Path) -> Callable[[Edit], Robot]:
    """Makes the GRQ20 with another file: its own, changed by a function."""

    def make(edit: Edit) -> Robot:
        spec = mujoco.MjSpec.from_file(str(MJCF_PATH))
        edit(spec)
        path = tmp_path / "own.xml"
        path.write_text(spec.to_xml())
        return GRQ20_V2D3.with_model(path)

    return make


@pytest.fixture(scope="module")
def rewritten() -> mujoco.MjModel:
    """The GRQ20 after its file was written once more, which rounds."""
    text = mujoco.MjSpec.from_file(str(MJCF_PATH)).to_xml()
    return mujoco.MjModel.from_xml_string(text)


def add_all_that_acts(spec: mujoco.MjSpec) -> None:
    """A stand for the robot, and a controller of its own."""
    for joint in LEG_JOINT_NAMES:
        servo = spec.add_actuator(name=f"{joint}_servo", target=joint)
        servo.trntype = mujoco.mjtTrn.mjTRN_JOINT
        servo.set_to_position(kp=100.0)
    spec.add_equality(
        name="glue",
        type=mujoco.mjtEq.mjEQ_WELD,
        objtype=mujoco.mjtObj.mjOBJ_BODY,
        name1="base_link",
    )
    spring = spec.add_tendon(name="spring", stiffness=50.0)
    spring.wrap_joint("FL_hip_joint", 1.0)
    spec.add_pair(name="knock", geomname1="base_collision", geomname2="FL_calf_collision")
    spec.add_exclude(name="pass", bodyname1="FL_calf", bodyname2="FR_calf")
    spec.worldbody.add_geom(name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0.0, 0.0, 1.0])
    crate = spec.worldbody.add_body(name="crate", pos=[2.0, 0.0, 0.0])
    crate.add_geom(size=[0.1, 0.1, 0.1])
    crate.add_joint(name="rail", type=mujoco.mjtJoint.mjJNT_SLIDE)
    spec.option.timestep, spec.option.gravity = 0.001, [0.0, 0.0, -1.6]


def add_what_only_looks_on(spec: mujoco.MjSpec) -> None:
    spec.worldbody.add_light(pos=[0.0, 0.0, 3.0])
    spec.worldbody.add_camera(name="corner", pos=[2.0, 2.0, 2.0])
    spec.worldbody.add_site(name="start")
    spec.add_key(name="home")
    spec.nuserdata, spec.nuser_geom, spec.nconmax = 3, 2, 50
    spec.add_sensor(
        name="gyro", type=mujoco.mjtSensor.mjSENS_GYRO, objtype=mujoco.mjtObj.mjOBJ_SITE
    ).objname = "imu"


def test_a_file_that_holds_the_robot_alone_is_taken_as_it_is():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = load_model(GRQ20_V2D3).compile()
    assert_equal(model, mujoco.MjModel.from_xml_path(str(MJCF_PATH)))


def test_what_would_act_beside_the_trainer_is_left_out_and_named_in_one_warning(edited, rewritten):
    robot = edited(add_all_that_acts)
    with pytest.warns(Notice, match="left out") as told:
        model = load_model(robot).compile()
    assert len(told) == 1
    message = str(told[0].message)
    assert "\n" not in message
    for words in (
        "own.xml",
        "12 actuators (FL_hip_joint_servo, FR_hip_joint_servo, RL_hip_joint_servo, ...)",
        "1 equalities (glue)",
        "1 tendons (spring)",
        "1 contact pairs (knock)",
        "1 contact excludes (pass)",
        "1 geoms of the world (floor)",
        "1 other bodies (crate)",
        "timestep",
        "gravity",
    ):
        assert words in message
    assert_equal(model, rewritten)


def test_what_only_looks_on_is_left_out_without_a_word(edited, rewritten):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = load_model(edited(add_what_only_looks_on)).compile()
    assert_equal(model, rewritten)


def test_an_environment_tells_once_what_it_leaves_out_and_drives_no_joint_twice(edited, capsys):
    def add_all(spec: mujoco.MjSpec) -> None:
        add_what_only_looks_on(spec)
        add_all_that_acts(spec)

    cfg = amp_vae_env_cfg(terrain="flat", mjcf_path=edited(add_all).mjcf_path)
    cfg.scene.num_envs = 1
    cfg.events.pop("motion")
    with pytest.warns(Notice) as told:
        env = AmpVaeEnv(cfg, "cpu")
    capsys.readouterr()
    messages = [str(each.message) for each in told if each.category is Notice]
    assert len(messages) == 1 and "own.xml" in messages[0]
    model = env.sim.mj_model
    driven = model.actuator_trnid[:, 0].tolist()
    assert len(driven) == len({*driven}) == 14
    assert (model.opt.timestep, model.opt.gravity.tolist()) == (PHYSICS_DT, [0.0, 0.0, -9.81])


def test_missing_parts_are_listed_all_at_once(edited):
    def rename(spec: mujoco.MjSpec) -> None:
        spec.body("arm_load_link").name = "payload"
        spec.body("RL_thigh").name = "RL_femur"
        spec.joint("RR_calf_joint").name = "RR_knee"
        spec.joint("arm_length_joint").name = "rail"
        spec.geom("FR_foot_collision").name = "FR_toe"

    with pytest.raises(UserError) as error:
        load_model(edited(rename))
    message = str(error.value)
    for part in (
        "own.xml",
        "body 'arm_load_link'",
        "body 'RL_thigh'",
        "joint 'RR_calf_joint'",
        "joint 'arm_length_joint'",
        "geom 'FR_foot_collision'",
        "robot grq20_v2d3",
    ):
        assert part in message
    assert message.count("'") == 2 * 5, "only what is missing is listed"
    assert "\n" not in message


def set_joint(name: str, **values) -> Edit:
    def edit(spec: mujoco.MjSpec) -> None:
        for field, value in values.items():
            setattr(spec.joint(name), field, value)

    return edit


def make_foot_a_box(spec: mujoco.MjSpec) -> None:
    foot = spec.geom("RL_foot_collision")
    foot.type, foot.size = mujoco.mjtGeom.mjGEOM_BOX, [0.03, 0.03, 0.03]


def hang_trunk_on_a_rail(spec: mujoco.MjSpec) -> None:
    spec.delete(spec.joint("floating_base"))
    spec.body("base_link").add_joint(name="rail", type=mujoco.mjtJoint.mjJNT_SLIDE)


def add_tail(spec: mujoco.MjSpec) -> None:
    tail = spec.body("base_link").add_body(name="tail", pos=[-0.3, 0.0, 0.0])
    tail.add_geom(size=[0.05, 0.05, 0.05])
    tail.add_joint(name="tail_joint", range=[-1.0, 1.0])


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (set_joint("FL_calf_joint", range=[0.0, 0.0]), "joint 'FL_calf_joint' is no hinge with a"),
        (
            set_joint("FR_hip_joint", type=mujoco.mjtJoint.mjJNT_SLIDE),
            "joint 'FR_hip_joint' is no hinge with a range",
        ),
        (make_foot_a_box, "geom 'RL_foot_collision' is no sphere"),
        (add_tail, "joint 'tail_joint' is neither a leg's nor the payload's"),
        (hang_trunk_on_a_rail, "body 'base_link' moves on rail"),
    ],
)
def test_what_cannot_be_walked_on_is_refused(edited, edit, words):
    with pytest.raises(UserError, match=words) as error:
        load_model(edited(edit))
    assert "own.xml" in str(error.value)


def test_a_trunk_that_hangs_on_another_body_is_refused():
    with pytest.raises(UserError, match="body 'FL_hip' does not stand in the world"):
        load_model(replace(GRQ20_V2D3, base_body="FL_hip"))


def test_a_trunk_without_a_free_joint_is_given_one(edited, rewritten):
    robot = edited(lambda spec: spec.delete(spec.joint("floating_base")))
    assert_equal(load_model(robot).compile(), rewritten)


def test_armature_of_the_drives_arrives_in_the_model():
    drives = dict(GRQ20_V2D3.drives)
    drives["FL_calf_joint"] = replace(drives["FL_calf_joint"], armature=0.123)
    drives["RR_hip_joint"] = replace(drives["RR_hip_joint"], armature=0.0)
    model = load_model(replace(GRQ20_V2D3, drives=drives)).compile()
    armature = {name: float(model.joint(name).armature[0]) for name in LEG_JOINT_NAMES}
    assert armature.pop("FL_calf_joint") == 0.123
    assert armature.pop("RR_hip_joint") == 0.0
    assert {*armature.values()} == {0.01}, "as in the file where the drive says nothing"


def test_go1s_armature_is_that_of_its_motors():
    model = load_model(GO1).compile()
    for joint, drive in GO1.drives.items():
        assert model.joint(joint).armature[0] == drive.armature > 0.0


# Feet.


def foot_inside_the_calf(**mass) -> Edit:
    """The front left foot is no body of its own, and the calf weighs what its geoms weigh."""

    def edit(spec: mujoco.MjSpec) -> None:
        old = spec.body("FL_foot")
        pos, calf = old.pos.copy(), spec.body("FL_calf")
        spec.delete(old)
        calf.explicitinertial = False
        spec.geom("FL_calf_collision").density = 900.0
        calf.add_geom(name="FL_foot_collision", size=[0.027, 0.0, 0.0], pos=pos, **mass)

    return edit


def inertia_and_feet(model: mujoco.MjModel, robot: Robot) -> tuple[np.ndarray, np.ndarray]:
    """Mass matrix, and centres of the feet's spheres, in a few poses."""
    data, draw = mujoco.MjData(model), np.random.default_rng(0)
    inertia, feet = np.zeros((3, model.nv, model.nv)), np.zeros((3, len(robot.legs), 3))
    for pose in range(3):
        data.qpos[7:] = draw.uniform(-1.0, 1.0, model.nq - 7)
        data.qpos[3:7] = draw.normal(size=4)
        mujoco.mj_forward(model, data)
        mujoco.mj_fullM(model, data, inertia[pose])
        feet[pose] = [data.geom(name).xpos for name in robot.foot_geoms]
    return inertia, feet


def in_a_frame(text: str) -> str:
    """The front left foot's geom is moved and turned by a frame around it."""
    geom = re.search(r'<geom name="FL_foot_collision".*?/>', text)
    assert geom and 'pos="0 0 -0.285"' in geom[0]
    moved = geom[0].replace('pos="0 0 -0.285"', 'pos="0.285 0 0"')
    return text.replace(geom[0], f'<frame axisangle="0 1 0 1.5707963267948966">{moved}</frame>')


def test_a_foot_inside_a_frame_stays_where_it_is(edited):
    robot = edited(foot_inside_the_calf(mass=0.3))
    plain = mujoco.MjModel.from_xml_path(str(robot.mjcf_path))
    robot.mjcf_path.write_text(in_a_frame(robot.mjcf_path.read_text()))
    framed = load_model(robot).compile()
    for found, expected in zip(
        inertia_and_feet(framed, robot), inertia_and_feet(plain, robot), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    data = mujoco.MjData(framed)
    mujoco.mj_forward(framed, data)
    sphere = data.geom("FL_foot_collision").xpos
    np.testing.assert_allclose(data.site("FL_foot").xpos, sphere, atol=1e-12)


def test_a_site_that_is_not_at_the_centre_of_the_foot_is_refused(edited):
    def to_the_sole(spec: mujoco.MjSpec) -> None:
        spec.site("RR_foot").pos = [0.0, 0.0, -0.027]

    with pytest.raises(UserError, match=r"site 'RR_foot' is not at the centre of .*leg RR"):
        load_model(edited(to_the_sole))


@pytest.mark.parametrize(
    "weighs", [{}, {"mass": 0.3}, {"density": 2_000.0}], ids=["calf", "foot", "foot by density"]
)
def test_a_foot_becomes_a_body_of_its_own_and_the_robot_stays_the_same(edited, weighs):
    # The Go1's calves state mass and inertia of calf and foot together.
    robot = edited(foot_inside_the_calf(**weighs)) if weighs else BARE_GO1
    plain = mujoco.MjModel.from_xml_path(str(robot.mjcf_path))
    model = load_model(robot).compile()
    assert model.body_mass.sum() == pytest.approx(plain.body_mass.sum(), rel=1e-12)
    inertia, feet = inertia_and_feet(model, robot)
    expected_inertia, expected_feet = inertia_and_feet(plain, robot)
    np.testing.assert_allclose(inertia, expected_inertia, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(feet, expected_feet, atol=1e-12)
    for leg in robot.legs:
        assert model.geom(leg.foot_geom).bodyid[0] == model.body(leg.foot_body).id
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    for leg in robot.legs:
        np.testing.assert_allclose(
            data.site(leg.foot_site).xpos, data.geom(leg.foot_geom).xpos, atol=1e-12
        )


def test_robots_touch_the_ground_and_not_themselves_and_slide_on_their_feet_alone():
    model = load_model(replace(GO1, foot_friction=0.7)).compile()
    touching = (model.geom_contype | model.geom_conaffinity) > 0
    assert not model.geom_contype[touching].any() and (model.geom_conaffinity[touching] == 1).all()
    for name in GO1.foot_geoms:
        foot = model.geom(name)
        assert foot.friction[0] == 0.7
        assert (foot.priority[0], foot.condim[0]) == (1, 3)
    others = [geom for geom in range(model.ngeom) if model.geom(geom).name not in GO1.foot_geoms]
    assert (model.geom_priority[others] == 0).all()


def test_a_foot_that_belongs_to_another_body_than_it_says_is_refused():
    first, *others = GRQ20_V2D3.legs
    wrong = replace(first, foot_body="FL_hip")
    with pytest.raises(UserError, match=r"FL_foot_collision.*'FL_foot', not to 'FL_hip'.*leg FL"):
        load_model(replace(GRQ20_V2D3, legs=(wrong, *others)))


def test_a_process_may_begin_with_loading_a_model():
    # As those that walk outside the trainer do: mjlab's modules import each other in a circle.
    code = "from rl_sim_env.robots.model import load_model"
    subprocess.run([sys.executable, "-c", code], check=True)
