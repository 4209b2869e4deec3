"""The learner of footholds on a body with two feet that step where they are told."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from toy_env import ToyEnv, ToyExpert, toy_cfg
from walking_toy_env import FEET, WalkingToyEnv, hole

from rl_sim_env.cuda_graphs import HostReads
from rl_sim_env.errors import UserError
from rl_sim_env.learning.foothold_learner import FootholdLearner
from rl_sim_env.learning.footholds_cfg import FootholdsCfg
from rl_sim_env.learning.footing import Footing, FootSupport
from rl_sim_env.learning.runner import AmpVaeRunner
from to_the_bit import straight_and_resumed, unlike


def make_runner(
    log_dir: Path | None = None, env: ToyEnv | None = None, **footholds
) -> AmpVaeRunner:
    torch.manual_seed(3)
    cfg = toy_cfg(footholds=FootholdsCfg(**{"hidden_dims": (16,), **footholds}))
    runner = AmpVaeRunner(env or WalkingToyEnv(), cfg, ToyExpert(), log_dir, task_id="Toy-v0")
    torch.manual_seed(4)
    return runner


def learner_of(runner: AmpVaeRunner) -> FootholdLearner:
    learner = runner.alg.learners["footholds"]
    assert isinstance(learner, FootholdLearner)
    return learner


def test_the_others_do_not_notice_one_that_only_predicts():
    plain = make_runner(guidance="off")
    assert "footholds" not in plain.alg.learners
    plain.learn(2)
    beside = make_runner(guidance="predict")
    beside.learn(2)
    for name, learner in plain.alg.learners.items():
        assert unlike(learner.state_dict(), beside.alg.learners[name].state_dict()) == []


def test_touchdowns_are_learned_and_the_error_is_followed(tmp_path: Path):
    runner = make_runner(tmp_path, WalkingToyEnv(64), guidance="predict", learning_rate=3e-3)
    runner.learn(1)
    first = learner_of(runner).quality[0].item()
    runner.learn(40)
    assert learner_of(runner).quality[0].item() < 0.5 * first


@pytest.mark.parametrize("own_critic", [False, True])
def test_the_policy_learns_to_step_beside_holes(own_critic):
    runner = make_runner(
        env=WalkingToyEnv(64),
        guidance="contact",
        weight=100.0,
        own_critic=own_critic,
        critic_weight=2.0,
    )
    shares = []
    for iterations in (1, 20):
        runner.learn(iterations)
        after = Footing.unpacked(runner.alg.rollout["footing_after"])
        shares.append(hole(after.foot_xy)[after.stands].mean().item())
    assert shares[1] < 0.6 * shares[0]


def rewards_with(guidance: str, squared_error: float, **footholds) -> torch.Tensor:
    """What a rollout of given feet is paid, by one whose predictions are so far off."""
    runner = make_runner(guidance=guidance, weight=2.0, **footholds)
    learner = learner_of(runner)
    runner.learn(1)
    rollout = runner.alg.rollout
    learner.quality[0] = squared_error
    rollout["rewards"].zero_()
    ahead = torch.full_like(rollout["footing_before"], 0.3)
    ahead[..., -1] = 1.0  # is valid
    for name in ("footing_before", "footing_after"):
        rollout[name].copy_(ahead)  # 0.3 says that no foot stands, each 0.3 m ahead
    with torch.no_grad():
        learner.shape_rewards(rollout)
    return rollout["rewards"]


def test_feet_on_their_way_to_holes_are_paid_for_where_predictions_are_near_enough():
    near = rewards_with("imagined", 0.01**2)
    assert (near < 0.0).all()
    # All that could be lacking would cost the weight.
    assert (near >= -2.0 * ToyEnv.step_dt - 1e-6).all()
    assert not rewards_with("imagined", 0.08**2).any()
    assert not rewards_with("contact", 0.01**2).any()
    assert not rewards_with("predict", 0.01**2).any()
    assert not rewards_with("imagined", 0.01**2, least_level=1).any()


@pytest.mark.parametrize("own_critic", [False, True])
def test_a_resumed_run_continues_bit_identically(tmp_path: Path, own_critic):
    make = partial(make_runner, guidance="imagined", own_critic=own_critic)
    straight_and_resumed(make, tmp_path)


def test_an_environment_that_does_not_report_feet_is_refused_by_name():
    class Silent(WalkingToyEnv):
        def report_footing(self) -> FootSupport:
            return FootSupport(FEET, hole)

    with pytest.raises(UserError, match="no 'footing'; there are"):
        make_runner(env=Silent(), guidance="predict").learn(1)


def test_a_group_that_there_is_not_is_named():
    with pytest.raises(UserError, match=r"agent\.footholds\.obs_groups: no 'map_obs'"):
        make_runner(guidance="predict", obs_groups=("map_obs",))


def test_nothing_is_read_on_the_host_in_step_and_loss():
    runner = make_runner(guidance="imagined")
    runner.learn(1)
    learner, rollout = learner_of(runner), runner.alg.rollout
    indices = next(rollout.draw(1, 1))
    with HostReads() as reads:
        learner.loss(rollout, indices, None)
    assert not reads.places
