"""Walking an exported policy in plain MuJoCo."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest

from grq20 import MJCF_PATH
from rl_sim_env.deploy import open_session
from rl_sim_env.deploy.metadata import NOTHING_DRAWN, Drawn
from rl_sim_env.deploy.mujoco_robot import TIME_STEP, MujocoRobot, World
from rl_sim_env.deploy.onnx_export import POLICY_FILE
from rl_sim_env.deploy.sim_to_sim import Link, SensorNoise, rollout
from rl_sim_env.errors import UserError
from rl_sim_env.mdp.hardware_sensors_cfg import HardwareSensorsCfg

SILENCE = SensorNoise(
    base_ang_vel=0.0, projected_gravity=0.0, joint_pos=0.0, joint_vel=0.0, joint_torques=0.0
)

LARGE = {
    "torque_constant": 0.5,
    "joint_torque_constant": 0.5,
    "torque_offset": 20.0,
    "torque_resolution": 10.0,
    "joint_friction": 2.0,
    "armature": 0.05,
    "imu_mounting": 0.2,
    "gyro_bias": 1.0,
    "encoder_offset": 0.1,
    "max_delay": 0.1,
}


def test_policy_without_actions_keeps_the_robot_on_its_feet(standing):
    result = rollout(standing, model=MJCF_PATH, command=(0.0, 0.0, 0.0), seconds=2.0, seed=1)
    assert not result.fell
    assert result.seconds == pytest.approx(2.0)
    assert result.distance < 0.3


def test_errors_are_against_the_command(standing):
    command = (3.0, 4.0, -7.0)
    result = rollout(standing, model=MJCF_PATH, command=command, seconds=1.0, noise=SILENCE)
    assert result.velocity_error == pytest.approx(5.0, abs=0.3)
    assert result.yaw_rate_error == pytest.approx(7.0, abs=0.3)


def test_mass_error_grows_with_a_load_that_is_not_noticed(exported, standing):
    light, heavy = (
        rollout(standing, model=MJCF_PATH, load=load, command=(0.0, 0.0, 0.0), seconds=0.5)
        for load in (0.0, 6.0)
    )
    assert abs(heavy.mass_rmse - light.mass_rmse) > 3.0


def test_walk_repeats_with_its_seed(exported):
    def short(seed: int):
        return rollout(exported / POLICY_FILE, model=MJCF_PATH, seconds=0.3, seed=seed)

    assert short(3) == short(3)
    assert short(3) != short(4)


NO_ERRORS = HardwareSensorsCfg(**{field.name: 0.0 for field in fields(HardwareSensorsCfg)})


def walk_with(standing, **errors: float):
    """A robot that stands, all of whose sensors are right but for some errors."""
    drawn = NOTHING_DRAWN.on_hardware(replace(NO_ERRORS, **errors))
    return rollout(
        standing,
        model=MJCF_PATH,
        command=(0.0, 0.0, 0.0),
        seconds=0.5,
        sensors="hardware",
        noise=replace(SILENCE, drawn=drawn),
    )


def test_errors_of_hardware_are_what_is_said_and_nothing_else(standing):
    ideal = rollout(
        standing,
        model=MJCF_PATH,
        command=(0.0, 0.0, 0.0),
        seconds=0.5,
        noise=replace(SILENCE, drawn=NOTHING_DRAWN),
    )
    faultless = walk_with(standing)
    # What is drawn of a world comes first.
    assert faultless.mass_rmse == pytest.approx(ideal.mass_rmse, abs=1e-3)
    for name, size in LARGE.items():
        assert walk_with(standing, **{name: size}) != faultless, name


def test_hardware_that_no_file_describes_is_refused(standing):
    with pytest.raises(UserError, match="the file does not say what these are"):
        rollout(standing, model=MJCF_PATH, seconds=0.1, sensors="hardware")


def link_of(standing, drawn: Drawn, sensors) -> tuple[MujocoRobot, Link]:
    metadata = replace(open_session(standing)[1], drawn=drawn)
    world = World(ground="flat", load=0.0, boom_length=0.6, boom_angle=0.0, friction=1.0, yaw=0.0)
    robot = MujocoRobot(MJCF_PATH, metadata, world)
    rng = np.random.default_rng(0)
    return robot, Link(robot, drawn, rng, sensors=sensors, noise=SILENCE)


def test_ideal_sensors_and_drives_are_late_by_half_of_what_was_drawn(standing):
    drawn = Drawn(command_delay=0.016, signal_delay=0.012, torque_delay=0.0, hardware=None)
    robot, link = link_of(standing, drawn, "ideal")
    default = robot.joint_pos
    states, torques = [], []
    advance = robot.advance

    def watched(target, *, seconds, delay, on_step):
        def keep() -> None:
            states.append(robot.joint_pos.copy())
            torques.append(robot.joint_torques.copy())
            on_step()

        advance(target, seconds=seconds, delay=delay, on_step=keep)

    robot.advance = watched
    link.drive(default - 0.3, seconds=0.02)
    link.drive(default - 0.3, seconds=0.02)
    reading = link.read(np.zeros(3), None)
    np.testing.assert_array_equal(reading.joint_pos, states[-1 - round(0.006 / TIME_STEP)])
    np.testing.assert_array_equal(reading.joint_torques, torques[-1])
    stiffness = 70.0
    learnt = next(i for i, of in enumerate(torques) if abs(of[8]) > 0.2 * stiffness)
    assert learnt == round(0.008 / TIME_STEP)


def test_drives_on_hardware_rub_from_not_at_all_to_all_that_was_drawn(standing):
    hardware = replace(NO_ERRORS, joint_friction=2.0, armature=0.05)
    drawn = NOTHING_DRAWN.on_hardware(hardware)
    nominal, _ = link_of(standing, NOTHING_DRAWN, "ideal")
    middle, _ = link_of(standing, drawn, "ideal")
    one, _ = link_of(standing, drawn, "hardware")

    def beyond(robot: MujocoRobot, field: str) -> np.ndarray:
        return (getattr(robot.model, field) - getattr(nominal.model, field))[-12:]

    np.testing.assert_allclose(beyond(middle, "dof_frictionloss"), 1.0)
    np.testing.assert_allclose(beyond(middle, "dof_armature"), 0.025)
    friction, armature = beyond(one, "dof_frictionloss"), beyond(one, "dof_armature")
    assert 0.0 <= friction.min() < 0.5 < 1.5 < friction.max() <= 2.0
    assert 0.0 < armature[0] < 0.05 and np.ptp(armature) < 1e-12


def test_walk_ends_with_a_fall(standing):
    result = rollout(standing, model=MJCF_PATH, load=200.0, command=(0.0, 0.0, 0.0), seconds=5.0)
    assert result.fell
    assert result.seconds < 4.0


def test_walking_outside_needs_neither_torch_nor_mjlab():
    code = (
        "import sys, rl_sim_env.deploy.sim_to_sim; "
        "assert not {'torch', 'mjlab', 'mjbatch'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
