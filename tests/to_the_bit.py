"""What two runs hold, compared to the bit."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from rl_sim_env.learning.random_state import random_state
from rl_sim_env.learning.runner import AmpVaeRunner


def unlike(a: Any, b: Any) -> list[str]:
    """Names of what differs in a bit between two trees of tensors and plain values."""
    a, b = dict(_leaves(a)), dict(_leaves(b))
    assert a.keys() == b.keys() and a
    return [
        name
        for name, value in a.items()
        if not (torch.equal(value, b[name]) if torch.is_tensor(value) else value == b[name])
    ]


def straight_and_resumed(
    make_runner: Callable[[Path], AmpVaeRunner], folder: Path
) -> tuple[AmpVaeRunner, AmpVaeRunner]:
    """Four iterations at once, and two and two, which must lead to the same to the bit.

    Args:
        make_runner: Makes a runner of a toy that logs to a folder.
        folder: Where they log, as ``straight``, ``first`` and ``resumed``.
    """
    straight = make_runner(folder / "straight")
    straight.learn(4, init_at_random_ep_len=False)
    expected = copy.deepcopy(_state(straight))
    make_runner(folder / "first").learn(2, init_at_random_ep_len=False)
    resumed = make_runner(folder / "resumed")
    torch.manual_seed(99)
    resumed.load(folder / "first" / "model_1.pt")
    assert resumed.current_learning_iteration == 1
    resumed.learn(2, init_at_random_ep_len=False)
    assert unlike(expected, _state(resumed)) == []
    return straight, resumed


def _state(runner: AmpVaeRunner) -> tuple[Any, ...]:
    alg, env = runner.alg, runner.env.training_state()
    return alg.save(), alg.process_state(), env, random_state("cpu"), runner.progress


def _leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict | list | tuple):
        for name, part in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _leaves(part, f"{path}.{name}")
    else:
        yield path, tree
