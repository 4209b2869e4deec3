"""Distances from points and segments to a height field by brute force, in double precision."""

from __future__ import annotations

import mujoco
import numpy as np


class Surface:
    """The triangles of one height field, in its frame."""

    def __init__(self, model: mujoco.MjModel, field: int = 0) -> None:
        shape = (model.hfield_nrow[field], model.hfield_ncol[field])
        start = model.hfield_adr[field]
        data = model.hfield_data[start : start + shape[0] * shape[1]].astype(float)
        self.half = model.hfield_size[field, :2].copy()
        self.heights = data.reshape(shape) * model.hfield_size[field, 2]
        self.spacing = 2 * self.half / (np.array(shape)[::-1] - 1)

    def height(self, xy: np.ndarray) -> np.ndarray:
        """Height of the surface, shape (...); beyond the rim that of the rim's triangles."""
        u, v = np.moveaxis((xy + self.half) / self.spacing, -1, 0)
        column = np.clip(np.floor(u).astype(int), 0, self.heights.shape[1] - 2)
        row = np.clip(np.floor(v).astype(int), 0, self.heights.shape[0] - 2)
        u, v = u - column, v - row
        h = self.heights
        low, high = h[row, column], h[row + 1, column + 1]
        below = low + u * (h[row, column + 1] - low) + v * (high - h[row, column + 1])
        above = low + v * (h[row + 1, column] - low) + u * (high - h[row + 1, column])
        return np.where(u > v, below, above)

    def triangles(self, center: np.ndarray, reach: float) -> np.ndarray:
        """All triangles of the cells around points, shape (points, triangles, 3 corners, 3)."""
        around = np.ceil(reach / self.spacing).astype(int)
        cell = np.floor((center[:, :2] + self.half) / self.spacing).astype(int)
        dx, dy = np.meshgrid(
            np.arange(-around[0], around[0] + 1), np.arange(-around[1], around[1] + 1)
        )
        column = np.clip(cell[:, :1] + dx.ravel(), 0, self.heights.shape[1] - 2)
        row = np.clip(cell[:, 1:] + dy.ravel(), 0, self.heights.shape[0] - 2)

        def node(i: int, j: int) -> np.ndarray:
            xy = np.stack((column + i, row + j), axis=-1) * self.spacing - self.half
            return np.concatenate((xy, self.heights[row + j, column + i][..., None]), axis=-1)

        below = np.stack((node(0, 0), node(1, 0), node(1, 1)), axis=2)
        above = np.stack((node(0, 0), node(1, 1), node(0, 1)), axis=2)
        return np.concatenate((below, above), axis=1)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("...i,...i", a, b)


def _segments_apart(p: np.ndarray, d: np.ndarray, q: np.ndarray, e: np.ndarray) -> np.ndarray:
    """Distance of the segments p to p + d and q to q + e: the best of the inside and four ends."""
    r = p - q
    a, b, c = _dot(d, d), _dot(d, e), _dot(e, e)
    f, g = _dot(d, r), _dot(e, r)
    det = np.maximum(a * c - b * b, 1e-15)
    s = np.clip((b * g - c * f) / det, 0, 1)
    t = np.clip((b * s + g) / c, 0, 1)
    s = np.clip((b * t - f) / a, 0, 1)
    return np.linalg.norm(r + s[..., None] * d - t[..., None] * e, axis=-1)


def _above_triangle(p: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Distance from points to the inside of triangles; inf where they do not project into it."""
    a, b, c = t[..., 0, :], t[..., 1, :], t[..., 2, :]
    normal = np.cross(b - a, c - a)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    height = _dot(p - a, normal)
    inside = np.ones(height.shape, dtype=bool)
    for one, other in ((a, b), (b, c), (c, a)):
        inside &= _dot(np.cross(other - one, p - one), normal) >= 0
    return np.where(inside, np.abs(height), np.inf)


def _to_edge(p: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    along = np.clip(_dot(p - a, b - a) / _dot(b - a, b - a), 0, 1)
    return np.linalg.norm(p - a - along[..., None] * (b - a), axis=-1)


_EDGES = ((0, 1), (1, 2), (2, 0))


def point_distance(surface: Surface, points: np.ndarray, reach: float) -> np.ndarray:
    """Signed distance of points from the surface, right up to ``reach``, shape (points,)."""
    triangles = surface.triangles(points, reach)
    p = points[:, None]
    distance = _above_triangle(p, triangles).min(axis=1)
    for i, j in _EDGES:
        distance = np.minimum(
            distance, _to_edge(p, triangles[:, :, i], triangles[:, :, j]).min(axis=1)
        )
    return np.where(points[:, 2] < surface.height(points[:, :2]), -distance, distance)


def segment_distance(
    surface: Surface, starts: np.ndarray, ends: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """Distance of segments from the surface, and how far they pass below it.

    Args:
        surface: The surface.
        starts: One end of each, shape (segments, 3).
        ends: The other.
        reach: Up to which distance to be right.

    Returns:
        Distance, 0 where a segment cuts the surface, and the greatest depth below the surface,
        measured straight up from the places where the segment passes under an edge, and its ends.
    """
    middle, axis = (starts + ends) / 2, ends - starts
    longest = np.abs(axis[:, :2]).max() / 2 if len(axis) else 0.0
    triangles = surface.triangles(middle, longest + reach)
    p, d = starts[:, None], axis[:, None]
    distance = np.minimum(
        _above_triangle(p, triangles).min(axis=1), _above_triangle(p + d, triangles).min(axis=1)
    )
    depth = np.maximum(
        surface.height(starts[:, :2]) - starts[:, 2], surface.height(ends[:, :2]) - ends[:, 2]
    )
    for i, j in _EDGES:
        q, e = triangles[:, :, i], triangles[:, :, j] - triangles[:, :, i]
        distance = np.minimum(distance, _segments_apart(p, d, q, e).min(axis=1))
        r = q - p
        flat = d[..., 0] * e[..., 1] - d[..., 1] * e[..., 0]
        flat = np.where(np.abs(flat) < 1e-15, np.inf, flat)
        s = (r[..., 0] * e[..., 1] - r[..., 1] * e[..., 0]) / flat
        t = (r[..., 0] * d[..., 1] - r[..., 1] * d[..., 0]) / flat
        crosses = (s > 0) & (s < 1) & (t >= 0) & (t <= 1)
        under = np.where(crosses, r[..., 2] + t * e[..., 2] - s * d[..., 2], -np.inf)
        depth = np.maximum(depth, under.max(axis=1))
    return np.where(depth > 0, 0.0, distance), depth
