"""Touchdowns ahead, in the frame of the step that looks ahead."""

from __future__ import annotations

import math

import pytest
import torch

from rl_sim_env.learning.footing import Footing, next_touchdowns

STEPS = 8


def walk(stands, *, speed: float = 0.5, turn: float = 1.0) -> tuple[Footing, Footing]:
    """One robot with one foot at (2, 3) in the world, whose base moves and turns.

    Args:
        stands: Whether the foot stands after each step.
        speed: Velocity of the base along x of the world [m/step].
        turn: Yaw rate [rad/step].
    """
    time = torch.arange(STEPS + 1.0)[:, None]
    at = Footing.in_world(
        foot_xy=torch.tensor([2.0, 3.0]).expand(STEPS + 1, 1, 1, 2),
        stands=torch.tensor([False, *stands])[:, None, None],
        base_xy=torch.stack((speed * time, torch.zeros_like(time)), dim=-1),
        yaw=turn * time,
        level=torch.zeros_like(time),
    )
    return Footing._make(each[:-1] for each in at), Footing._make(each[1:] for each in at)


NOBODY_DONE = torch.zeros(STEPS, 1, dtype=torch.bool)
LANDS_AT_5 = [step == 5 for step in range(STEPS)]


def test_a_touchdown_is_told_in_the_frame_of_the_step_that_foretells_it():
    found = next_touchdowns(*walk(LANDS_AT_5), NOBODY_DONE)
    for step in range(5):
        x, y, yaw = 2.0 - 0.5 * step, 3.0, float(step)
        expected = (
            x * math.cos(yaw) + y * math.sin(yaw),
            y * math.cos(yaw) - x * math.sin(yaw),
        )
        assert found.xy[step, 0, 0].tolist() == pytest.approx(expected, abs=1e-5)


def test_only_feet_in_the_air_that_come_down_in_time_are_known():
    found = next_touchdowns(*walk(LANDS_AT_5), NOBODY_DONE)
    assert found.is_known.flatten().tolist() == [step < 5 for step in range(STEPS)]


def test_the_first_of_two_touchdowns_counts():
    before, after = walk([step in (3, 6) for step in range(STEPS)], turn=0.0)
    places = torch.arange(STEPS + 0.0)[:, None, None, None].expand(-1, 1, 1, 2)
    found = next_touchdowns(before, after._replace(foot_xy=places), NOBODY_DONE)
    in_world = found.xy[:, 0, 0, 0] + 0.5 * torch.arange(STEPS)
    # The foot is seen from the base, which is half a metre further after every step.
    expected = [3 + 0.5 * 4] * 3 + [6 + 0.5 * 7] * 3
    known = found.is_known.flatten()
    assert known.tolist() == [True, True, True, False, True, True, False, False]
    assert in_world[known].tolist() == pytest.approx(expected[:3] + expected[4:6])


def test_nothing_is_known_across_the_end_of_an_episode():
    dones = NOBODY_DONE.clone()
    dones[2] = True
    found = next_touchdowns(*walk(LANDS_AT_5), dones)
    assert found.is_known.flatten().tolist() == [step in (3, 4) for step in range(STEPS)]


def test_a_touchdown_in_the_last_step_of_an_episode_counts_for_the_steps_before():
    dones = NOBODY_DONE.clone()
    dones[5] = True
    found = next_touchdowns(*walk(LANDS_AT_5), dones)
    assert found.is_known.flatten().tolist() == [step < 5 for step in range(STEPS)]


def test_steps_that_begin_anywhere_are_left_out():
    before, after = walk(LANDS_AT_5)
    is_valid = before.is_valid.clone()
    is_valid[1] = False
    found = next_touchdowns(before._replace(is_valid=is_valid), after, NOBODY_DONE)
    assert found.is_known.flatten().tolist() == [step in (0, 2, 3, 4) for step in range(STEPS)]


def test_packing_keeps_everything_and_zeros_are_not_valid():
    before, _ = walk(LANDS_AT_5)
    again = Footing.unpacked(before.packed())
    for one, other in zip(before, again, strict=True):
        assert torch.equal(one, other)
    assert not Footing.unpacked(Footing.unknown(3, 4, "cpu")).is_valid.any()


def test_there_and_back():
    before, _ = walk(LANDS_AT_5)
    points = torch.randn(STEPS, 1, 7, 2)
    assert torch.allclose(before.to_base(before.to_world(points)), points, atol=1e-5)
