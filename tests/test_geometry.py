"""Which way things are turned."""

from __future__ import annotations

import math

import torch
from mjlab.utils.lab_api.math import quat_apply

from rl_sim_env.geometry import turned, upright_quat


def test_points_and_bodies_are_turned_to_the_left() -> None:
    angles = torch.tensor([0.0, math.pi / 2, math.pi])
    ahead = torch.tensor([1.0, 0.0, 0.0]).expand(3, 3)
    expected = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    torch.testing.assert_close(quat_apply(upright_quat(angles), ahead), expected)
    torch.testing.assert_close(turned(ahead[:, :2], angles), expected[:, :2])
