"""The score over all robots."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from rl_sim_env.evaluation.verdict import CRITERIA
from rl_sim_env.viewer.score import Score, _aims
from rl_sim_env.viewer.status_panel import score_html


@pytest.fixture
def step(policy_player):
    policy_player.reset()
    return policy_player.advance()


def falling(step, *, robot: int):
    """The same step with one robot that falls in it."""
    fell = torch.arange(2) == robot
    return replace(step, dones=fell, time_outs=torch.zeros(2, dtype=torch.bool))


def test_errors_are_means_over_robots_and_steps(policy_player, step):
    score = Score(policy_player.vec_env)
    for _ in range(3):
        score.add(step)
    lines = {line.name: line for line in score.lines()}
    assert lines["velocity error"].value == f"{step.velocity_error.mean():.3f} m/s"
    assert lines["yaw rate error"].value == f"{step.yaw_rate_error.mean():.3f} rad/s"
    assert not lines["velocity error"].aim, "there is none for flat ground alone"


def test_falls_and_who_has_not_fallen_are_counted(policy_player, step):
    score = Score(policy_player.vec_env)
    sound = replace(step, dones=torch.zeros(2, dtype=torch.bool))
    for each in (sound, falling(step, robot=1), falling(step, robot=1), sound):
        score.add(each)
    lines = {line.name: line for line in score.lines()}
    assert [score.falls_of(robot) for robot in range(2)] == [0, 2]
    assert lines["falls"].value == "2, 12500.0 per 1000 s"
    assert lines["not fallen"].value == "1 of 2"
    assert not lines["not fallen"].aim, "the report's is for ten minutes with pushes"
    score.reset()
    assert score.lines() == () and "no figures" in score_html((), 0.0)


def test_aims_are_those_of_the_report():
    criterion = next(each for each in CRITERIA if each.name == "velocity error")
    stairs = next(part.aim for part in criterion.parts if part.row == "stairs")
    families = ("plane_run", "pyramid_stairs", "pyramid_stairs_inv")
    flat, *others = _aims("velocity error", families)
    assert flat != flat and others == [stairs, stairs]
