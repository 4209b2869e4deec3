"""Contacts of spheres and capsules with the surface of a height field, for Warp kernels.

A point above the surface touches it where its distance is smallest among the neighbours: on a
triangle, or on an edge or node that the point lies in the normal cone (the Voronoi region) of; see
Ericson, Real-Time Collision Detection, chapters 3.3 and 5.1. Edges within level ground and in
valleys have no such region, so they cannot trip anybody. A point below the surface leaves through
the nearest triangle.

All lengths are in metres, all points in the frame of the field; normals point out of the ground.
"""

# Warp compiles these functions from their source, which its stubs do not describe.
# pyright: reportArgumentType=false, reportCallIssue=false, reportGeneralTypeIssues=false
# pyright: reportIndexIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import warp as wp

from rl_sim_env.simulation.hfield_edges import common_normal, point_to_edge, segment_to_edge
from rl_sim_env.simulation.hfield_surface import (
    LOWER_TRIANGLE,
    MIN_BEND,
    NODE,
    NONE,
    NORTH_EAST_EDGE,
    NUM_FEATURES,
    TOLERANCE,
    HeightField,
    approaches,
    around_node,
    axis_of,
    bends,
    cells_around,
    edge_exists,
    edge_of_node,
    is_beside,
    point_to_triangle,
    top_of_cell,
    triangle_of_cell,
    triangle_over,
    way_out,
)

wp.set_module_options({"enable_backward": False})

NUM_CONTACTS = 4
"""Most contacts of a geom with a field."""

NUM_ENDS = 2
"""Of a capsule: the first rows of its contacts."""

CAPSULE_PARTS = NUM_ENDS + 1
"""What of a capsule is looked at by itself: its ends, and all between."""

SAME_DIRECTION = 0.999
"""Cosine of the angle between normals up to which two contacts of a sphere are one: 2.6 degrees."""


class _Rows(wp.types.matrix(shape=(NUM_CONTACTS, 3), dtype=float)):
    """A vector of each contact."""


@wp.struct
class Manifold:
    """Up to NUM_CONTACTS contacts, a row each."""

    distance: wp.vec4  # negative inside; NONE where there is no contact
    normal: _Rows
    point: _Rows  # halfway between the two surfaces


@wp.func
def empty_manifold() -> Manifold:
    """No contacts."""
    contacts = Manifold()
    contacts.distance = wp.vec4(NONE, NONE, NONE, NONE)
    return contacts


@wp.func
def keep_deepest(
    contacts: Manifold, row: int, distance: float, normal: wp.vec3, point: wp.vec3
) -> Manifold:
    """Put a contact into a row, unless a deeper one is there.

    Args:
        contacts: Contacts so far.
        row: The row.
        distance: Distance of the two surfaces.
        normal: The normal.
        point: Where the geom's surface is deepest.

    Returns:
        Contacts with this.
    """
    result = contacts
    if distance < contacts.distance[row]:
        distances, normals, points = contacts.distance, contacts.normal, contacts.point
        distances[row] = distance
        normals[row] = normal
        points[row] = point - 0.5 * distance * normal
        result.distance = distances
        result.normal = normals
        result.point = points
    return result


@wp.func
def keep_distinct(contacts: Manifold, distance: float, normal: wp.vec3, point: wp.vec3) -> Manifold:
    """Put a contact into the row of one with that normal, or else of the shallowest or none."""
    row = int(0)
    found = bool(False)
    for i in range(NUM_CONTACTS):
        if not found:
            if contacts.distance[i] < NONE and wp.dot(contacts.normal[i], normal) > SAME_DIRECTION:
                row = i
                found = True
            elif contacts.distance[i] > contacts.distance[row]:
                row = i
    return keep_deepest(contacts, row, distance, normal, point)


@wp.func
def keep_point(
    contacts: Manifold, row: int, distance: float, radius: float, normal: wp.vec3, center: wp.vec3
) -> Manifold:
    """Put a contact of a ball into a row, or, if that is negative, beside all others of a sphere.

    Args:
        contacts: Contacts so far.
        row: The row, or a negative number.
        distance: Distance of the centre from the surface; NONE leaves the contacts as they are.
        radius: Radius of the ball.
        normal: The normal.
        center: Centre of the ball.

    Returns:
        Contacts with this.
    """
    result = contacts
    if distance < NONE:
        deepest = center - radius * normal
        if row < 0:
            result = keep_distinct(contacts, distance - radius, normal, deepest)
        else:
            result = keep_deepest(contacts, row, distance - radius, normal, deepest)
    return result


@wp.func
def point_contacts(
    field: HeightField,
    center: wp.vec3,
    reach: float,
    radius: float,
    row_of_contact: int,
    contacts_in: Manifold,
) -> Manifold:
    """Contacts of a sphere, or of one end of a capsule.

    Args:
        field: The field.
        center: Centre of the sphere.
        reach: Greatest distance of the centre from the surface that counts.
        radius: Radius of the sphere.
        row_of_contact: Row of the manifold for the deepest contact; -1 for all contacts.
        contacts_in: Contacts so far.

    Returns:
        Contacts with these.
    """
    contacts = contacts_in
    height, _normal = triangle_over(field, center)
    if height < 0.0 and not is_beside(field, center):
        depth, out = way_out(field, center, reach)
        contacts = keep_point(contacts, row_of_contact, depth, radius, out, center)
    else:
        rows, columns = cells_around(field, center, wp.vec2(reach, reach))
        for row in range(rows[0], rows[1] + 1):
            for column in range(columns[0], columns[1] + 1):
                if top_of_cell(field, row, column) < center[2] - reach:
                    continue
                near = around_node(field, row, column)
                feature = int(NODE)  # a while loop is not unrolled: its code fits the cache
                while feature < NUM_FEATURES:
                    distance = float(NONE)
                    normal = wp.vec3()
                    if feature == NODE:
                        offset = center - near.center
                        length = wp.length(offset)
                        if length < reach and length > TOLERANCE:
                            most, _total = approaches(near, offset)
                            if most <= TOLERANCE:
                                distance = length
                                normal = offset / length
                    elif feature <= NORTH_EAST_EDGE:
                        if edge_exists(near, feature):
                            end, left, right = edge_of_node(near, feature)
                            distance, normal = point_to_edge(
                                center, reach, near.center, end, left, right
                            )
                    elif near.has_east and near.has_north:
                        lower = feature == LOWER_TRIANGLE
                        second, third = triangle_of_cell(
                            lower, near.east, near.north_east, near.north
                        )
                        height, normal, inside = point_to_triangle(
                            center, near.center, second, third, field.spacing, lower
                        )
                        if inside and height >= -TOLERANCE and height < reach:
                            distance = height
                    contacts = keep_point(
                        contacts, row_of_contact, distance, radius, normal, center
                    )
                    feature += 1
    return contacts


@wp.func
def part_between(start: float, along: float, low: float, high: float, part: wp.vec2) -> wp.vec2:
    """Which part of a segment lies between two coordinates.

    Args:
        start: Coordinate of its start.
        along: From there to its end.
        low: The lower coordinate.
        high: The higher one.
        part: The part that is asked about, as positions from 0 to 1.

    Returns:
        Where the part begins and ends; it ends before it begins if there is none.
    """
    result = wp.vec2(1.0, 0.0)
    if wp.abs(along) > TOLERANCE:
        one = (low - start) / along
        other = (high - start) / along
        result = wp.vec2(wp.max(part[0], wp.min(one, other)), wp.min(part[1], wp.max(one, other)))
    elif start > low - TOLERANCE and start < high + TOLERANCE:
        result = part
    return result


@wp.func
def segment_contacts(
    field: HeightField,
    rows: wp.vec2i,
    columns: wp.vec2i,
    start: wp.vec3,
    axis: wp.vec3,
    reach: float,
    radius: float,
    contacts_in: Manifold,
) -> Manifold:
    """Contacts of a capsule between its ends, with crests and peaks.

    Args:
        field: The field.
        rows: First and last row of cells to look at.
        columns: First and last column.
        start: One end of the axis.
        axis: From there to the other.
        reach: Greatest distance of the axis from the surface that counts.
        radius: Radius of the capsule.
        contacts_in: Contacts so far.

    Returns:
        Contacts with the deepest of each half of the axis in rows 2 and 3.
    """
    contacts = contacts_in
    dx = field.spacing[0]
    dy = field.spacing[1]
    for row in range(rows[0], rows[1] + 1):
        y = dy * float(row) - field.half_size[1]
        in_row = part_between(start[1], axis[1], y - reach, y + dy + reach, wp.vec2(0.0, 1.0))
        for column in range(columns[0], columns[1] + 1):
            x = dx * float(column) - field.half_size[0]
            over = part_between(start[0], axis[0], x - reach, x + dx + reach, in_row)
            if over[0] > over[1]:
                continue
            lowest = start[2] + wp.min(over[0] * axis[2], over[1] * axis[2])
            if top_of_cell(field, row, column) < lowest - reach:
                continue
            near = around_node(field, row, column)
            feature = int(NODE)
            while feature <= NORTH_EAST_EDGE:
                distance = float(NONE)
                normal = wp.vec3()
                position = float(0.0)
                if feature == NODE:
                    position = wp.dot(near.center - start, axis) / wp.dot(axis, axis)
                    offset = start + position * axis - near.center
                    length = wp.length(offset)
                    if position > 0.0 and position < 1.0 and length < reach and length > TOLERANCE:
                        most, total = approaches(near, offset)
                        if most <= TOLERANCE and total < -MIN_BEND * length:
                            distance = length
                            normal = offset / length
                elif edge_exists(near, feature):
                    end, left, right = edge_of_node(near, feature)
                    if bends(left, right, MIN_BEND):
                        normal, valid = common_normal(axis, end - near.center, left, right)
                        if valid:
                            distance, position = segment_to_edge(
                                start, axis, reach, near.center, end, normal
                            )
                contacts = keep_point(
                    contacts,
                    NUM_ENDS + int(position > 0.5),
                    distance,
                    radius,
                    normal,
                    start + position * axis,
                )
                feature += 1
    return contacts


@wp.func
def sphere_contacts(
    part: int,
    field: HeightField,
    rows: wp.vec2i,
    columns: wp.vec2i,
    center: wp.vec3,
    rotation: wp.mat33,
    size: wp.vec3,
    slack: float,
) -> Manifold:
    """Contacts of a sphere: all places where the surface is nearest, one per direction.

    Args:
        part: Not used, as rows, columns and rotation: the arguments are the same for all geoms.
        field: The field.
        rows: First and last row of cells under it.
        columns: First and last column.
        center: Centre.
        rotation: From its frame.
        size: Its radius first, as in MuJoCo.
        slack: Greatest distance of the surfaces that counts.

    Returns:
        The contacts.
    """
    reach = size[0] + slack
    return point_contacts(field, center, reach, size[0], -1, empty_manifold())


@wp.func
def capsule_contacts(
    part: int,
    field: HeightField,
    rows: wp.vec2i,
    columns: wp.vec2i,
    center: wp.vec3,
    rotation: wp.mat33,
    size: wp.vec3,
    slack: float,
) -> Manifold:
    """Contacts of a part of a capsule: the deepest of an end, or of each half of what is between.

    Args:
        part: 0 and 1 for the ends, 2 for what is between; each has rows of its own.
        field: The field.
        rows: First and last row of cells under it.
        columns: First and last column.
        center: Centre.
        rotation: From the capsule's frame, whose z is its axis.
        size: Radius and half the length of the axis first, as in MuJoCo.
        slack: Greatest distance of the surfaces that counts.

    Returns:
        The contacts.
    """
    radius = size[0]
    reach = radius + slack
    axis = 2.0 * size[1] * axis_of(rotation, 2)
    start = center - 0.5 * axis
    contacts = empty_manifold()
    if part < NUM_ENDS:
        contacts = point_contacts(field, start + float(part) * axis, reach, radius, part, contacts)
    else:
        contacts = segment_contacts(field, rows, columns, start, axis, reach, radius, contacts)
    return contacts
