"""The kernel that finds and writes the contacts of geoms with height fields."""

# Warp compiles these functions from their source, which its stubs do not describe.
# pyright: reportArgumentType=false, reportCallIssue=false, reportGeneralTypeIssues=false
# pyright: reportIndexIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportAssignmentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

import functools
from typing import Any

import mujoco_warp
import warp as wp

from rl_sim_env.compat.mujoco_warp import (
    contact_margin_gap,
    contact_material_params,
    make_frame,
    vec5,
    write_contact,
)
from rl_sim_env.simulation.hfield_box import box_contacts
from rl_sim_env.simulation.hfield_contacts import (
    CAPSULE_PARTS,
    NUM_CONTACTS,
    capsule_contacts,
    sphere_contacts,
)
from rl_sim_env.simulation.hfield_surface import cells_around, height_field

wp.set_module_options({"enable_backward": False})

_CONTACTS = {
    mujoco_warp.GeomType.SPHERE: sphere_contacts,
    mujoco_warp.GeomType.CAPSULE: capsule_contacts,
    mujoco_warp.GeomType.BOX: box_contacts,
}
"""What finds the contacts of a part of a geom, by its type."""

GEOM_TYPES = tuple(_CONTACTS)
"""The types of geoms that there is a kernel for."""

NUM_PARTS = dict.fromkeys(GEOM_TYPES, 1) | {mujoco_warp.GeomType.CAPSULE: CAPSULE_PARTS}
"""In how many parts a geom is looked at, one beside the other."""

_CAPSULE = int(mujoco_warp.GeomType.CAPSULE)
_BOX = int(mujoco_warp.GeomType.BOX)


@wp.func
def _half_extent(geom_type: int, size: wp.vec3, rotation: wp.mat33, slack: float) -> wp.vec3:
    """Half of the sides of a geom's bounding box, in the frame of the field, m."""
    sides = wp.vec3(size[0], size[0], size[0])
    if geom_type == _CAPSULE:
        for i in range(3):
            sides[i] += size[1] * wp.abs(rotation[i, 2])
    if geom_type == _BOX:
        for i in range(3):
            sides[i] = wp.dot(size, wp.abs(rotation[i]))
    return sides + wp.vec3(slack, slack, slack)


@functools.cache
def contact_kernel(geom_type: mujoco_warp.GeomType) -> Any:
    """The kernel for one type of geoms: one thread for each part, geom and world (fastest).

    Threads beside one another look at the same geom of robots that started on the same kind of
    ground, so they have about as much to do.
    """
    contacts_of = _CONTACTS[geom_type]
    type_id = int(geom_type)

    @wp.kernel(module="unique", enable_backward=False)
    def hfield_contacts(
        # Model:
        geom_condim: wp.array[int],
        geom_dataid: wp.array2d[int],
        geom_priority: wp.array[int],
        geom_solmix: wp.array2d[float],
        geom_solref: wp.array2d[wp.vec2],
        geom_solimp: wp.array2d[vec5],
        geom_size: wp.array2d[wp.vec3],
        geom_rbound: wp.array2d[float],
        geom_friction: wp.array2d[wp.vec3],
        geom_margin: wp.array2d[float],
        geom_gap: wp.array2d[float],
        hfield_size: wp.array[wp.vec4],
        hfield_nrow: wp.array[int],
        hfield_ncol: wp.array[int],
        hfield_adr: wp.array[int],
        hfield_data: wp.array[float],
        pair_dim: wp.array[int],
        pair_solref: wp.array2d[wp.vec2],
        pair_solreffriction: wp.array2d[wp.vec2],
        pair_solimp: wp.array2d[vec5],
        pair_margin: wp.array2d[float],
        pair_gap: wp.array2d[float],
        pair_friction: wp.array2d[vec5],
        # Data in:
        geom_xpos_in: wp.array2d[wp.vec3],
        geom_xmat_in: wp.array2d[wp.mat33],
        naconmax_in: int,
        # In:
        geoms_in: wp.array[int],
        pairs_begin_in: wp.array[int],
        pair_field_in: wp.array[int],
        pair_id_in: wp.array[wp.vec2i],
        # Data out:
        contact_dist_out: wp.array[float],
        contact_pos_out: wp.array[wp.vec3],
        contact_frame_out: wp.array[wp.mat33],
        contact_includemargin_out: wp.array[float],
        contact_friction_out: wp.array[vec5],
        contact_solref_out: wp.array[wp.vec2],
        contact_solreffriction_out: wp.array[wp.vec2],
        contact_solimp_out: wp.array[vec5],
        contact_dim_out: wp.array[int],
        contact_geom_out: wp.array[wp.vec2i],
        contact_efc_address_out: wp.array2d[int],
        contact_worldid_out: wp.array[int],
        contact_type_out: wp.array[int],
        contact_geomcollisionid_out: wp.array[int],
        nacon_out: wp.array[int],
    ):
        part, item, world = wp.tid()
        geom = geoms_in[item]
        center = geom_xpos_in[world, geom]
        if not (wp.isfinite(center[0]) and wp.isfinite(center[1]) and wp.isfinite(center[2])):
            return
        size = geom_size[world % geom_size.shape[0], geom]
        bound = geom_rbound[world % geom_rbound.shape[0], geom]
        rotation = geom_xmat_in[world, geom]

        for pair in range(pairs_begin_in[item], pairs_begin_in[item + 1]):
            field_geom = pair_field_in[pair]
            pair_id = pair_id_in[pair]
            geoms = wp.vec2i(field_geom, geom)
            margin, gap = contact_margin_gap(
                geom_margin, geom_gap, pair_margin, pair_gap, geoms, pair_id[0], world
            )
            slack = margin + gap
            field_position = geom_xpos_in[world, field_geom]
            field_bound = geom_rbound[world % geom_rbound.shape[0], field_geom]
            if wp.length(center - field_position) > bound + field_bound + slack:
                continue
            data = geom_dataid[world % geom_dataid.shape[0], field_geom]
            field_size = hfield_size[data]
            field_rotation = geom_xmat_in[world, field_geom]
            to_field = wp.transpose(field_rotation)
            local_center = to_field @ (center - field_position)
            local_rotation = to_field @ rotation
            extent = _half_extent(type_id, size, local_rotation, slack)
            if (
                wp.abs(local_center[0]) > field_size[0] + extent[0]
                or wp.abs(local_center[1]) > field_size[1] + extent[1]
                or local_center[2] - extent[2] > field_size[2]
                or local_center[2] + extent[2] < -field_size[3]
            ):
                continue
            field = height_field(
                hfield_data, hfield_adr[data], hfield_nrow[data], hfield_ncol[data], field_size
            )
            rows, columns = cells_around(field, local_center, wp.vec2(extent[0], extent[1]))
            contacts = contacts_of(
                part, field, rows, columns, local_center, local_rotation, size, slack
            )
            nearest = wp.min(contacts.distance)
            if nearest >= slack:
                continue
            condim, friction, solref, solreffriction, solimp = contact_material_params(
                geom_condim,
                geom_priority,
                geom_solmix,
                geom_solref,
                geom_solimp,
                geom_friction,
                pair_dim,
                pair_solref,
                pair_solreffriction,
                pair_solimp,
                pair_friction,
                geoms,
                pair_id[0],
                world,
            )
            contact = int(0)
            while contact < NUM_CONTACTS:
                distance = contacts.distance[contact]
                if distance < slack:
                    write_contact(
                        naconmax_in,
                        contact,
                        distance,
                        field_position + field_rotation @ contacts.point[contact],
                        make_frame(field_rotation @ contacts.normal[contact]),
                        margin,
                        gap,
                        condim,
                        friction,
                        solref,
                        solreffriction,
                        solimp,
                        geoms,
                        pair_id,
                        world,
                        contact_dist_out,
                        contact_pos_out,
                        contact_frame_out,
                        contact_includemargin_out,
                        contact_friction_out,
                        contact_solref_out,
                        contact_solreffriction_out,
                        contact_solimp_out,
                        contact_dim_out,
                        contact_geom_out,
                        contact_efc_address_out,
                        contact_worldid_out,
                        contact_type_out,
                        contact_geomcollisionid_out,
                        nacon_out,
                    )
                contact += 1

    return hfield_contacts
