"""Who does what: robots spread evenly over the conditions of a protocol."""

from __future__ import annotations

from collections.abc import Mapping

import torch


def spread_evenly(num_robots: int, axes: Mapping[str, int], device: str) -> dict[str, torch.Tensor]:
    """Spread robots over a grid of conditions.

    Robots that follow one another differ in the first axis, so that few robots still meet each of
    its places; the groups' sizes differ by one at most.

    Args:
        num_robots: Number of robots.
        axes: Number of conditions of each kind by name.
        device: Where the tensors live.

    Returns:
        Index of each robot's condition of each kind. Shapes (num_robots,), long.
    """
    rest = torch.arange(num_robots, device=device)
    places = {}
    for name, length in axes.items():
        places[name] = rest % length
        rest = rest // length
    return places
