"""What optimisers remember goes on with training, or the file that says something else is none."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from parts import build, iterate, ppo_of, style_of
from toy_env import ToyEnv, toy_cfg
from walking_toy_env import WalkingToyEnv

from rl_sim_env.errors import UserError
from rl_sim_env.learning.algorithm import Algorithm
from rl_sim_env.learning.constraints_cfg import ConstraintsCfg
from rl_sim_env.learning.footholds_cfg import FootholdsCfg
from to_the_bit import unlike

LEARNERS = ("estimator", "policy", "discriminator", "footholds", "constraints")


def with_all_learners(env: WalkingToyEnv | None = None, seed: int = 0) -> Algorithm:
    cfg = toy_cfg(
        footholds=FootholdsCfg(hidden_dims=(16,), guidance="contact", own_critic=True),
        constraints=ConstraintsCfg(strategy="np3o"),
    )
    return build(env or WalkingToyEnv(), cfg, seed=seed)


@pytest.fixture(scope="module")
def saved() -> dict[str, Any]:
    """What all learners have saved after an iteration: two epochs of two mini-batches."""
    env = WalkingToyEnv()
    algorithm = with_all_learners(env)
    iterate(algorithm, env)
    return copy.deepcopy(algorithm.save())


def test_every_optimizer_says_how_often_it_updated_what(saved):
    assert set(saved["learners"]) == set(LEARNERS)
    for learner in saved["learners"].values():
        assert set(learner["updates"].tolist()) == {4.0}
    new = with_all_learners().save()["learners"]
    assert not any(learner["updates"].any() for learner in new.values())


def _emptied(learner: dict[str, Any]) -> None:
    learner["optimizer"]["state"] = {}


def _without_one(learner: dict[str, Any]) -> None:
    del learner["optimizer"]["state"][1]


def _under_another_name(learner: dict[str, Any]) -> None:
    learner["optimizer"]["state"][99] = learner["optimizer"]["state"].pop(1)


def _counted_again(learner: dict[str, Any]) -> None:
    learner["optimizer"]["state"][1]["step"] = torch.tensor(1.0)


def _never_updated(learner: dict[str, Any]) -> None:
    learner["updates"].zero_()


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize(
    "wrong", [_emptied, _without_one, _under_another_name, _counted_again, _never_updated]
)
def test_moments_of_other_updates_than_were_counted_are_refused(
    saved, name: str, wrong: Callable[[dict[str, Any]], None]
):
    content = copy.deepcopy(saved)
    wrong(content["learners"][name])
    with pytest.raises(UserError, match=rf"learners\.{name}: .* one of the two is wrong"):
        with_all_learners().load(content)


@pytest.mark.parametrize("name", LEARNERS)
def test_means_of_squares_below_zero_are_refused(saved, name: str):
    content = copy.deepcopy(saved)
    content["learners"][name]["optimizer"]["state"][1]["exp_avg_sq"].view(-1)[0] = -1e-6
    with pytest.raises(UserError, match=rf"learners\.{name}: .*1\.exp_avg_sq .* below 0"):
        with_all_learners().load(content)


def test_what_never_learned_goes_on_without_moments():
    new, other = with_all_learners(), with_all_learners(seed=1)
    other.load(copy.deepcopy(new.save()))
    assert unlike(new.save(), other.save()) == []


def test_a_part_that_is_frozen_has_none_and_the_rest_goes_on():
    env = ToyEnv()
    first, again = (build(env, seed=seed) for seed in (0, 1))
    for algorithm in (first, again):
        ppo_of(algorithm).critic.requires_grad_(False)
        style_of(algorithm).discriminator.head.requires_grad_(False)
    iterate(first, env)
    state = copy.deepcopy(first.save())
    assert set(state["learners"]["policy"]["updates"].tolist()) == {0.0, 4.0}
    again.load(state)
    assert unlike(first.save(), again.save()) == []
    del state["learners"]["policy"]["optimizer"]["state"][0]
    with pytest.raises(UserError, match=r"learners\.policy: .* one of the two is wrong"):
        again.load(state)
