"""Files of the right form with one wrong fact: what another version, or a hand, may have written.

Damage of bytes is another matter, which the digests of our files tell.
"""

from __future__ import annotations

import contextlib
import copy
import random
from collections.abc import Iterator
from typing import Any

import torch

from rl_sim_env.errors import UserError
from soak import times


def wrong_facts(good: Any, count: int, *, seed: int) -> Iterator[tuple[str, Any]]:
    """What was changed, and a copy of something good with that one fact changed.

    Args:
        good: Dictionaries, lists, tuples, tensors, numbers, texts and None.
        count: Number of cases; a soak takes more.
        seed: Seed of what is changed, and how.
    """
    rng = random.Random(seed)
    for _ in range(times(count)):
        changed = copy.deepcopy(good)
        yield _change(changed, rng), changed


def _change(root: Any, rng: random.Random) -> str:
    holder, path = root, []
    while True:
        key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        path.append(str(key))
        present = holder[key]
        # Facts near the root have their turn as often as those far down.
        if not isinstance(present, dict | list) or not present or rng.random() < 0.3:
            break
        holder = present
    where = ".".join(path)
    if isinstance(holder, dict) and rng.random() < 0.25:
        if rng.random() < 0.5:
            del holder[key]
            return f"{where} is missing"
        holder[f"{key}x"] = holder.pop(key)
        return f"{where} has another name"
    holder[key] = rng.choice([other for other in _others(present) if _differs(other, present)])
    return f"{where} is {_told(holder[key])}, was {_told(present)}"


def _others(value: Any) -> list[Any]:
    """What may stand in the place of a value, and must not."""
    anything = [None, "walk", "", 1.5, -3, [], {}, ["walk"], {"walk": 1}, [[1.0]], float("nan")]
    if isinstance(value, torch.Tensor):
        numbers = value.to(torch.float32)
        other = value.sum() if value.dim() else value[None]
        return [
            *anything,
            *(value[None], value.flatten()[:-1], other, value.tolist()),
            *(value.to(torch.complex64), numbers * float("nan"), numbers.to(torch.bool)),
        ]
    if isinstance(value, bool | str | None):
        return anything
    if isinstance(value, int | float):
        return [*anything, float("inf"), -1e30, torch.tensor([1.0, 2.0]), str(value)]
    if isinstance(value, dict):
        return [*anything, [*value.values()], [*value]]
    return [*anything, value[:-1], dict(enumerate(value))]


def _differs(wrong: Any, right: Any) -> bool:
    if type(wrong) is not type(right) or isinstance(wrong, torch.Tensor):
        return True
    # What a table has beyond what is asked for is not looked at.
    return wrong != right and not (isinstance(wrong, dict) and not right)


def _told(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"{value.dtype} {tuple(value.shape)}"
    return repr(value)[:60]


@contextlib.contextmanager
def refused_or_works(what: str) -> Iterator[None]:
    """Lets pass what ends well, or in a line of refusal, and says what else came of which case."""
    try:
        yield
    except UserError as refused:
        # Two layouts stand side by side.
        assert "\n" not in str(refused) or "(left)" in str(refused), f"{what}: {refused}"
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
