"""Pairs of geoms taken off the lists of MuJoCo Warp's own collision detection."""

from __future__ import annotations

import mujoco
import mujoco_warp
import numpy as np
import warp as wp

from rl_sim_env.compat.mujoco_warp import upper_trid_index
from rl_sim_env.errors import UserError

_NO_PAIR = -2
"""How MuJoCo Warp marks pairs of geoms that do not collide."""


def drop_pairs(
    model: mujoco_warp.Model, mj_model: mujoco.MjModel, dropped: np.ndarray, *, otherwise: str
) -> tuple[int, ...]:
    """Take pairs that are handled elsewhere off the lists that the broadphase goes through.

    Args:
        model: The model on the device, before any graph of it is captured.
        mj_model: What it was made from.
        dropped: Which rows of ``model.nxn_geom_pair_filtered`` to drop, shape (num_pairs,).
        otherwise: The setting under which they would stay, for the message.

    Returns:
        The number of dropped pairs by types of geoms, in the order of
        ``model.geom_pair_type_count``.

    Raises:
        UserError: If bodies can fall asleep: who handles the pairs does not know of it.
    """
    if model.opt.enableflags & mujoco_warp.EnableBit.SLEEP:
        raise UserError(
            "sim.mujoco.enableflags has 'sleep', which is not made for this way to find contacts; "
            f"leave it out or set {otherwise}"
        )
    device = model.geom_type.device
    pairs = model.nxn_geom_pair_filtered.numpy()
    ids = model.nxn_pairid_filtered.numpy()
    model.nxn_geom_pair_filtered = wp.array(pairs[~dropped], dtype=wp.vec2i, device=device)
    model.nxn_pairid_filtered = wp.array(ids[~dropped], dtype=wp.vec2i, device=device)
    first, second = pairs[dropped].T
    all_ids = model.nxn_pairid.numpy()
    # Pairs are numbered row by row through the triangle above the diagonal.
    all_ids[first * (2 * mj_model.ngeom - first - 3) // 2 + second - 1, 0] = _NO_PAIR
    model.nxn_pairid = wp.array(all_ids, dtype=wp.vec2i, device=device)
    counts = [0] * len(model.geom_pair_type_count)
    num_types = len(mujoco_warp.GeomType)
    for one, other in mj_model.geom_type[pairs[dropped]].tolist():
        counts[upper_trid_index(num_types, one, other)] += 1
    model.geom_pair_type_count = tuple(
        total - fewer for total, fewer in zip(model.geom_pair_type_count, counts, strict=True)
    )
    return tuple(counts)
