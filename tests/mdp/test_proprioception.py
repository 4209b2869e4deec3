"""Delays: drawn per episode and signal, constant in between, exact in their interpolation."""

from __future__ import annotations

import pytest
import torch

from grq20 import LEG_JOINT_NAMES
from rl_sim_env.configuration import apply_settings
from rl_sim_env.conventions import PHYSICS_DT
from rl_sim_env.errors import UserError

MAX_DELAY = 0.0075
DT = PHYSICS_DT


@pytest.fixture(scope="module")
def env(make_env):
    return make_env(16)


def play_ramp(env, num_frames: int, first: int = 0) -> float:
    """Let joint positions, velocities and the yaw rate rise by 1 per second; returns the time."""
    sensor = env.scene["proprioception"]
    for frame in range(first, first + num_frames):
        env.sim.data.qpos[:, 7:] = frame * DT
        env.sim.data.qvel[:, 5:] = frame * DT
        sensor.update(DT)
    return (first + num_frames - 1) * DT


def measured_delays(env, now: float) -> dict[str, torch.Tensor]:
    data = env.scene["proprioception"].data
    return {
        "joint_pos": now - data.joint_pos,
        "joint_vel": now - data.joint_vel,
        "base_ang_vel": now - data.base_ang_vel[:, 2:],
    }


def test_delays_differ_by_signal_and_robot_and_last_an_episode(env):
    env.reset()
    now = play_ramp(env, 4)
    delays = measured_delays(env, now)
    for delay in delays.values():
        assert (delay > -1e-6).all() and (delay < MAX_DELAY + 1e-6).all()
        # One bus, one delay: all joints of a robot together.
        torch.testing.assert_close(delay, delay[:, :1].expand_as(delay), atol=1e-6, rtol=0.0)
        assert delay[:, 0].max() - delay[:, 0].min() > MAX_DELAY / 2
    assert (delays["joint_pos"] - delays["joint_vel"]).abs().max() > MAX_DELAY / 4

    later = measured_delays(env, play_ramp(env, 5, first=4))
    for name, delay in delays.items():
        torch.testing.assert_close(later[name], delay, atol=1e-6, rtol=0.0)

    env.reset()
    redrawn = measured_delays(env, play_ramp(env, 4))
    assert (redrawn["joint_pos"] - delays["joint_pos"]).abs().max() > MAX_DELAY / 4


@pytest.mark.parametrize(
    ("age", "expected"),
    ((0.0, 9.0), (0.5, 6.5), (1.0, 4.0), (1.5, 2.5)),
)
def test_interpolation_between_the_frames_of_a_square(env, age, expected):
    sensor = env.scene["proprioception"]
    env.reset()
    _ = sensor.data
    sensor._delay[:] = age * DT
    for frame in range(4):
        env.sim.data.qpos[:, 7:] = float(frame**2)
        sensor.update(DT)
    wanted = torch.full((env.num_envs, len(LEG_JOINT_NAMES)), expected)
    torch.testing.assert_close(sensor.data.joint_pos, wanted)


def test_first_observation_after_a_reset_is_the_measured_state(env):
    env.reset()
    play_ramp(env, 4)
    obs, _ = env.reset()
    layout, robot = env.observation_layout, env.robot.data
    pos = robot.joint_pos[:, env.index.leg_joints]
    expected = {
        "base_ang_vel": env.sim.data.qvel[:, 3:6],
        "projected_gravity": robot.projected_gravity_b,
        "joint_pos": pos - env.default_leg_joint_pos,
        "joint_vel": robot.joint_vel[:, env.index.leg_joints],
        "joint_torques": torch.zeros_like(pos),
        "last_action": torch.zeros_like(pos),
        "velocity_commands": env.velocity_command.command,
    }
    assert tuple(expected) == layout.names("actor_obs")
    for name, value in expected.items():
        scale = torch.tensor(layout.term("actor_obs", name).scales)
        seen = obs["actor_obs"][:, layout.slice("actor_obs", name)]
        torch.testing.assert_close(seen, value * scale, atol=1e-5, rtol=0.0)
    assert pos.std(dim=0).min() > 0.05, "the reset poses differ"


def test_delays_stay_in_seconds_when_the_time_step_changes(make_env):
    def fine(cfg):
        apply_settings(["env.sim.mujoco.timestep=0.0025", "env.decimation=8"], "env", cfg)

    env = make_env(16, edit=fine)
    assert env.step_dt == pytest.approx(0.02)
    sensor, step = env.scene["proprioception"], env.physics_dt
    _ = sensor.data
    sensor._delay[:] = 0.006
    for frame in range(6):
        env.sim.data.qpos[:, 7:] = frame * step
        sensor.update(step)
    delay = 5 * step - sensor.data.joint_pos
    torch.testing.assert_close(delay, torch.full_like(delay, 0.006), atol=1e-6, rtol=0.0)


def test_delay_of_the_drives_in_physics_steps_is_refused(make_env):
    setting = "env.scene.entities.robot.articulation.actuators.0.delay_max_lag=5"
    with pytest.raises(UserError, match="its delay is max_delay, in seconds"):
        make_env(1, edit=lambda cfg: apply_settings([setting], "env", cfg))
