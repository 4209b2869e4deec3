"""The robot in plain MuJoCo."""

from __future__ import annotations

import math
from dataclasses import replace

import mujoco
import numpy as np
import pytest
import torch
from mjlab.actuator.actuator import ActuatorCmd
from mjlab.actuator.dc_actuator import DcMotorActuator

from grq20 import MJCF_PATH, STANDING_HEIGHT
from rl_sim_env.deploy import open_session
from rl_sim_env.deploy.mujoco_robot import GROUND_AHEAD, MujocoRobot, World, drive_torque
from rl_sim_env.deploy.onnx_export import POLICY_FILE
from rl_sim_env.errors import Notice, UserError
from rl_sim_env.mdp import observations

PLAIN = World(ground="flat", load=0.0, boom_length=0.6, boom_angle=0.0, friction=0.8, yaw=0.0)
DRIVE = ("stiffness", "damping", "effort_limit", "stall_torque", "velocity_limit")


@pytest.fixture(scope="module")
def metadata(exported):
    return open_session(exported / POLICY_FILE)[1]


@pytest.fixture
def make_robot(metadata):
    def make(**world) -> MujocoRobot:
        return MujocoRobot(MJCF_PATH, metadata, replace(PLAIN, **world))

    return make


def ground_height(robot: MujocoRobot, x: float) -> float:
    top = 50.0
    hit = np.zeros(1, dtype=np.int32)
    start, down = np.array((x, 3.0, top)), np.array((0.0, 0.0, -1.0))
    return top - mujoco.mj_ray(robot.model, robot.data, start, down, None, 1, -1, hit)


def test_drive_is_that_of_the_trainer(metadata):
    rng = np.random.default_rng(0)
    target, pos = rng.normal(size=(2, 500, 12)) * 3.0
    # Beyond the no-load speed in both directions, where the motor brakes.
    vel = rng.uniform(-40.0, 40.0, size=(500, 12))
    drive = {name: np.array(getattr(metadata, name)) for name in DRIVE}
    torque = drive_torque(target, pos, vel, **drive)
    trainers = {"effort_limit": "force_limit", "stall_torque": "saturation_effort"}
    trainers |= {"velocity_limit": "velocity_limit_motor"}
    zero = torch.zeros(500, 12, dtype=torch.double)
    command = ActuatorCmd(
        position_target=torch.from_numpy(target),
        velocity_target=zero,
        effort_target=zero,
        pos=torch.from_numpy(pos),
        vel=torch.from_numpy(vel),
    )
    expected = DcMotorActuator.control_law(
        {trainers.get(name, name): torch.from_numpy(value) for name, value in drive.items()},
        command,
    )
    np.testing.assert_allclose(torque, expected, atol=1e-9)
    assert (np.abs(torque) == 120.0).any()


def test_robot_stands_where_the_trainers_robot_stands(make_robot):
    robot = make_robot()
    assert robot.base_pos[2] == pytest.approx(STANDING_HEIGHT, abs=2e-3)
    assert not robot.has_fallen


def test_robot_told_to_stand_gives_way_like_the_trainers(make_env, place, make_robot):
    env = make_env(1, edit=lambda cfg: cfg.events.clear())
    robot = make_robot()
    place(env, height=float(robot.base_pos[2]))
    target = robot.joint_pos
    for _ in range(20):
        env.step(torch.zeros(1, 12))
        robot.advance(target, seconds=env.step_dt)
    state = env.robot.data
    assert robot.base_pos[2] < STANDING_HEIGHT - 0.05, "the drives should be too soft to hold it"
    np.testing.assert_allclose(robot.base_pos, state.root_link_pos_w[0], atol=0.01)
    np.testing.assert_allclose(robot.joint_pos, observations.joint_pos(env)[0], atol=0.03)
    np.testing.assert_allclose(robot.base_lin_vel, observations.base_lin_vel(env)[0], atol=0.05)
    np.testing.assert_allclose(robot.joint_torques, observations.joint_torques(env)[0], atol=1.0)


def test_load_and_boom_weigh_what_they_weigh_in_the_trainer(make_env, place, make_robot):
    def loaded(cfg) -> None:
        cfg.events = {"load": cfg.events["load"]}
        cfg.events["load"].params["mass"] = (4.0, 4.0)

    env = make_env(1, edit=loaded)
    place(env, arm=(0.9, 0.7))
    robot = make_robot(load=4.0, boom_angle=0.9, boom_length=0.7, yaw=1.2)
    assert robot.mass == pytest.approx(4.0)
    assert robot.mass == pytest.approx(float(observations.system_mass_delta(env)), abs=1e-4)
    np.testing.assert_allclose(robot.com, observations.system_com(env)[0], atol=1e-5)


def test_inertia_of_the_load_grows_with_it(make_robot):
    def inertia(load: float) -> np.ndarray:
        robot = make_robot(load=load)
        return robot.model.body("arm_load_link").inertia

    # The empty end of the boom weighs 0.1 kg.
    np.testing.assert_allclose(inertia(0.4), 5.0 * inertia(0.0))


def test_velocities_are_those_of_the_base_frame(make_robot):
    robot = make_robot(yaw=math.pi / 2.0)
    robot.data.qvel[:3] = (0.0, 0.5, 0.1)
    np.testing.assert_allclose(robot.base_lin_vel, (0.5, 0.0, 0.1), atol=1e-12)


def test_targets_are_known_after_the_delay(make_robot):
    def calf_after(delay: float, change: float = -0.3) -> float:
        robot = make_robot()
        robot.advance(robot.joint_pos + change, seconds=0.02, delay=delay)
        return robot.joint_pos[8]

    unchanged = calf_after(0.0, change=0.0)
    assert calf_after(0.02) == unchanged
    assert calf_after(0.0) < calf_after(0.01) < unchanged - 1e-3


def test_targets_that_came_late_hold_in_the_next_period(make_robot):
    robot, still = make_robot(), make_robot()
    target = robot.joint_pos - 0.3
    for _ in range(2):
        robot.advance(target, seconds=0.02, delay=0.02)
        still.advance(still.joint_pos, seconds=0.02)
    assert robot.joint_pos[8] < still.joint_pos[8] - 0.02


@pytest.mark.parametrize(
    ("ground", "x", "height"),
    [
        ("flat", 5.0, 0.0),
        ("slope 10 deg", GROUND_AHEAD - 0.1, 0.0),
        ("slope 10 deg", GROUND_AHEAD + 2.0, 2.0 * math.tan(math.radians(10.0))),
        ("stairs 10 cm", GROUND_AHEAD - 0.1, 0.0),
        ("stairs 10 cm", GROUND_AHEAD + 0.1, 0.1),
        ("stairs 15 cm", GROUND_AHEAD + 0.7, 0.45),
    ],
)
def test_ground_rises_ahead_as_its_name_says(make_robot, ground, x, height):
    assert ground_height(make_robot(ground=ground), x) == pytest.approx(height, abs=1e-6)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_robot_on_its_side_has_fallen(make_robot, sign):
    robot = make_robot()
    robot.base_pos[2] = 1.0
    robot.quaternion[:] = (math.cos(math.pi / 4.0), sign * math.sin(math.pi / 4.0), 0.0, 0.0)
    assert robot.has_fallen


def test_robot_that_lies_on_its_trunk_has_fallen(make_robot):
    robot = make_robot()
    robot.base_pos[2] = 0.05
    mujoco.mj_forward(robot.model, robot.data)
    assert robot.has_fallen


def test_unknown_ground_is_told(make_robot):
    with pytest.raises(UserError, match="did you mean stairs 1"):
        make_robot(ground="stairs 12 cm")


def test_model_that_lacks_parts_is_told_in_one_line(metadata, tmp_path):
    path = tmp_path / "robot.xml"
    text = MJCF_PATH.read_text().replace("FL_hip_joint", "left_hip")
    path.write_text(text.replace("RR_foot_collision", "toe"))
    words = "lacks joint 'FL_hip_joint', geom 'RR_foot_collision'"
    with pytest.raises(UserError, match=words) as caught:
        MujocoRobot(path, metadata, PLAIN)
    assert "\n" not in str(caught.value)


def test_a_file_that_does_not_say_what_drives_were_like_is_told(metadata):
    with pytest.warns(Notice, match="export it anew"):
        MujocoRobot(MJCF_PATH, replace(metadata, drawn=None), PLAIN)


def test_unreadable_model_is_told(metadata, tmp_path):
    with pytest.raises(UserError, match="cannot read robot model"):
        MujocoRobot(tmp_path / "none.xml", metadata, PLAIN)
