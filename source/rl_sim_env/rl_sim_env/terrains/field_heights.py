"""Exact heights of a model's height fields, for many points at once, on any device."""

from __future__ import annotations

import mujoco
import numpy as np
import torch

from rl_sim_env.errors import UserError

_LEVEL = 1.0 - 1e-9
"""Least cosine between the field's axes and the world's."""


class FieldHeights:
    """Heights of the world-fixed height fields of a model, interpolated as MuJoCo does.

    Where a :class:`~rl_sim_env.terrains.HeightMap` answers all queries with one read and is off by
    up to the height of an edge near it, this is exact, costs more, and knows height fields only.
    """

    def __init__(self, mj_model: mujoco.MjModel, device: str | torch.device) -> None:
        """Copy the fields to a device.

        Args:
            mj_model: The compiled model.
            device: Where queries are answered.

        Raises:
            UserError: If a field is turned against the world's axes.
        """
        data = mujoco.MjData(mj_model)
        mujoco.mj_kinematics(mj_model, data)
        static = mj_model.body_weldid[mj_model.geom_bodyid] == 0
        geoms = np.flatnonzero(static & (mj_model.geom_type == mujoco.mjtGeom.mjGEOM_HFIELD))
        axes = data.geom_xmat[geoms].reshape(-1, 3, 3)
        if (axes[:, [0, 1, 2], [0, 1, 2]] < _LEVEL).any():
            raise UserError("height fields: one is turned against the world's axes")
        fields = mj_model.geom_dataid[geoms]

        def tensor(values: np.ndarray, dtype: torch.dtype) -> torch.Tensor:
            return torch.as_tensor(values, dtype=dtype, device=device)

        self._origin = tensor(data.geom_xpos[geoms], torch.float)
        self._size = tensor(mj_model.hfield_size[fields], torch.float)
        self._first = tensor(mj_model.hfield_adr[fields], torch.long)
        self._shape = tensor(
            np.stack((mj_model.hfield_ncol[fields], mj_model.hfield_nrow[fields]), axis=-1),
            torch.long,
        )
        self._nodes = tensor(mj_model.hfield_data, torch.float)

    def __len__(self) -> int:
        """Number of fields."""
        return len(self._origin)

    def __call__(self, xy: torch.Tensor) -> torch.Tensor:
        """Height of the field over or under each point.

        Args:
            xy: World coordinates, shape (..., 2), m.

        Returns:
            World z, shape (...), m; -inf where there is no field.
        """
        if not self:
            return torch.full_like(xy[..., 0], -torch.inf)
        offset = xy[..., None, :] - self._origin[:, :2]
        beside = (offset.abs() - self._size[:, :2]).amax(dim=-1)
        nearest = beside.argmin(dim=-1)
        origin, size, first, shape = (
            of[nearest] for of in (self._origin, self._size, self._first, self._shape)
        )
        node = (xy - origin[..., :2] + size[..., :2]) / (2.0 * size[..., :2]) * (shape - 1)
        # Clamping the integers keeps NaN inside the field.
        cell = torch.minimum(node.floor().long().clamp(min=0), shape - 2)
        u, v = (node - cell).clamp(0.0, 1.0).unbind(dim=-1)
        start = first + cell[..., 1] * shape[..., 0] + cell[..., 0]

        def height(row: int, column: int) -> torch.Tensor:
            return self._nodes[start + row * shape[..., 0] + column]

        low, high = height(0, 0), height(1, 1)
        corner = torch.where(u > v, height(0, 1), height(1, 0))
        inside = low + u.maximum(v) * (corner - low) + u.minimum(v) * (high - corner)
        over_field = beside.amin(dim=-1) <= 0.0
        return torch.where(over_field, origin[..., 2] + size[..., 2] * inside, -torch.inf)
