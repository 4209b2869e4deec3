"""A broadphase for static geoms on MuJoCo Warp: a grid tells which of them are near a geom.

MuJoCo Warp tests each geom of a robot against every geom of the ground, in every world and step:
a robot on rough ground has the stairs of all tiles to be tested against, and can touch those of
one. What is fixed to the world never moves and is the same in all worlds, so it is sorted into a
grid over the xy plane once, on the host. In each step a moving geom looks at the cells below its
bounding box, and MuJoCo Warp's own filter decides about what is listed there. A pair is a
candidate if it is one for MuJoCo Warp and the bounding boxes of its geoms, along the axes of the
world, overlap in the xy plane; all that can touch do.

How it is hooked in: MuJoCo Warp has nothing to call between broadphase and narrowphase. The pairs
that are handled here are taken off its lists (:mod:`~rl_sim_env.simulation.pair_lists`), and
``callback.contactfilter``, which it calls at the end of its collision detection, runs the grid and
MuJoCo Warp's narrowphase once more, for these pairs alone; contacts are appended to those of the
first round, as MuJoCo Warp does itself after bodies have woken up. No function of it is replaced.
Each round has room for ``naconmax`` candidates; ``ncollision`` counts those of both, so that more
than there is room for in one round are always reported.

Pairs with ids of their own (pair overrides, collision sensors), geoms without bounds (planes) and
geoms of mocap bodies stay with MuJoCo Warp. Contacts come in another order, so sums over them may
differ in the last bits.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import mujoco
import mujoco_warp
import numpy as np
import warp as wp

from rl_sim_env.compat.mujoco_warp import CollisionContext, create_collision_context, narrowphase
from rl_sim_env.simulation.grid_kernel import add_count, candidate_kernel
from rl_sim_env.simulation.pair_lists import drop_pairs

_CELL_SIZE = 0.5
"""Sides of a cell, m: two steps of stairs. In wider ones a foot finds more than it can touch, of
narrower ones a trunk has many to look at, and all wait for it."""

_MAX_CELLS = 1024
"""Cells along a side; a wider ground has wider cells."""

_SLACK = 1e-3
"""What static geoms are enlarged by in the grid, m: more than positions in single precision are
off anywhere on the ground, so that rounding does not put two that touch into different cells."""

_NO_ID = -1
"""How MuJoCo Warp marks pairs without override, and those that no collision sensor watches."""


@dataclass(frozen=True)
class StaticGrid:
    """Static geoms by the cells of a grid, and the moving geoms that collide with all of them."""

    geoms: wp.array
    """Moving geoms, shape (num_geoms,)."""
    origin: wp.vec2
    """Where the first cell begins in x and y, m."""
    cell_size: float
    """Sides of a cell, m."""
    num_cells: wp.vec2i
    """Cells along x and y."""
    cells_begin: wp.array
    """First entry of each cell, x running fastest, shape (num_cells[0] * num_cells[1] + 1,)."""
    entries: wp.array
    """Static geom, and the first cell along x and y that it is in, shape (num_entries, 3)."""
    no_ids: wp.array
    """The ids of all pairs, shape (1, 2): none."""

    def add_candidates(
        self, m: mujoco_warp.Model, d: mujoco_warp.Data, ctx: CollisionContext
    ) -> None:
        """Append the pairs of all worlds that may touch to the candidates for contacts.

        Args:
            m: The model.
            d: Where geoms are; ``ncollision`` counts candidates, also those without room.
            ctx: What candidates are written to.
        """
        kernel = candidate_kernel(
            int(m.opt.broadphase_filter),
            m.geom_aabb.shape[0],
            m.geom_rbound.shape[0],
            m.geom_margin.shape[0],
            m.geom_gap.shape[0],
        )
        wp.launch(
            kernel,
            dim=(self.geoms.shape[0], d.nworld),
            inputs=[
                m.geom_type,
                m.geom_aabb,
                m.geom_rbound,
                m.geom_margin,
                m.geom_gap,
                d.geom_xpos,
                d.geom_xmat,
                d.naconmax,
                self.geoms,
                self.origin,
                self.cell_size,
                self.num_cells,
                self.cells_begin,
                self.entries,
                self.no_ids,
            ],
            outputs=[
                d.ncollision,
                ctx.collision_pair,
                ctx.collision_pairid,
                ctx.collision_worldid,
            ],
        )


def use_grid_broadphase(model: mujoco_warp.Model, mj_model: mujoco.MjModel) -> None:
    """Let a model find what its moving geoms can touch of the static ones in a grid.

    Static geoms must stay where and as they are: poses, sizes, margins and gaps are read here.
    Those of moving geoms may differ between worlds and change at any time.

    Args:
        model: The model on the device, before any graph of it is captured.
        mj_model: What it was made from.

    Raises:
        UserError: If bodies can fall asleep.
    """
    pairs: np.ndarray = model.nxn_geom_pair_filtered.numpy()
    static = _static_geoms(mj_model)[pairs]
    bounded = (mj_model.geom_rbound[pairs] > 0.0).all(axis=1)
    without_ids = (model.nxn_pairid_filtered.numpy() == _NO_ID).all(axis=1)
    handled = (static.sum(axis=1) == 1) & bounded & without_ids
    if not handled.any():
        return
    grids = static_grids(mj_model, pairs[handled], model.geom_type.device)
    type_counts = drop_pairs(model, mj_model, handled, otherwise="sim.static_broadphase=pairs")
    others = model.callback.contactfilter

    def collide_with_static_geoms(m: mujoco_warp.Model, d: mujoco_warp.Data) -> None:
        # The same arrays, but for what says which pairs this round is about.
        round_m, round_d = copy.copy(m), copy.copy(d)
        round_m.geom_pair_type_count = type_counts
        round_d.ncollision = wp.zeros(1, dtype=int)
        ctx = create_collision_context(d.naconmax)
        for grid in grids:
            grid.add_candidates(round_m, round_d, ctx)
        narrowphase(round_m, round_d, ctx)
        wp.launch(add_count, dim=1, inputs=[round_d.ncollision], outputs=[d.ncollision])
        if others is not None:
            others(m, d)

    model.callback.contactfilter = collide_with_static_geoms


def static_grids(mj_model: mujoco.MjModel, pairs: np.ndarray, device: Any) -> list[StaticGrid]:
    """Sort the static geoms of pairs into grids: one for moving geoms that collide with the same.

    Args:
        mj_model: The model.
        pairs: A static and a moving geom each, in any order, shape (num_pairs, 2).
        device: Where the grids shall be.
    """
    first_is_static = _static_geoms(mj_model)[pairs[:, 0]]
    static = np.where(first_is_static, pairs[:, 0], pairs[:, 1])
    moving = np.where(first_is_static, pairs[:, 1], pairs[:, 0])
    groups: dict[tuple[int, ...], list[int]] = {}
    for geom in np.unique(moving).tolist():
        partners = tuple(sorted(static[moving == geom].tolist()))
        groups.setdefault(partners, []).append(geom)
    low, high = _static_bounds(mj_model)
    return [
        _grid(geoms, np.array(partners), low, high, device) for partners, geoms in groups.items()
    ]


def _static_geoms(mj_model: mujoco.MjModel) -> np.ndarray:
    """Which geoms cannot move, shape (num_geoms,)."""
    body = mj_model.geom_bodyid
    mocap = mj_model.body_mocapid[mj_model.body_rootid[body]] >= 0
    return (mj_model.body_weldid[body] == 0) & ~mocap


def _static_bounds(mj_model: mujoco.MjModel) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest x and y of each geom where the model is at first, shape (num_geoms, 2)."""
    data = mujoco.MjData(mj_model)
    mujoco.mj_kinematics(mj_model, data)
    rotation = data.geom_xmat.reshape(-1, 3, 3)
    center = data.geom_xpos + np.einsum("gij,gj->gi", rotation, mj_model.geom_aabb[:, :3])
    half = np.einsum("gij,gj->gi", np.abs(rotation), mj_model.geom_aabb[:, 3:])
    half += (mj_model.geom_margin + mj_model.geom_gap + _SLACK)[:, None]
    return (center - half)[:, :2], (center + half)[:, :2]


def _grid(
    moving: list[int], static: np.ndarray, low: np.ndarray, high: np.ndarray, device: Any
) -> StaticGrid:
    # In single precision, as the kernel has it.
    origin = low[static].min(axis=0).astype(np.float32)
    extent = high[static].max(axis=0) - origin
    cell_size = np.float32(max(_CELL_SIZE, extent.max() / _MAX_CELLS))
    num_cells = np.ceil(extent / cell_size).astype(int)
    first, last = (
        np.clip(((bound[static] - origin) / cell_size).astype(int), 0, num_cells - 1)
        for bound in (low, high)
    )
    cells, entries = [], []
    for geom, (column, row), (last_column, last_row) in zip(static, first, last, strict=True):
        columns, rows = np.arange(column, last_column + 1), np.arange(row, last_row + 1)
        cells.append((rows[:, None] * num_cells[0] + columns).ravel())
        entries.append(np.tile((geom, column, row), (cells[-1].size, 1)))
    cell = np.concatenate(cells)
    counts = np.bincount(cell, minlength=num_cells.prod())
    return StaticGrid(
        geoms=wp.array(moving, dtype=int, device=device),
        origin=wp.vec2(*origin.tolist()),
        cell_size=float(cell_size),
        num_cells=wp.vec2i(*num_cells.tolist()),
        cells_begin=wp.array(np.concatenate(([0], np.cumsum(counts))), dtype=int, device=device),
        entries=wp.array(
            np.concatenate(entries)[np.argsort(cell, kind="stable")], dtype=wp.vec3i, device=device
        ),
        no_ids=wp.array([(_NO_ID, _NO_ID)], dtype=wp.vec2i, device=device),
    )
