"""What a user has chosen outlives falls."""

from __future__ import annotations

import pytest
import torch

from rl_sim_env.mdp.events import get_load
from rl_sim_env.mdp.observations import system_mass_delta
from rl_sim_env.viewer.ground_panel import end_episodes
from rl_sim_env.viewer.wishes import Wishes

SECOND = torch.tensor([1])


@pytest.fixture
def wishes(policy_player) -> Wishes:
    policy_player.reset()
    policy_player.advance()
    return Wishes(policy_player.env)


def test_another_load_hangs_on_one_robot_in_mid_walk(wishes, policy_player):
    env = policy_player.env
    mass, qpos = system_mass_delta(env).clone(), env.sim.data.qpos.clone()
    com_before = env.sim.data.subtree_com[:, env.index.base_body_global].clone()
    wishes.set_load(SECOND, 2.5)
    after = system_mass_delta(env)
    com = env.sim.data.subtree_com[:, env.index.base_body_global]
    assert after[0] == mass[0]
    assert after[1] == pytest.approx(2.5, abs=1e-3)
    assert torch.equal(com[0], com_before[0])
    assert not torch.equal(com[1], com_before[1])
    assert torch.equal(env.sim.data.qpos, qpos)
    # It really hangs there: the robot is heavier by as much.
    assert env.sim.model.body_subtreemass[1, env.index.base_body_global] == pytest.approx(
        env.nominal_mass + float(after[1]), abs=1e-3
    )


def test_a_robot_that_begins_anew_keeps_what_was_chosen_and_no_other_does(wishes, policy_player):
    env = policy_player.env
    wishes.set_load(SECOND, 9.5)
    wishes.set_friction(SECOND, 0.3)
    wishes.set_boom(SECOND, 1.0, 0.6)
    end_episodes(env, torch.arange(2))
    step = policy_player.advance()
    assert step.dones.all() and not step.fell.any()
    wishes.keep(step.dones)
    assert get_load(env)[1] == pytest.approx(9.5, abs=1e-3)
    assert get_load(env)[0] <= env.cfg.robot.max_load
    assert wishes.friction_of(1) == pytest.approx(0.3)
    assert wishes.friction_of(0) == pytest.approx(env.cfg.robot.foot_friction)
    assert wishes.boom_of(1) == pytest.approx((1.0, 0.6), abs=1e-3)


def test_a_boom_is_driven_and_does_not_jump(wishes, policy_player):
    angle, length = wishes.boom_of(1)
    wishes.set_boom(SECOND, angle + 0.2, length)
    assert wishes.boom_of(1)[0] == pytest.approx(angle, abs=1e-3)
    for _ in range(50):
        policy_player.advance()
    assert wishes.boom_of(1)[0] == pytest.approx(angle + 0.2, abs=0.1)
