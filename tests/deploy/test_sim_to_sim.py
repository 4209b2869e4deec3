"""Walking an exported policy in plain MuJoCo."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace

import pytest

from grq20 import MJCF_PATH
from rl_sim_env.deploy.onnx_export import POLICY_FILE
from rl_sim_env.deploy.sim_to_sim import SensorNoise, rollout
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


def walk_with(standing, **errors: float):
    """A robot that stands, all of whose sensors are right but for some errors."""
    none = {field.name: 0.0 for field in fields(HardwareSensorsCfg)}
    return rollout(
        standing,
        model=MJCF_PATH,
        command=(0.0, 0.0, 0.0),
        seconds=0.5,
        noise=replace(SILENCE, hardware=HardwareSensorsCfg(**{**none, **errors})),
    )


def test_errors_of_hardware_are_what_is_said_and_nothing_else(standing):
    ideal = rollout(standing, model=MJCF_PATH, command=(0.0, 0.0, 0.0), seconds=0.5, noise=SILENCE)
    faultless = walk_with(standing)
    # What is drawn of a world comes first.
    assert faultless.mass_rmse == pytest.approx(ideal.mass_rmse, abs=1e-3)
    for name, size in LARGE.items():
        assert walk_with(standing, **{name: size}) != faultless, name


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
