"""Drives of the legs: each joint has its own, all are late together."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from mjlab.actuator.actuator import ActuatorCmd

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


@pytest.mark.parametrize("decimation", [3, 4, 8])
def test_targets_are_late_in_seconds_whatever_the_time_step(make_env, decimation):
    def edit(cfg) -> None:
        cfg.decimation = decimation
        cfg.sim.mujoco.timestep = 0.02 / decimation

    delays = torch.tensor([0.0, 0.004, 0.01, 0.015])
    env = make_env(len(delays), walking=GO1_WALKING, edit=edit)
    drive, step = env.leg_drive, env.physics_dt
    drive.reset()
    drive.set_delays(delays)
    empty = torch.empty(len(delays), 12)
    for number in range(2 * decimation):
        now = torch.full((len(delays), 12), number * step)
        late = drive.apply_delay(ActuatorCmd(now, *[empty] * 4)).position_target
    torch.testing.assert_close(now - late, delays[:, None].expand_as(now), atol=1e-6, rtol=0.0)


@pytest.mark.parametrize("delay", [0.0, 0.001, 0.015])
def test_delays_are_drawn_up_to_the_longest(make_env, delay):
    robot = replace(UNEVEN, max_command_delay=delay)
    env = make_env(64, walking=replace(GO1_WALKING, robot=robot))
    drive = env.leg_drive
    if delay:
        mean_age = (drive._weights * drive._age).sum(dim=0) * env.physics_dt
        assert mean_age.min() < 0.2 * delay and 0.8 * delay < mean_age.max() <= delay
    obs, *_ = env.step(torch.zeros(64, 12))
    assert obs["actor_obs"].isfinite().all()


def test_settings_of_an_environment_leave_the_robot_alone(make_env):
    joint = GO1.leg_joints[0]

    def stiffer(cfg) -> None:
        cfg.scene.entities["robot"].articulation.actuators[0].drives[joint].stiffness = 99.0

    env = make_env(1, walking=GO1_WALKING, play=True, edit=stiffer)
    assert by_joint(env, "stiffness")[joint].tolist() == [99.0]
    assert GO1.drives[joint].stiffness == 30.0
