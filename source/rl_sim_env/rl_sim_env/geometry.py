"""Small geometry of robots on the ground, of many at once."""

from __future__ import annotations

import torch


def turned(points: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """Points of the plane, turned about its origin.

    Args:
        points: Shape (..., 2).
        angle: To the left [rad], shape (...).
    """
    x, y = points.unbind(dim=-1)
    cos, sin = angle.cos(), angle.sin()
    return torch.stack((cos * x - sin * y, sin * x + cos * y), dim=-1)


def upright_quat(yaw: torch.Tensor) -> torch.Tensor:
    """Attitude of bodies that stand upright, wxyz.

    Args:
        yaw: Their headings [rad], shape (...).

    Returns:
        Unit quaternions, shape (..., 4).
    """
    half, zero = 0.5 * yaw, torch.zeros_like(yaw)
    return torch.stack((half.cos(), zero, zero, half.sin()), dim=-1)
