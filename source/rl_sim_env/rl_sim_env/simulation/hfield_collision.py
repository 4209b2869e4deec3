"""Contacts of spheres, capsules and boxes with height fields on MuJoCo Warp, in closed form.

MuJoCo Warp looks at a field as a set of prisms and runs its general convex collision (GJK and EPA)
for each prism under a geom. That takes two fifths of the physics of a legged robot on rough ground,
reports in 3.11 prisms that do not touch in the place of those that do, and pushes a foot whose
centre is inside a prism out through whichever side is nearest, downwards included. Here each geom
is measured against the surface itself (see :mod:`rl_sim_env.simulation.hfield_contacts`).

How it is hooked in: of the model, the pairs that are handled here are taken off the list that the
broadphase goes through (``nxn_geom_pair_filtered``, ``nxn_pairid_filtered``, ``nxn_pairid``,
``geom_pair_type_count``), and found here instead, in the function that MuJoCo Warp calls at the end
of its collision detection (``callback.contactfilter``, which may add contacts as well as drop
them). All other pairs and all else go their usual way. What is private of MuJoCo Warp is only
called, in :mod:`~rl_sim_env.simulation.hfield_kernel`: what mixes the parameters of two geoms and
writes a contact, so that margins, friction, ``solref``, ``solimp``, ``condim``, priorities and pair
overrides are as everywhere.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import mujoco
import mujoco_warp
import numpy as np
import warp as wp

from rl_sim_env.errors import Notice, UserError
from rl_sim_env.simulation.hfield_kernel import GEOM_TYPES, NUM_PARTS, contact_kernel
from rl_sim_env.simulation.pair_lists import drop_pairs

_BLOCK_DIM = 64
"""Threads of a block: few, for there are fewer threads than would fill a large GPU, and all of its
processors shall have some."""


def check_height_fields(model: mujoco.MjModel) -> None:
    """Refuse height fields with heights that are no numbers.

    Raises:
        UserError: If there is one, naming field, row and column.
    """
    for field in range(model.nhfield):
        start = model.hfield_adr[field]
        shape = (model.hfield_nrow[field], model.hfield_ncol[field])
        heights = model.hfield_data[start : start + shape[0] * shape[1]].reshape(shape)
        bad = np.argwhere(~np.isfinite(heights))
        if len(bad):
            row, column = bad[0]
            raise UserError(
                f"height field {model.hfield(field).name!r}: the height of row {row}, column "
                f"{column} is {heights[row, column]} (of {len(bad)} that are not finite); look at "
                "what makes it: a family of scene.terrain.terrain_generator.sub_terrains, or the "
                "model's <hfield>"
            )


@dataclass(frozen=True)
class _Geoms:
    """Geoms of one type and the fields that each may touch, on the device."""

    type: mujoco_warp.GeomType
    geoms: wp.array
    """Geoms, shape (num_geoms,)."""
    pairs_begin: wp.array
    """First pair of each geom, shape (num_geoms + 1,)."""
    pair_field: wp.array
    """Geom of the field, shape (num_pairs,)."""
    pair_id: wp.array
    """Ids of pair override and collision sensor, as in the broadphase, shape (num_pairs,)."""


def use_surface_contacts(model: mujoco_warp.Model, mj_model: mujoco.MjModel) -> None:
    """Let spheres, capsules and boxes of a model collide with the surface of its height fields.

    Other geoms, and pairs that a collision sensor watches, keep MuJoCo Warp's convex collision; a
    notice names the former. A field's sides are solid up to its rim for geoms over or beside it;
    its base is none: what gets below it falls.

    Args:
        model: The model on the device, before any graph of it is captured.
        mj_model: What it was made from.

    Raises:
        UserError: If bodies can fall asleep.
    """
    pairs = model.nxn_geom_pair_filtered.numpy()
    ids = model.nxn_pairid_filtered.numpy()
    types = mj_model.geom_type
    is_field = types[pairs] == mujoco_warp.GeomType.HFIELD
    has_kernel = np.isin(types[pairs], GEOM_TYPES)
    _tell_of_others(mj_model, pairs[is_field.any(axis=1) & ~has_kernel.any(axis=1)])
    handled = is_field.any(axis=1) & has_kernel.any(axis=1) & (ids[:, 1] < 0)
    if not handled.any():
        return
    # The first geom of a contact is the field, as everywhere in MuJoCo.
    fields = np.where(is_field[:, 0], pairs[:, 0], pairs[:, 1])
    geoms = np.where(is_field[:, 0], pairs[:, 1], pairs[:, 0])
    groups = [
        _group(kind, geoms[chosen], fields[chosen], ids[chosen], model.geom_type.device)
        for kind in GEOM_TYPES
        if (chosen := handled & (types[geoms] == kind)).any()
    ]
    drop_pairs(model, mj_model, handled, otherwise="sim.hfield_contacts=convex")
    others = model.callback.contactfilter

    def add_contacts(m: mujoco_warp.Model, d: mujoco_warp.Data) -> None:
        for group in groups:
            _launch(group, m, d)
        if others is not None:
            others(m, d)

    model.callback.contactfilter = add_contacts


def _tell_of_others(mj_model: mujoco.MjModel, pairs: np.ndarray) -> None:
    """Name the geoms of pairs with a height field that no kernel is for; shape (num_pairs, 2)."""
    others = [mj_model.geom(geom) for geom in np.unique(pairs)]
    named = ", ".join(
        f"{geom.name or geom.id} ({mujoco_warp.GeomType(geom.type.item()).name.lower()})"
        for geom in others
        if geom.type != mujoco_warp.GeomType.HFIELD
    )
    if named:
        notice = Notice(
            f"sim.hfield_contacts=surface is for spheres, capsules and boxes; {named}: contacts "
            "with height fields are left to MuJoCo Warp's convex collision, which is slower and "
            "may miss some; give the robot such geoms, or set sim.hfield_contacts=convex"
        )
        warnings.warn(notice, stacklevel=2)


def _group(
    kind: mujoco_warp.GeomType, geoms: np.ndarray, fields: np.ndarray, ids: np.ndarray, device: Any
) -> _Geoms:
    order = np.argsort(geoms, kind="stable")
    unique, counts = np.unique(geoms, return_counts=True)
    return _Geoms(
        kind,
        wp.array(unique, dtype=int, device=device),
        wp.array(np.concatenate(([0], np.cumsum(counts))), dtype=int, device=device),
        wp.array(fields[order], dtype=int, device=device),
        wp.array(ids[order], dtype=wp.vec2i, device=device),
    )


def _launch(group: _Geoms, m: mujoco_warp.Model, d: mujoco_warp.Data) -> None:
    wp.launch(
        contact_kernel(group.type),
        dim=(NUM_PARTS[group.type], group.geoms.shape[0], d.nworld),
        inputs=[
            m.geom_condim,
            m.geom_dataid,
            m.geom_priority,
            m.geom_solmix,
            m.geom_solref,
            m.geom_solimp,
            m.geom_size,
            m.geom_rbound,
            m.geom_friction,
            m.geom_margin,
            m.geom_gap,
            m.hfield_size,
            m.hfield_nrow,
            m.hfield_ncol,
            m.hfield_adr,
            m.hfield_data,
            m.pair_dim,
            m.pair_solref,
            m.pair_solreffriction,
            m.pair_solimp,
            m.pair_margin,
            m.pair_gap,
            m.pair_friction,
            d.geom_xpos,
            d.geom_xmat,
            d.naconmax,
            group.geoms,
            group.pairs_begin,
            group.pair_field,
            group.pair_id,
        ],
        outputs=[
            d.contact.dist,
            d.contact.pos,
            d.contact.frame,
            d.contact.includemargin,
            d.contact.friction,
            d.contact.solref,
            d.contact.solreffriction,
            d.contact.solimp,
            d.contact.dim,
            d.contact.geom,
            d.contact.efc_address,
            d.contact.worldid,
            d.contact.type,
            d.contact.geomcollisionid,
            d.nacon,
        ],
        block_dim=_BLOCK_DIM,
    )
