"""Indices follow the names."""

from __future__ import annotations

import pytest

from grq20 import FOOT_RADIUS


def test_indices_follow_the_names(make_env):
    env = make_env(1)
    robot, index, model = env.cfg.robot, env.index, env.sim.mj_model
    assert [env.robot.joint_names[i] for i in index.leg_joints] == list(robot.leg_joints)
    joints = [f"robot/{name}" for name in robot.leg_joints]
    assert index.leg_qpos_global.tolist() == [int(model.joint(name).qposadr[0]) for name in joints]
    assert index.leg_dofs_global.tolist() == [int(model.joint(name).dofadr[0]) for name in joints]
    feet = [model.site(int(i)) for i in index.foot_sites_global]
    assert [foot.name for foot in feet] == [f"robot/{name}" for name in robot.feet]
    assert index.foot_bodies_global.tolist() == [int(foot.bodyid[0]) for foot in feet]
    assert [model.geom(int(i)).name for i in index.foot_geoms_global] == [
        f"robot/{name}" for name in robot.foot_geoms
    ]
    assert model.body(index.payload_body_global).name == "robot/arm_load_link"
    assert index.foot_radius == pytest.approx(FOOT_RADIUS)
