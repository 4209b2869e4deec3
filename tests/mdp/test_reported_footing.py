"""What the environment reports of feet."""

from __future__ import annotations

import math

import pytest
import torch

from rl_sim_env.cuda_graphs import HostReads
from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.learning.footing import FOOTING, Footing
from rl_sim_env.mdp.footing import footing
from rl_sim_env.mdp.observations import foot_pos_w


@pytest.fixture(scope="module")
def env(make_env):
    return make_env(2)


def test_feet_are_seen_from_the_base_whichever_way_it_turns(env, place):
    place(env)
    straight = Footing.unpacked(footing(env))
    place(env, yaw=2.0, roll=0.1)
    turned = Footing.unpacked(footing(env))
    front, left = straight.foot_xy[0, :, 0] > 0.0, straight.foot_xy[0, :, 1] > 0.0
    assert front.sum() == left.sum() == 2
    assert torch.equal(turned.foot_xy[0, :, 0] > 0.0, front)
    assert torch.allclose(turned.foot_xy[..., 0], straight.foot_xy[..., 0], atol=0.01)
    assert turned.yaw.tolist() == pytest.approx([2.0] * 2, abs=0.05)
    assert torch.allclose(turned.to_world(turned.foot_xy), foot_pos_w(env)[..., :2], atol=1e-5)
    assert turned.is_valid.all()


def test_feet_stand_where_the_ground_carries_them(env, place):
    place(env)
    for _ in range(10):
        env.step(torch.zeros(2, env.action_manager.total_action_dim))
    assert Footing.unpacked(footing(env)).stands.all()
    place(env, height=1.5)
    env.step(torch.zeros(2, env.action_manager.total_action_dim))
    assert not Footing.unpacked(footing(env)).stands.any()


def test_reading_them_can_be_recorded_by_a_gpu(env):
    with HostReads() as reads:
        footing(env)
    assert not reads.places


def test_it_is_reported_from_when_somebody_asks(make_env):
    vec_env = AmpVaeVecEnv(make_env(2))
    actions = torch.zeros(2, vec_env.num_actions)
    assert FOOTING not in vec_env.step(actions)[3]
    support = vec_env.report_footing()
    at = Footing.unpacked(vec_env.step(actions)[3][FOOTING])
    assert at.foot_xy.shape == (2, support.num_feet, 2)
    assert math.isclose(float(at.level.sum()), 0.0)
    assert not support.deficiency(at.to_world(at.foot_xy)).any()
