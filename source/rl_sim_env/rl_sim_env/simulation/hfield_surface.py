"""The surface of a height field as Warp kernels see it: nodes, edges, triangles, normal cones.

The surface is the one that MuJoCo collides with: the square between four neighbouring nodes is
split along the diagonal of rising row and column into two triangles. Below it everything down to
the field's base is solid. East is where columns grow, north where rows do.

All lengths are in metres, all points in the frame of the field.
"""

# Warp compiles these functions from their source, which its stubs do not describe.
# pyright: reportArgumentType=false, reportCallIssue=false, reportGeneralTypeIssues=false
# pyright: reportIndexIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import warp as wp

wp.set_module_options({"enable_backward": False})

NONE = 1.0e6
"""Distance of a contact that there is not: farther than any geom from any field."""

TOLERANCE = 1.0e-5
"""How much nearer a neighbour may be before a feature does not count as the nearest. Regions
overlap by it, so that a point on the border of two is never in neither; single precision resolves
a twentieth of it on a tile of 10 m."""

ANGLE_TOLERANCE = 4.0e-4
"""The same for directions, rad: the tolerance as seen from the centre of a foot."""

SHORTEST_WAY = 1.0e-4
"""Shorter ways to the surface have no direction that single precision could tell."""

MIN_BEND = 1.0e-3
"""Bend of the surface over an edge below which what crosses it lies on level ground, rad: half a
millimetre per metre."""

NUM_FEATURES = 6
NODE, EAST_EDGE, NORTH_EDGE, NORTH_EAST_EDGE, LOWER_TRIANGLE, UPPER_TRIANGLE = range(NUM_FEATURES)
"""The features that belong to a node: itself, three edges and the triangles of its cell."""


@wp.struct
class HeightField:
    """A height field: half of its sides, sides of a cell, range of heights, depth of the base."""

    heights: wp.array[float]  # of all fields, row by row, from 0 to 1
    first: int  # index of this field's first node
    num_rows: int
    num_columns: int
    half_size: wp.vec2
    spacing: wp.vec2
    elevation: float
    base: float


@wp.struct
class Around:
    """A node and those that it shares edges with; below it where the field ends."""

    center: wp.vec3
    east: wp.vec3
    north_east: wp.vec3
    north: wp.vec3
    west: wp.vec3
    south_west: wp.vec3
    south: wp.vec3
    has_east: bool
    has_north: bool


@wp.func
def height_field(
    heights: wp.array[float], first: int, num_rows: int, num_columns: int, size: wp.vec4
) -> HeightField:
    """A field by its entries in MuJoCo's arrays."""
    field = HeightField()
    field.heights = heights
    field.first = first
    field.num_rows = num_rows
    field.num_columns = num_columns
    field.half_size = wp.vec2(size[0], size[1])
    field.spacing = wp.vec2(
        2.0 * size[0] / float(num_columns - 1), 2.0 * size[1] / float(num_rows - 1)
    )
    field.elevation = size[2]
    field.base = size[3]
    return field


@wp.func
def axis_of(rotation: wp.mat33, index: int) -> wp.vec3:
    """One of the axes of a frame."""
    return wp.vec3(rotation[0, index], rotation[1, index], rotation[2, index])


@wp.func
def node(field: HeightField, row: int, column: int) -> wp.vec3:
    """Position of a node."""
    height = field.heights[field.first + row * field.num_columns + column]
    return wp.vec3(
        field.spacing[0] * float(column) - field.half_size[0],
        field.spacing[1] * float(row) - field.half_size[1],
        field.elevation * height,
    )


@wp.func
def neighbor(field: HeightField, row: int, column: int, of: wp.vec3) -> wp.vec3:
    """A node, or below ``of`` where the field ends: its sides are vertical."""
    result = of - wp.vec3(0.0, 0.0, 1.0)
    if row >= 0 and row < field.num_rows and column >= 0 and column < field.num_columns:
        result = node(field, row, column)
    return result


@wp.func
def around_node(field: HeightField, row: int, column: int) -> Around:
    """A node and its neighbours."""
    near = Around()
    center = node(field, row, column)
    near.center = center
    near.east = neighbor(field, row, column + 1, center)
    near.north_east = neighbor(field, row + 1, column + 1, center)
    near.north = neighbor(field, row + 1, column, center)
    near.west = neighbor(field, row, column - 1, center)
    near.south_west = neighbor(field, row - 1, column - 1, center)
    near.south = neighbor(field, row - 1, column, center)
    near.has_east = column < field.num_columns - 1
    near.has_north = row < field.num_rows - 1
    return near


@wp.func
def top_of_cell(field: HeightField, row: int, column: int) -> float:
    """Height of the highest corner of the cell whose first node this is."""
    last_row = wp.min(row + 1, field.num_rows - 1)
    last_column = wp.min(column + 1, field.num_columns - 1)
    first = field.first + row * field.num_columns
    second = field.first + last_row * field.num_columns
    return field.elevation * wp.max(
        wp.max(field.heights[first + column], field.heights[first + last_column]),
        wp.max(field.heights[second + column], field.heights[second + last_column]),
    )


@wp.func
def nodes_between(
    low: float, high: float, half_size: float, spacing: float, count: int
) -> wp.vec2i:
    """First nodes of the first and the last cell that a range of coordinates meets."""
    return wp.vec2i(
        wp.clamp(int(wp.floor((low + half_size) / spacing)), 0, count - 1),
        wp.clamp(int(wp.floor((high + half_size) / spacing)), 0, count - 1),
    )


@wp.func
def cells_around(field: HeightField, point: wp.vec3, reach: wp.vec2):
    """First and last row and column of the cells that are that near to a point along x and y."""
    low = wp.vec2(point[0], point[1]) - reach
    high = wp.vec2(point[0], point[1]) + reach
    columns = nodes_between(
        low[0], high[0], field.half_size[0], field.spacing[0], field.num_columns
    )
    rows = nodes_between(low[1], high[1], field.half_size[1], field.spacing[1], field.num_rows)
    return rows, columns


@wp.func
def edge_exists(near: Around, feature: int) -> bool:
    """Whether an edge of a node is within the field."""
    return (near.has_east or feature == NORTH_EDGE) and (near.has_north or feature == EAST_EDGE)


@wp.func
def across_edge(edge: wp.vec3, side: wp.vec3) -> wp.vec3:
    """Direction of the part of a vector that is at right angles to an edge."""
    return wp.normalize(side - wp.dot(side, edge) / wp.dot(edge, edge) * edge)


@wp.func
def edge_of_node(near: Around, feature: int):
    """One of the three edges from a node to nodes of higher row or column.

    Returns:
        Its other end, and the unit vectors along its two triangles at right angles to it.
    """
    end = wp.vec3(near.east)
    left = wp.vec3(near.north_east)
    right = wp.vec3(near.south)
    if feature == NORTH_EDGE:
        end = wp.vec3(near.north)
        left = wp.vec3(near.west)
        right = wp.vec3(near.north_east)
    elif feature == NORTH_EAST_EDGE:
        end = wp.vec3(near.north_east)
        left = wp.vec3(near.north)
        right = wp.vec3(near.east)
    edge = end - near.center
    return end, across_edge(edge, left - near.center), across_edge(edge, right - near.center)


@wp.func
def bends(left: wp.vec3, right: wp.vec3, least: float) -> bool:
    """Whether the surface bends over an edge by more than an angle, rad; see edge_of_node."""
    return wp.length_sq(left + right) > least * least


@wp.func
def triangle_normal(a: wp.vec3, b: wp.vec3, c: wp.vec3) -> wp.vec3:
    """Upward normal of a triangle whose corners are in counter-clockwise order from above."""
    return wp.normalize(wp.cross(b - a, c - a))


@wp.func
def triangle_of_cell(lower: bool, east: wp.vec3, north_east: wp.vec3, north: wp.vec3):
    """The second and third corner of a cell's lower or upper triangle, counter-clockwise."""
    second = wp.vec3(north_east)
    third = wp.vec3(north)
    if lower:
        second = wp.vec3(east)
        third = wp.vec3(north_east)
    return second, third


@wp.func
def point_to_triangle(
    point: wp.vec3, a: wp.vec3, b: wp.vec3, c: wp.vec3, spacing: wp.vec2, lower: bool
):
    """Where a point is, seen from one of the two triangles of a cell.

    Args:
        point: The point.
        a: The corner of lowest row and column.
        b: The next corner counter-clockwise from above.
        c: The third.
        spacing: Sides of the cell.
        lower: Whether it is the cell's lower triangle.

    Returns:
        Signed distance from the plane, normal, and whether the point projects into the triangle.
    """
    normal = triangle_normal(a, b, c)
    height = wp.dot(point - a, normal)
    foot = point - height * normal - a
    u = foot[0] / spacing[0]
    v = foot[1] / spacing[1]
    slack = TOLERANCE / wp.min(spacing[0], spacing[1])
    inside = u >= -slack and v >= -slack and u <= 1.0 + slack and v <= 1.0 + slack
    if lower:
        inside = inside and u >= v - slack
    else:
        inside = inside and v >= u - slack
    return height, normal, inside


@wp.func
def is_beside(field: HeightField, point: wp.vec3) -> bool:
    """Whether a point is neither over nor under the field."""
    return wp.abs(point[0]) > field.half_size[0] or wp.abs(point[1]) > field.half_size[1]


@wp.func
def triangle_over(field: HeightField, point: wp.vec3):
    """The triangle over or under a point, or the plane of the nearest one beside the field.

    Returns:
        Signed distance from that plane (negative below it), and its normal.
    """
    u = (point[0] + field.half_size[0]) / field.spacing[0]
    v = (point[1] + field.half_size[1]) / field.spacing[1]
    column = wp.clamp(int(wp.floor(u)), 0, field.num_columns - 2)
    row = wp.clamp(int(wp.floor(v)), 0, field.num_rows - 2)
    corner = node(field, row, column)
    second, third = triangle_of_cell(
        u - float(column) > v - float(row),
        node(field, row, column + 1),
        node(field, row + 1, column + 1),
        node(field, row + 1, column),
    )
    normal = triangle_normal(corner, second, third)
    return wp.dot(point - corner, normal), normal


@wp.func
def nearest_of_edge(point: wp.vec3, a: wp.vec3, b: wp.vec3) -> wp.vec3:
    """The point of an edge that is nearest to a point."""
    along = wp.dot(point - a, b - a) / wp.dot(b - a, b - a)
    return a + wp.clamp(along, 0.0, 1.0) * (b - a)


@wp.func
def way_out(field: HeightField, point: wp.vec3, reach: float):
    """Where a point below the surface gets out: by the shortest way.

    That leads through a triangle or, under a valley, its edge. No triangle faces down, so nothing
    is pushed further in.

    Args:
        field: The field.
        point: The point.
        reach: How far to look at least; the cells around that of the point are always looked at.

    Returns:
        Signed distance from the surface, which is negative, and the direction out.
    """
    rows, columns = cells_around(
        field, point, wp.vec2(wp.max(reach, field.spacing[0]), wp.max(reach, field.spacing[1]))
    )
    nearest = float(NONE)
    normal = wp.vec3(0.0, 0.0, 1.0)
    for row in range(rows[0], wp.min(rows[1], field.num_rows - 2) + 1):
        for column in range(columns[0], wp.min(columns[1], field.num_columns - 2) + 1):
            corner = node(field, row, column)
            east = node(field, row, column + 1)
            north_east = node(field, row + 1, column + 1)
            north = node(field, row + 1, column)
            triangle = int(0)
            while triangle < 2:
                lower = triangle == 0
                second, third = triangle_of_cell(lower, east, north_east, north)
                height, upward, inside = point_to_triangle(
                    point, corner, second, third, field.spacing, lower
                )
                exit = point - height * upward
                if not (inside and height <= 0.0):
                    exit = nearest_of_edge(point, corner, second)
                    other = nearest_of_edge(point, second, third)
                    if wp.length_sq(other - point) < wp.length_sq(exit - point):
                        exit = other
                    other = nearest_of_edge(point, third, corner)
                    if wp.length_sq(other - point) < wp.length_sq(exit - point):
                        exit = other
                length = wp.length(exit - point)
                if length < nearest:
                    nearest = length
                    normal = upward
                    if length > SHORTEST_WAY:
                        normal = (exit - point) / length
                triangle += 1
    return -nearest, normal


@wp.func
def component(direction: wp.vec3, along: wp.vec3) -> float:
    """The part of one vector that points along another, m."""
    return wp.dot(direction, along) / wp.length(along)


@wp.func
def approaches(near: Around, offset: wp.vec3):
    """How much nearer to ``center + offset`` one gets, going from a node along its edges.

    Returns:
        The most of all edges, which is not above 0 in the node's normal cone, and the sum, which is
        0 over level ground. Per metre of way, times the length of ``offset``.
    """
    center = near.center
    east = component(offset, near.east - center)
    north_east = component(offset, near.north_east - center)
    north = component(offset, near.north - center)
    west = component(offset, near.west - center)
    south_west = component(offset, near.south_west - center)
    south = component(offset, near.south - center)
    most = wp.max(wp.max(wp.max(east, north_east), wp.max(north, west)), wp.max(south_west, south))
    return most, east + north_east + north + west + south_west + south
