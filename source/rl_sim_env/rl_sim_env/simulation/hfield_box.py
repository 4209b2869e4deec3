"""Contacts of boxes with the surface of a height field, for Warp kernels.

A box and the ground overlap most, seen along the vertical, where a corner of the box is in the
ground, a node of the field in the box, or an edge of one crosses an edge of the other (the vertices
of the overlay of two piecewise linear surfaces): these are the candidates, and each brings the
normal of the face, or of the two edges, that meet there. Of those in each quarter of the box the
deepest is kept, so that a box lies on up to four contacts far apart.

All lengths are in metres, all points in the frame of the field; normals point out of the ground.
"""

# Warp compiles these functions from their source, which its stubs do not describe.
# pyright: reportArgumentType=false, reportCallIssue=false, reportGeneralTypeIssues=false
# pyright: reportIndexIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportAssignmentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

import warp as wp

from rl_sim_env.simulation.hfield_contacts import (
    Manifold,
    empty_manifold,
    keep_deepest,
)
from rl_sim_env.simulation.hfield_edges import common_normal, nearest_on_lines, segment_to_edge
from rl_sim_env.simulation.hfield_surface import (
    ANGLE_TOLERANCE,
    EAST_EDGE,
    MIN_BEND,
    NONE,
    NORTH_EAST_EDGE,
    Around,
    HeightField,
    approaches,
    around_node,
    axis_of,
    bends,
    edge_exists,
    edge_of_node,
    is_beside,
    top_of_cell,
    triangle_over,
    way_out,
)

wp.set_module_options({"enable_backward": False})


@wp.func
def quarter(rotation: wp.mat33, offset: wp.vec3) -> int:
    """In which of the four quarters of a box, seen from above, a point is.

    Args:
        rotation: From the frame of the box.
        offset: From the centre of the box to the point.
    """
    upright = int(2)
    if wp.abs(rotation[2, 0]) > wp.abs(rotation[2, upright]):
        upright = 0
    if wp.abs(rotation[2, 1]) > wp.abs(rotation[2, upright]):
        upright = 1
    first = wp.dot(axis_of(rotation, (upright + 1) % 3), offset)
    second = wp.dot(axis_of(rotation, (upright + 2) % 3), offset)
    return int(first > 0.0) + 2 * int(second > 0.0)


@wp.func
def corner_contacts(
    field: HeightField,
    center: wp.vec3,
    rotation: wp.mat33,
    size: wp.vec3,
    slack: float,
    contacts_in: Manifold,
) -> Manifold:
    """Contacts of a box's corners with the triangles over or under them."""
    contacts = contacts_in
    corner = int(0)
    while corner < 8:
        offset = rotation @ wp.vec3(
            wp.where(corner % 2 == 0, -size[0], size[0]),
            wp.where((corner // 2) % 2 == 0, -size[1], size[1]),
            wp.where(corner // 4 == 0, -size[2], size[2]),
        )
        point = center + offset
        if not is_beside(field, point):
            distance, normal = triangle_over(field, point)
            if distance < 0.0:
                distance, normal = way_out(field, point, 0.0)
            if distance < slack:
                contacts = keep_deepest(
                    contacts, quarter(rotation, offset), distance, normal, point
                )
        corner += 1
    return contacts


@wp.func
def node_in_box(near: Around, center: wp.vec3, rotation: wp.mat33, size: wp.vec3, slack: float):
    """Contact of a node of the field that is in a box, or before one of its faces.

    Args:
        near: The node.
        center: Centre of the box.
        rotation: From its frame.
        size: Half of its sides.
        slack: Greatest distance before a face that counts.

    Returns:
        Signed distance from the nearest face, or from that straight below (NONE if the ground
        around the node is not behind either, so that something else is deeper), and the normal.
    """
    distance = float(NONE)
    normal = wp.vec3()
    local = wp.transpose(rotation) @ (near.center - center)
    beyond = wp.vec3(
        wp.abs(local[0]) - size[0], wp.abs(local[1]) - size[1], wp.abs(local[2]) - size[2]
    )
    nearest = int(0)
    if beyond[1] > beyond[nearest]:
        nearest = 1
    if beyond[2] > beyond[nearest]:
        nearest = 2
    others = wp.max(beyond[(nearest + 1) % 3], beyond[(nearest + 2) % 3])
    if beyond[nearest] < slack and others <= 0.0:
        normal = -wp.sign(local[nearest]) * axis_of(rotation, nearest)
        most, _total = approaches(near, normal)
        if most <= ANGLE_TOLERANCE:
            distance = beyond[nearest]
        else:
            # The face straight below: where the overlap is greatest, its normal is in the cone.
            way_down = float(NONE)
            for axis in range(3):
                steepness = wp.abs(rotation[2, axis])
                inside = size[axis] + wp.sign(rotation[2, axis]) * local[axis]
                if inside < way_down * steepness:
                    way_down = inside / steepness
                    distance = -inside
                    normal = wp.sign(rotation[2, axis]) * axis_of(rotation, axis)
            most, _total = approaches(near, normal)
            if most > ANGLE_TOLERANCE:
                distance = NONE
    return distance, normal


@wp.func
def edge_of_box(center: wp.vec3, rotation: wp.mat33, size: wp.vec3, index: int, normal: wp.vec3):
    """Of the four edges of a box along one of its axes the one with a normal in its cone.

    Args:
        center: Centre of the box.
        rotation: From its frame.
        size: Half of its sides.
        index: The axis.
        normal: The normal, which points to the box.

    Returns:
        One end of the edge, and from there to the other.
    """
    first = (index + 1) % 3
    second = (index + 2) % 3
    first_axis = axis_of(rotation, first)
    second_axis = axis_of(rotation, second)
    middle = (
        center
        - wp.sign(wp.dot(normal, first_axis)) * size[first] * first_axis
        - wp.sign(wp.dot(normal, second_axis)) * size[second] * second_axis
    )
    edge = 2.0 * size[index] * axis_of(rotation, index)
    return middle - 0.5 * edge, edge


@wp.func
def side_to_edge(
    field: HeightField, start: wp.vec3, axis: wp.vec3, a: wp.vec3, b: wp.vec3, normal: wp.vec3
):
    """Contact of an edge of a box in the ground with a steep edge beside it, not above.

    Args:
        field: The field.
        start: One end of the box's edge.
        axis: From there to the other.
        a: One end of the field's edge.
        b: The other.
        normal: The common normal.

    Returns:
        Signed distance, which is negative (NONE if the nearest points are not on both edges, or
        the box's not in the ground), and the position on the box's edge, from 0 to 1.
    """
    edge = b - a
    offset = start - a
    distance = float(NONE)
    position, along = nearest_on_lines(offset, axis, edge)
    if position >= 0.0 and position <= 1.0 and along >= 0.0 and along <= 1.0:
        height, _normal = triangle_over(field, start + position * axis)
        if height < 0.0 and wp.dot(offset, normal) < 0.0:
            distance = wp.dot(offset, normal)
    return distance, position


@wp.func
def box_contacts(
    part: int,
    field: HeightField,
    rows: wp.vec2i,
    columns: wp.vec2i,
    center: wp.vec3,
    rotation: wp.mat33,
    size: wp.vec3,
    slack: float,
) -> Manifold:
    """Contacts of a box: the deepest in each of its quarters.

    Args:
        part: Not used: the deepest in a quarter may be of any kind.
        field: The field.
        rows: First and last row of cells under it.
        columns: First and last column.
        center: Centre.
        rotation: From the frame of the box.
        size: Half of its sides.
        slack: Greatest distance of the surfaces that counts.

    Returns:
        The contacts.
    """
    contacts = corner_contacts(field, center, rotation, size, slack, empty_manifold())
    bottom = center[2] - slack
    for i in range(3):
        bottom -= size[i] * wp.abs(rotation[2, i])
    # Leaning against the steep corner of a block, a box may touch nothing from above: then the
    # nearest edge beside it counts.
    beside = float(-NONE)
    beside_normal = wp.vec3()
    beside_point = wp.vec3()
    for row in range(rows[0], rows[1] + 1):
        for column in range(columns[0], columns[1] + 1):
            if top_of_cell(field, row, column) < bottom:
                continue
            near = around_node(field, row, column)
            distance, normal = node_in_box(near, center, rotation, size, slack)
            if distance < slack:
                contacts = keep_deepest(
                    contacts,
                    quarter(rotation, near.center - center),
                    distance,
                    normal,
                    near.center + distance * normal,
                )
            feature = int(EAST_EDGE)
            while feature <= NORTH_EAST_EDGE:
                edge_of_field = feature
                feature += 1
                if not edge_exists(near, edge_of_field):
                    continue
                end, left, right = edge_of_node(near, edge_of_field)
                if not bends(left, right, MIN_BEND):
                    continue
                index = int(0)
                while index < 3:
                    axis = axis_of(rotation, index)
                    normal, valid = common_normal(axis, end - near.center, left, right)
                    if valid:
                        start, edge = edge_of_box(center, rotation, size, index, normal)
                        distance, position = segment_to_edge(
                            start, edge, wp.max(slack, 0.0), near.center, end, normal
                        )
                        point = start + position * edge
                        if distance < slack:
                            contacts = keep_deepest(
                                contacts, quarter(rotation, point - center), distance, normal, point
                            )
                        else:
                            distance, position = side_to_edge(
                                field, start, edge, near.center, end, normal
                            )
                            if distance < NONE and distance > beside:
                                beside = distance
                                beside_normal = normal
                                beside_point = start + position * edge
                    index += 1
    if wp.min(contacts.distance) == NONE and beside > -NONE:
        contacts = keep_deepest(contacts, 0, beside, beside_normal, beside_point)
    return contacts
