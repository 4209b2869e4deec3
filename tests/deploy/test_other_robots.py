"""The Go1 in plain MuJoCo: another order of joints, drives of two kinds, a box on the trunk."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from rl_sim_env.deploy import PolicyMetadata, mujoco_robot
from rl_sim_env.deploy.mujoco_robot import MujocoRobot, World
from rl_sim_env.deploy.onnx_export import load_module
from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.errors import UserError
from rl_sim_env.mdp import observations
from rl_sim_env.robots import Robot, load_model
from rl_sim_env.robots.go1 import GO1
from rl_sim_env.tasks.go1 import GO1_WALKING
from small_policy import save, small_checkpoint

LOAD = 3.0
WORLD = World(ground="flat", load=LOAD, boom_length=0.0, boom_angle=0.0, friction=1.0, yaw=0.0)


@pytest.fixture(scope="module")
def env(make_env):
    def loaded(cfg) -> None:
        cfg.events = {"load": cfg.events["load"]}
        cfg.events["load"].params["mass"] = (LOAD, LOAD)

    return make_env(1, walking=GO1_WALKING, edit=loaded)


def metadata_of(env, folder) -> PolicyMetadata:
    return load_module(save(small_checkpoint(AmpVaeVecEnv(env)), folder))[1]


@pytest.fixture(scope="module")
def metadata(env, tmp_path_factory) -> PolicyMetadata:
    return metadata_of(env, tmp_path_factory.mktemp("go1"))


def in_mujoco(robot: Robot, metadata: PolicyMetadata, **world) -> MujocoRobot:
    return MujocoRobot(lambda: load_model(robot), metadata, replace(WORLD, **world))


def test_metadata_tell_of_each_joint_what_its_drive_is(metadata):
    assert metadata.joint_names == GO1.leg_joints
    for place, joint in enumerate(metadata.joint_names):
        drive = GO1.drives[joint]
        for fact in ("stiffness", "damping", "effort_limit", "stall_torque", "velocity_limit"):
            assert getattr(metadata, fact)[place] == pytest.approx(getattr(drive, fact))
        assert metadata.default_joint_pos[place] == pytest.approx(GO1.default_pose[joint])
    assert len({*metadata.effort_limit}) == 2
    parts = metadata.robot
    assert (parts.base_body, parts.load_body) == ("trunk", "payload")
    assert (parts.arm_angle_joint, parts.arm_length_joint) == (None, None)
    assert (parts.feet, parts.foot_geoms) == (GO1.feet, GO1.foot_geoms)


def test_the_load_weighs_what_it_weighs_in_the_trainer(env, place, metadata):
    place(env, height=0.4)
    robot = in_mujoco(GO1, metadata)
    assert robot.mass == pytest.approx(LOAD)
    assert robot.mass == pytest.approx(float(observations.system_mass_delta(env)), abs=1e-4)
    np.testing.assert_allclose(robot.com, observations.system_com(env)[0], atol=1e-5)
    empty = in_mujoco(GO1, metadata, load=0.0).model.body("payload").inertia
    share = (GO1.payload.tray_mass + LOAD) / GO1.payload.tray_mass
    np.testing.assert_allclose(robot.model.body("payload").inertia, share * empty)


def test_go1_told_to_stand_gives_way_like_the_trainers(env, place, metadata, monkeypatch):
    trainers = env.sim.mj_model.opt
    monkeypatch.setattr(mujoco_robot, "TIME_STEP", trainers.timestep)
    robot = in_mujoco(GO1, metadata)
    for option in ("integrator", "cone", "impratio"):
        setattr(robot.model.opt, option, getattr(trainers, option))
    height, target = float(robot.base_pos[2]), robot.joint_pos
    place(env, height=height)
    for _ in range(20):
        env.step(torch.zeros(1, 12))
        robot.advance(target, seconds=env.step_dt)
    assert robot.base_pos[2] < height - 0.02, "nothing would be shown by a robot at rest"
    np.testing.assert_allclose(robot.base_pos, env.robot.data.root_link_pos_w[0], atol=1e-3)
    np.testing.assert_allclose(robot.joint_pos, observations.joint_pos(env)[0], atol=1e-3)
    np.testing.assert_allclose(robot.base_lin_vel, observations.base_lin_vel(env)[0], atol=5e-3)
    np.testing.assert_allclose(robot.joint_torques, observations.joint_torques(env)[0], atol=0.05)
    assert not robot.has_fallen


def test_a_robot_without_payload_is_known_by_its_trunk_alone(make_env, tmp_path):
    unladen = replace(GO1, payload=None)
    env = make_env(1, walking=replace(GO1_WALKING, robot=unladen))
    metadata = metadata_of(env, tmp_path)
    assert metadata.robot.load_body is None
    robot = in_mujoco(unladen, metadata, load=0.0)
    assert robot.mass == pytest.approx(0.0, abs=1e-9) and not robot.has_fallen
    with pytest.raises(UserError, match="load 1 kg: this robot carries nothing"):
        in_mujoco(unladen, metadata, load=1.0)
