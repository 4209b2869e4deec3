"""Targets that keep their range and their rate whatever a network says, here and in ONNX."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from grq20 import LEG_JOINT_NAMES
from rl_sim_env.deploy import DeployedPolicy, SensorReading
from rl_sim_env.deploy.onnx_export import export_policy
from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.errors import UserError
from rl_sim_env.learning.policy import POLICY_STATE
from rl_sim_env.mdp.actions import fill_bounds
from small_policy import save, small_checkpoint

NUM_LEGS = len(LEG_JOINT_NAMES)


@pytest.fixture(scope="module")
def env(make_env):
    return make_env(8, edit=lambda cfg: setattr(cfg.actions["joint_pos"], "bounded", True))


def test_no_output_of_a_network_leaves_the_range_or_exceeds_the_rate(env):
    torch.manual_seed(0)
    layout, legs = env.constraint_monitor.layout, env.index.leg_joints
    low, high = env.robot.data.soft_joint_pos_limits[0, legs].unbind(dim=-1)
    place = layout.names.index("target_rate")
    reached = []
    for step in range(60):
        scale = 10.0 ** (step % 7 - 2)
        _, _, _, _, extras = env.step(scale * torch.randn(8, NUM_LEGS))
        assert (layout.worst(extras["margins"])[:, place] < 0.0).all()
        target = env.robot.data.joint_pos_target[:, legs]
        assert (target >= low - 1e-5).all() and (target <= high + 1e-5).all()
        reached.append(layout.worst(extras["margins"])[:, place].max().item())
    # It is the bound that keeps them.
    assert max(reached) > -0.02


def test_what_is_observed_is_what_is_done(env):
    env.reset()
    for _ in range(3):
        env.step(torch.full((8, NUM_LEGS), 100.0))
    last = env.observation_manager.measure("actor_obs", "last_action")
    (term,) = map(env.action_manager.get_term, env.action_manager.active_terms)
    target = env.robot.data.joint_pos_target[:, env.index.leg_joints]
    torch.testing.assert_close(env.default_leg_joint_pos + term.scale * last, target)


def test_targets_are_free_by_default(make_env):
    env = make_env(2)
    env.step(torch.full((2, NUM_LEGS), 100.0))
    assert env.action_manager.action.min() == 100.0
    assert env.cfg.actions["joint_pos"].clip is None


def test_a_pose_outside_of_the_range_is_named(make_env):
    env = make_env(2)
    env.cfg.actions["joint_pos"].bounded = True
    env.robot.data.soft_joint_pos_limits[:, env.index.leg_joints[0]] = 1.0
    with pytest.raises(UserError, match=rf"bounded: joint {LEG_JOINT_NAMES[0]} stands at"):
        fill_bounds(env)


def random_reading(rng: np.random.Generator) -> SensorReading:
    widths = {"base_ang_vel": 3, "joint_pos": 12, "joint_vel": 12, "joint_torques": 12}
    drawn = {name: rng.normal(size=width) for name, width in widths.items()}
    return SensorReading(projected_gravity=(0.0, 0.0, -1.0), velocity_commands=(0.5, 0, 0), **drawn)


def test_an_exported_policy_is_bounded_as_the_environment_is(env, tmp_path):
    checkpoint = small_checkpoint(AmpVaeVecEnv(env))
    for name, value in checkpoint.algorithm[POLICY_STATE].items():
        if name.startswith("actor."):
            value.mul_(30.0)
    path, *_ = export_policy(save(checkpoint, tmp_path), tmp_path)
    policy = DeployedPolicy(path)
    facts = policy.metadata
    assert facts.target_limits is not None and facts.target_rates is not None
    low, high = np.array(facts.target_limits).T
    most = np.array(facts.target_rates) * facts.control_period
    rng = np.random.default_rng(0)
    before, changes = np.array(facts.default_joint_pos), []
    for _ in range(50):
        target = policy.step(random_reading(rng)).joint_targets
        assert (target >= low - 1e-5).all() and (target <= high + 1e-5).all()
        assert (np.abs(target - before) <= most + 1e-5).all()
        changes.append(np.abs(target - before) / most)
        before = target
    assert np.max(changes) > 0.99
