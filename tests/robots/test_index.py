"""Indices follow the names."""

from __future__ import annotations

import pytest

from grq20 import FOOT_RADIUS


def test_indices_follow_the_names(make_env):
    env = make_env(1)
    robot, index, model = env.cfg.robot, env.index, env.sim.mj_model
    assert [env.robot.joint_names[i] for i in index.leg_joints] == list(robot.leg_joints)
    assert [env.robot.site_names[i] for i in index.foot_sites] == list(robot.feet)
    assert [model.geom(int(i)).name for i in index.foot_geoms_global] == [
        f"robot/{name}" for name in robot.foot_geoms
    ]
    assert model.body(index.payload_body_global).name == "robot/arm_load_link"
    assert index.foot_radius == pytest.approx(FOOT_RADIUS)
