"""A model is checked for the parts the task needs, and indices follow the names."""

from __future__ import annotations

import mujoco
import pytest

from rl_sim_env.errors import UserError
from rl_sim_env.robots import check_robot_model
from rl_sim_env.robots.grq20_v2d3 import GRQ20_V2D3_NAMES
from grq20 import FOOT_RADIUS, MJCF_PATH


def test_missing_parts_are_listed_all_at_once():
    spec = mujoco.MjSpec.from_file(str(MJCF_PATH))
    spec.body("arm_load_link").name = "payload"
    spec.joint("RR_calf_joint").name = "RR_knee"
    spec.site("FL_foot").name = "FL_toe"
    spec.geom("FR_foot_collision").name = ""
    spec.delete(spec.joint("floating_base"))
    with pytest.raises(UserError) as error:
        check_robot_model(spec, GRQ20_V2D3_NAMES, "my_robot.xml")
    message = str(error.value)
    for part in (
        "my_robot.xml",
        "body 'arm_load_link'",
        "joint 'RR_calf_joint'",
        "site 'FL_foot'",
        "geom 'FR_foot_collision'",
        "free joint on body 'base_link'",
    ):
        assert part in message
    assert message.count("'") == 2 * 5, "only what is missing is listed"


def test_indices_follow_the_names(make_env):
    env = make_env(1)
    names, index, model = env.cfg.robot_names, env.index, env.sim.mj_model
    assert [env.robot.joint_names[i] for i in index.leg_joints] == list(names.leg_joints)
    assert [env.robot.site_names[i] for i in index.foot_sites] == list(names.feet)
    assert [model.geom(int(i)).name for i in index.foot_geoms_global] == [
        f"robot/{name}" for name in names.foot_geoms
    ]
    assert model.body(index.load_body_global).name == "robot/arm_load_link"
    assert index.foot_radius == pytest.approx(FOOT_RADIUS)
