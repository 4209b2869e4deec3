"""Neither the boom's joints nor the load's enter what the policy sees, is paid for or does.

Every array entry of the boom's joints is overwritten with NaN, with nothing recomputed: whatever
reads one of them changes.
"""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(scope="module")
def env(make_env):
    env = make_env(2)
    env.velocity_command.set_constant((0.5, 0.1, 0.2))
    for _ in range(3):
        env.step(0.2 * torch.randn(2, 12))
    return env


def measure(env) -> None:
    """Fill the delay lines with the present state."""
    for _ in range(3):
        env.scene["proprioception"].update(env.physics_dt)


@pytest.fixture
def poison_boom(env):
    """Overwrites the boom's entries when called; the true values come back after the test."""
    robot, arm = env.robot, env.index.boom_joints
    boom = env.cfg.robot.payload.joints
    drives = [env.sim.mj_model.actuator(f"robot/{name}").id for name in boom]
    entries = [
        (env.sim.data.qpos, robot.indexing.joint_q_adr[arm]),
        *(
            (getattr(env.sim.data, field), robot.indexing.joint_v_adr[arm])
            for field in ("qvel", "qacc", "qfrc_actuator")
        ),
        *((getattr(env.sim.data, field), drives) for field in ("ctrl", "actuator_force")),
        (robot.data.joint_pos_target, arm),
        (robot.data.default_joint_pos, arm),
        (robot.data.soft_joint_pos_limits, arm),
    ]
    saved = [tensor[:, columns].clone() for tensor, columns in entries]

    def poison() -> None:
        for tensor, columns in entries:
            tensor[:, columns] = torch.nan
        measure(env)

    yield poison
    for (tensor, columns), values in zip(entries, saved, strict=True):
        tensor[:, columns] = values


def test_observations_and_style_features(env, poison_boom):
    measure(env)
    groups = ("actor_obs", "critic_obs", "amp_obs")
    before = {group: env.observation_manager.compute_group(group).clone() for group in groups}
    poison_boom()
    for group in groups:
        after = env.observation_manager.compute_group(group)
        torch.testing.assert_close(after, before[group], rtol=0.0, atol=0.0, msg=group)


def test_rewards(env, poison_boom):
    before = {name: term.func(env, **term.params) for name, term in env.cfg.rewards.items()}
    poison_boom()
    for name, term in env.cfg.rewards.items():
        assert torch.equal(term.func(env, **term.params), before[name]), name


def test_commands_and_curricula(env, poison_boom):
    command = env.velocity_command
    poison_boom()
    command.compute(dt=env.step_dt)
    for value in (command.command, command.progress, command.tracking, *command.metrics.values()):
        assert value.isfinite().all()
