from __future__ import annotations

import pytest
import torch

from rl_sim_env.learning.amp_buffer import AmpReplayBuffer


def _pairs(first: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    states = torch.arange(first, first + count).float().unsqueeze(1)
    return states, states + 0.5


def _held(buffer: AmpReplayBuffer) -> set[float]:
    states, next_states = buffer.sample(2000)
    assert torch.equal(next_states, states + 0.5)
    return set(states.flatten().tolist())


def test_keeps_the_newest_pairs_across_the_end_of_the_ring() -> None:
    buffer = AmpReplayBuffer(10, 1, "cpu")
    for first in range(0, 28, 4):
        buffer.insert(*_pairs(first, 4))
    assert len(buffer) == 10
    assert _held(buffer) == {float(i) for i in range(18, 28)}


def test_samples_only_what_was_inserted() -> None:
    buffer = AmpReplayBuffer(1000, 1, "cpu")
    buffer.insert(*_pairs(7, 3))
    assert _held(buffer) == {7.0, 8.0, 9.0}


def test_more_than_fits_leaves_the_newest() -> None:
    buffer = AmpReplayBuffer(5, 1, "cpu")
    buffer.insert(*_pairs(0, 3))
    buffer.insert(*_pairs(100, 12))
    assert _held(buffer) == {107.0, 108.0, 109.0, 110.0, 111.0}


def test_takes_a_whole_rollout_from_old_to_new() -> None:
    buffer = AmpReplayBuffer(6, 1, "cpu")
    states, next_states = _pairs(0, 12)
    buffer.insert(states.view(4, 3, 1), next_states.view(4, 3, 1))
    assert _held(buffer) == {6.0, 7.0, 8.0, 9.0, 10.0, 11.0}


def test_restored_buffer_samples_the_same_pairs() -> None:
    buffer, restored = (AmpReplayBuffer(10, 1, "cpu") for _ in range(2))
    for first in range(0, 16, 4):
        buffer.insert(*_pairs(first, 4))
    restored.load_state_dict(buffer.state_dict(newest=10))
    for each in (buffer, restored):
        each.insert(*_pairs(16, 3))
    draws = []
    for each in (buffer, restored):
        torch.manual_seed(0)
        draws.append(each.sample(50)[0])
    assert torch.equal(draws[0], draws[1])


def test_checkpoint_can_be_limited_to_the_newest_pairs() -> None:
    buffer = AmpReplayBuffer(10, 1, "cpu")
    buffer.insert(*_pairs(0, 8))
    restored = AmpReplayBuffer(10, 1, "cpu")
    restored.load_state_dict(buffer.state_dict(newest=3))
    assert _held(restored) == {5.0, 6.0, 7.0}


def test_empty_buffer_says_so() -> None:
    with pytest.raises(IndexError, match="empty"):
        AmpReplayBuffer(10, 1, "cpu").sample(1)
