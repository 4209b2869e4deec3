"""The robot stands, drives and holds its boom as documented."""

from __future__ import annotations

import math
from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch
from mjlab.actuator.actuator import ActuatorCmd

from grq20 import (
    ARM_ANGLE_JOINT,
    ARM_LENGTH_JOINT,
    ARM_VISCOUS_DAMPING,
    DEFAULT_LEG_JOINT_POS,
    FOOT_RADIUS,
    FOOT_SITE_NAMES,
    LEG_JOINT_NAMES,
    LOAD_BODY_NAME,
    MJCF_PATH,
    STANDING_HEIGHT,
    amp_vae_env_cfg,
)
from rl_sim_env.errors import UserError
from rl_sim_env.robots import BoomMode, entity_cfg
from rl_sim_env.robots.grq20_v2d3 import GRQ20_V2D3

LOAD = 6.0
PITCH = math.radians(20.0)


def fixed_trunk(arm: BoomMode) -> tuple[mujoco.MjModel, mujoco.MjData]:
    """The entity's model under full load, its trunk held nose-down at 20 degrees."""
    spec = entity_cfg(GRQ20_V2D3.with_boom_mode(arm)).build().spec
    for key in spec.keys:
        spec.delete(key)
    spec.delete(spec.joint("floating_base"))
    spec.body("base_link").quat = [math.cos(PITCH / 2), 0.0, math.sin(PITCH / 2), 0.0]
    load = spec.body(LOAD_BODY_NAME)
    load.inertia *= (load.mass + LOAD) / load.mass
    load.mass += LOAD
    model = spec.compile()
    amp_vae_env_cfg(terrain="flat").sim.mujoco.apply(model)
    return model, mujoco.MjData(model)


def hold_boom(
    model: mujoco.MjModel, data: mujoco.MjData, angle: float, length: float, seconds: float
) -> tuple[np.ndarray, np.ndarray]:
    """Largest deviation of angle and length over a while, with the servos told to hold them."""
    joints = (ARM_ANGLE_JOINT, ARM_LENGTH_JOINT)
    held = np.array((angle, length))
    for joint, value in zip(joints, held, strict=True):
        data.joint(joint).qpos = value
        data.actuator(joint).ctrl = value
    track = []
    for _ in range(round(seconds / model.opt.timestep)):
        mujoco.mj_step(model, data)
        track.append([data.joint(joint).qpos[0] for joint in joints] - held)
    return np.abs(track).max(axis=0), np.array(track[-1])


def test_standing_height_in_the_default_pose():
    model = mujoco.MjModel.from_xml_path(str(MJCF_PATH))
    data = mujoco.MjData(model)
    for joint, value in zip(LEG_JOINT_NAMES, DEFAULT_LEG_JOINT_POS, strict=True):
        data.joint(joint).qpos = value
    mujoco.mj_kinematics(model, data)
    soles = [data.site(foot).xpos[2] - FOOT_RADIUS for foot in FOOT_SITE_NAMES]
    height = data.body("base_link").xpos[2] - np.array(soles)
    np.testing.assert_allclose(height, STANDING_HEIGHT, atol=1e-3)


@pytest.mark.parametrize("angle", (0.0, 0.8, math.pi / 2, -2.5))
def test_locked_boom_does_not_drift_in_an_episode(angle):
    model, data = fixed_trunk("locked")
    worst, _ = hold_boom(model, data, angle, 0.8, seconds=20.0)
    assert worst[0] < math.radians(0.5)
    assert worst[1] < 1e-3


def test_viscous_boom_slides_at_gravity_over_damping():
    model, data = fixed_trunk("viscous")
    start, seconds = 0.6, 2.0
    _, drift = hold_boom(model, data, 0.0, start, seconds)
    sliding_mass = model.body(LOAD_BODY_NAME).mass[0] + model.body("arm_length_link").mass[0]
    pull = sliding_mass * 9.81 * math.sin(PITCH)
    assert drift[1] / seconds == pytest.approx(pull / ARM_VISCOUS_DAMPING, rel=0.03)


@pytest.mark.parametrize(
    ("speed", "torque"),
    ((0.0, 120.0), (8.0, 120.0), (12.0, 60.0), (16.0, 0.0), (-16.0, 120.0)),
)
def test_torque_speed_curve(make_env, speed, torque):
    drive = make_env(1).leg_drive
    zero = torch.zeros(1, len(LEG_JOINT_NAMES))
    for sign in (1.0, -1.0):
        pull = ActuatorCmd(
            position_target=zero + sign * 100.0,
            velocity_target=zero,
            effort_target=zero,
            pos=zero,
            vel=zero + sign * speed,
        )
        torch.testing.assert_close(drive.compute(pull), zero + sign * torque)


def test_a_users_own_model_is_used(make_env, tmp_path: Path):
    own = tmp_path / "heavier.xml"
    spec = mujoco.MjSpec.from_file(str(MJCF_PATH))
    spec.body("base_link").mass += 4.0
    own.write_text(spec.to_xml())
    heavier = make_env(1, mjcf_path=own)
    assert heavier.nominal_mass - make_env(1).nominal_mass == pytest.approx(4.0)


def test_a_model_that_cannot_be_read_or_lacks_parts_is_refused(tmp_path: Path):
    for path, expected in (
        (tmp_path / "nowhere.xml", "nowhere.xml"),
        (tmp_path / "broken.xml", "broken.xml"),
        (tmp_path / "legless.xml", "FL_hip_joint"),
    ):
        (tmp_path / "broken.xml").write_text("<mujoco")
        (tmp_path / "legless.xml").write_text("<mujoco/>")
        with pytest.raises(UserError, match=expected):
            entity_cfg(GRQ20_V2D3.with_model(path)).build()


def test_an_unknown_arm_mode_is_refused():
    with pytest.raises(UserError, match="locked, viscous"):
        GRQ20_V2D3.with_boom_mode("loose")  # type: ignore[arg-type]
