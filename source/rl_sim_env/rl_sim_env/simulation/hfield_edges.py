"""Contacts of points and segments with the edges of a height field, for Warp kernels.

Lengths are in metres, points in the frame of the field, as in
:mod:`~rl_sim_env.simulation.hfield_surface`.
"""

# Warp compiles these functions from their source, which its stubs do not describe.
# pyright: reportArgumentType=false, reportCallIssue=false, reportGeneralTypeIssues=false
# pyright: reportIndexIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import warp as wp

from rl_sim_env.simulation.hfield_surface import ANGLE_TOLERANCE, MIN_BEND, NONE, TOLERANCE

wp.set_module_options({"enable_backward": False})


@wp.func
def point_to_edge(
    point: wp.vec3, reach: float, a: wp.vec3, b: wp.vec3, left: wp.vec3, right: wp.vec3
):
    """Contact of a point above the surface with an edge.

    Args:
        point: The point.
        reach: Greatest distance that counts.
        a: One end of the edge.
        b: The other.
        left: Unit vector along one triangle, at right angles to the edge.
        right: The same of the other.

    Returns:
        Distance (NONE if it is too far, or the point not in the edge's normal cone) and normal.
    """
    edge = b - a
    along = wp.dot(point - a, edge) / wp.dot(edge, edge)
    offset = point - a - along * edge
    length = wp.length(offset)
    distance = float(NONE)
    if (
        along >= 0.0
        and along <= 1.0
        and length < reach
        and length > TOLERANCE
        and wp.dot(offset, left) <= TOLERANCE
        and wp.dot(offset, right) <= TOLERANCE
    ):
        distance = length
    return distance, offset / wp.max(length, TOLERANCE)


@wp.func
def common_normal(axis: wp.vec3, edge: wp.vec3, left: wp.vec3, right: wp.vec3):
    """The normal of a contact between an edge and a line across it.

    Args:
        axis: Direction of the line.
        edge: From one end of the edge to the other.
        left: Unit vector along one triangle, at right angles to the edge.
        right: The same of the other.

    Returns:
        The unit vector at right angles to both, out of the ground, and whether it is in the normal
        cone of the edge: it is not where the two are parallel or the edge is in a valley or level.
    """
    common = wp.cross(axis, edge)
    norm = wp.length(common)
    valid = norm > ANGLE_TOLERANCE * wp.length(axis) * wp.length(edge)
    normal = common / wp.max(norm, TOLERANCE * TOLERANCE)
    to_left = wp.dot(normal, left)
    to_right = wp.dot(normal, right)
    if to_left + to_right > 0.0:
        normal = -normal
        to_left = -to_left
        to_right = -to_right
    valid = (
        valid
        and to_left <= ANGLE_TOLERANCE
        and to_right <= ANGLE_TOLERANCE
        and to_left + to_right < -MIN_BEND
        # Seen from below, a valley is a ridge.
        and normal[2] > -ANGLE_TOLERANCE
    )
    return normal, valid


@wp.func
def nearest_on_lines(offset: wp.vec3, axis: wp.vec3, edge: wp.vec3):
    """Where two lines that are not parallel are nearest to each other.

    Args:
        offset: From the start of the second to that of the first.
        axis: Direction and length of the first.
        edge: The same of the second.

    Returns:
        Position on the first and on the second, from 0 to 1 between start and end.
    """
    common = wp.cross(axis, edge)
    norm = wp.dot(common, common)
    return (
        wp.dot(wp.cross(edge, offset), common) / norm,
        wp.dot(wp.cross(axis, offset), common) / norm,
    )


@wp.func
def segment_to_edge(
    start: wp.vec3, axis: wp.vec3, reach: float, a: wp.vec3, b: wp.vec3, normal: wp.vec3
):
    """Contact of the inside of a segment with an edge across it.

    Args:
        start: One end of the segment.
        axis: From there to the other.
        reach: Greatest distance that counts.
        a: One end of the edge.
        b: The other.
        normal: The common normal.

    Returns:
        Signed distance (negative if the segment passes under the edge; NONE if they do not meet),
        and the position on the segment, from 0 to 1.
    """
    edge = b - a
    offset = start - a
    distance = wp.dot(offset, normal)
    position = float(-1.0)
    along = float(-1.0)
    if distance < 0.0:
        # Straight under the edge: a segment that crosses a ridge below its crest has such a place.
        flat = axis[0] * edge[1] - axis[1] * edge[0]
        if flat != 0.0:
            position = (offset[1] * edge[0] - offset[0] * edge[1]) / flat
            along = (offset[1] * axis[0] - offset[0] * axis[1]) / flat
    elif distance < reach:
        position, along = nearest_on_lines(offset, axis, edge)
    if position < 0.0 or position > 1.0 or along < 0.0 or along > 1.0:
        distance = NONE
    return distance, position
