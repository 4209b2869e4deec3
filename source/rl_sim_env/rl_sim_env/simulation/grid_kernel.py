"""The kernel that looks up candidates for contacts in a grid of static geoms."""

# Warp compiles these functions from their source, which its stubs do not describe.
# pyright: reportArgumentType=false, reportCallIssue=false, reportGeneralTypeIssues=false
# pyright: reportIndexIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportAssignmentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

import functools
from typing import Any

import warp as wp

from rl_sim_env.compat.mujoco_warp import add_geom_pair, broadphase_filter_of

wp.set_module_options({"enable_backward": False})


@wp.func
def _cells_between(low: float, high: float, size: float, number: int) -> wp.vec2i:
    """First and last cell between two places along an axis; none if one of them is no number.

    The first cell begins at 0, all others beside each other.
    """
    end = float(number) * size
    # So, and not the other way round: comparisons with what is no number are false.
    if low < end and high >= 0.0:
        return wp.vec2i(
            wp.min(int(wp.max(low, 0.0) / size), number - 1),
            wp.min(int(wp.min(high, end) / size), number - 1),
        )
    return wp.vec2i(0, -1)


@functools.cache
def candidate_kernel(
    broadphase_filter: int, num_aabb: int, num_rbound: int, num_margin: int, num_gap: int
) -> Any:
    """The kernel for one choice of filters: one thread for each geom (slowly) and world (fast).

    Args:
        broadphase_filter: MuJoCo Warp's ``opt.broadphase_filter``.
        num_aabb: First dimension of ``geom_aabb``: 1, or more where worlds differ.
        num_rbound: The same of ``geom_rbound``.
        num_margin: The same of ``geom_margin``.
        num_gap: The same of ``geom_gap``.
    """
    may_touch = broadphase_filter_of(broadphase_filter, num_aabb, num_rbound, num_margin, num_gap)

    @wp.kernel(module="unique", enable_backward=False)
    def grid_candidates(
        # Model:
        geom_type: wp.array[int],
        geom_aabb: wp.array3d[wp.vec3],
        geom_rbound: wp.array2d[float],
        geom_margin: wp.array2d[float],
        geom_gap: wp.array2d[float],
        # Data in:
        geom_xpos_in: wp.array2d[wp.vec3],
        geom_xmat_in: wp.array2d[wp.mat33],
        naconmax_in: int,
        # In:
        geoms_in: wp.array[int],
        origin_in: wp.vec2,
        cell_size_in: float,
        num_cells_in: wp.vec2i,
        cells_begin_in: wp.array[int],
        entries_in: wp.array[wp.vec3i],
        no_ids_in: wp.array[wp.vec2i],
        # Data out:
        ncollision_out: wp.array[int],
        # Out:
        collision_pair_out: wp.array[wp.vec2i],
        collision_pairid_out: wp.array[wp.vec2i],
        collision_worldid_out: wp.array[int],
    ):
        item, world = wp.tid()
        geom = geoms_in[item]
        rotation = geom_xmat_in[world, geom]
        aabb = world % geom_aabb.shape[0]
        center = geom_xpos_in[world, geom] + rotation @ geom_aabb[aabb, geom, 0]
        half = geom_aabb[aabb, geom, 1]
        slack = (
            geom_margin[world % geom_margin.shape[0], geom]
            + geom_gap[world % geom_gap.shape[0], geom]
        )
        reach_x = wp.dot(half, wp.abs(rotation[0])) + slack
        reach_y = wp.dot(half, wp.abs(rotation[1])) + slack
        x = center[0] - origin_in[0]
        y = center[1] - origin_in[1]
        columns = _cells_between(x - reach_x, x + reach_x, cell_size_in, num_cells_in[0])
        rows = _cells_between(y - reach_y, y + reach_y, cell_size_in, num_cells_in[1])
        for row in range(rows[0], rows[1] + 1):
            for column in range(columns[0], columns[1] + 1):
                cell = row * num_cells_in[0] + column
                for index in range(cells_begin_in[cell], cells_begin_in[cell + 1]):
                    entry = entries_in[index]
                    # Of all cells that both are in, the first one tells the pair.
                    if column != wp.max(columns[0], entry[1]) or row != wp.max(rows[0], entry[2]):
                        continue
                    first = wp.min(geom, entry[0])
                    second = wp.max(geom, entry[0])
                    if may_touch(
                        geom_aabb,
                        geom_rbound,
                        geom_margin,
                        geom_gap,
                        geom_xpos_in,
                        geom_xmat_in,
                        first,
                        second,
                        world,
                    ):
                        add_geom_pair(
                            geom_type,
                            no_ids_in,
                            naconmax_in,
                            first,
                            second,
                            world,
                            0,
                            ncollision_out,
                            collision_pair_out,
                            collision_pairid_out,
                            collision_worldid_out,
                        )

    return grid_candidates


@wp.kernel(enable_backward=False)
def add_count(count_in: wp.array[int], total_out: wp.array[int]):
    """Add one number to another, both of shape (1,)."""
    total_out[0] = total_out[0] + count_in[0]
