"""Drives of the legs: each joint has its own, all are late together."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from rl_sim_env.envs import AmpVaeEnv
from rl_sim_env.robots.go1 import GO1
from rl_sim_env.tasks.go1 import GO1_WALKING

STIFFNESS = {joint: 20.0 + place for place, joint in enumerate(GO1.leg_joints)}
UNEVEN = replace(
    GO1,
    drives={
        joint: replace(drive, stiffness=STIFFNESS[joint], damping=0.02 * STIFFNESS[joint])
        for joint, drive in GO1.drives.items()
    },
)


@pytest.fixture(scope="module")
def env(make_env) -> AmpVaeEnv:
    return make_env(16, walking=replace(GO1_WALKING, robot=UNEVEN))


def by_joint(env: AmpVaeEnv, name: str) -> dict[str, torch.Tensor]:
    """Values of the drives, each of shape (num_envs,)."""
    values = getattr(env.leg_drive, name).unbind(dim=-1)
    return dict(zip(env.leg_drive.target_names, values, strict=True))


def test_each_drive_has_the_limits_of_its_motor(env):
    names = {
        "force_limit": "effort_limit",
        "velocity_limit_motor": "velocity_limit",
        "saturation_effort": "stall_torque",
    }
    for name, fact in names.items():
        for joint, values in by_joint(env, name).items():
            expected = torch.full_like(values, getattr(UNEVEN.drives[joint], fact))
            torch.testing.assert_close(values, expected)
        assert len({getattr(drive, fact) for drive in UNEVEN.drives.values()}) == 2
    limits = [UNEVEN.drives[joint].velocity_limit for joint in UNEVEN.leg_joints]
    assert env.leg_speed_limits[0].tolist() == pytest.approx(limits)


def test_gains_are_drawn_about_those_of_each_joint_however_often(env):
    for _ in range(3):
        env.reset()
    for name, share in (("stiffness", 1.0), ("damping", 0.02)):
        drawn = [
            values / (share * STIFFNESS[joint]) for joint, values in by_joint(env, name).items()
        ]
        factors = torch.stack(drawn)
        assert factors.min() >= 0.64 - 1e-4 and factors.max() <= 1.44 + 1e-4
        assert (factors.std(dim=1) > 0.05).all()
        assert factors.mean().item() == pytest.approx(1.0, abs=0.05)


def test_torques_follow_the_gains_of_each_joint(make_env, place):
    def certain(cfg) -> None:
        cfg.events.clear()

    env = make_env(1, walking=replace(GO1_WALKING, robot=UNEVEN), edit=certain)
    place(env, height=1.0)
    offset = 0.1
    target = env.default_leg_joint_pos + offset
    env.robot.set_joint_position_target(target, joint_ids=env.index.leg_joints)
    env.scene.write_data_to_sim()
    for name in UNEVEN.leg_joints:
        torque = float(env.sim.data.ctrl[0, env.sim.mj_model.actuator(f"robot/{name}").id])
        assert torque == pytest.approx(offset * STIFFNESS[name], rel=1e-4)


@pytest.mark.parametrize(
    ("delay", "timestep", "steps"),
    [(0.015, 0.005, 3), (0.015, 0.0025, 6), (0.0, 0.005, 0), (0.001, 0.005, 0)],
)
def test_delays_are_counted_in_physics_steps(make_env, delay, timestep, steps):
    def edit(cfg) -> None:
        cfg.decimation = round(0.02 / timestep)
        cfg.sim.mujoco.timestep = timestep

    robot = replace(UNEVEN, max_command_delay=delay)
    env = make_env(32, walking=replace(GO1_WALKING, robot=robot), edit=edit)
    assert env.leg_drive.max_lag == steps
    obs, *_ = env.step(torch.zeros(32, 12))
    assert obs["actor_obs"].isfinite().all()


def test_settings_of_an_environment_leave_the_robot_alone(make_env):
    joint = GO1.leg_joints[0]

    def stiffer(cfg) -> None:
        cfg.scene.entities["robot"].articulation.actuators[0].drives[joint].stiffness = 99.0

    env = make_env(1, walking=GO1_WALKING, play=True, edit=stiffer)
    assert by_joint(env, "stiffness")[joint].tolist() == [99.0]
    assert GO1.drives[joint].stiffness == 30.0
