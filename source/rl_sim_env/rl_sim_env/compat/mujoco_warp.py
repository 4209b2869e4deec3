"""What MuJoCo Warp keeps to itself and is imported here.

Contacts found here must be mixed, numbered and written as MuJoCo Warp does it with its own.
"""

from mujoco_warp._src.collision_core import (
    # What a round of collision detection writes candidates to.
    CollisionContext,
    # Margins and gaps of two geoms, or of their pair.
    contact_margin_gap,
    # Friction, condim, solref and solimp of two geoms, or of their pair.
    contact_material_params,
    # Makes it.
    create_collision_context,
    # Takes a place in the buffer of contacts, which all collision functions share.
    write_contact,
)
from mujoco_warp._src.collision_driver import (
    # Appends a pair to the candidates, its geoms in the order that the narrowphase expects.
    _add_geom_pair as add_geom_pair,
)
from mujoco_warp._src.collision_driver import (
    # Makes the function that tells whether two geoms may touch.
    _broadphase_filter as broadphase_filter_of,
)
from mujoco_warp._src.collision_driver import (
    # From candidates to contacts; nothing public begins behind the broadphase.
    _narrowphase as narrowphase,
)
from mujoco_warp._src.math import (
    # The tangents that friction is resolved along.
    make_frame,
    # Where two types of geoms stand in ``geom_pair_type_count``.
    upper_trid_index,
)
from mujoco_warp._src.types import (
    # The bits of ``data.overflow``: which buffer was too small.
    OverflowType,
    # The type of solimp and of friction in the arguments of kernels.
    vec5,
)

__all__ = [
    "CollisionContext",
    "OverflowType",
    "add_geom_pair",
    "broadphase_filter_of",
    "contact_margin_gap",
    "contact_material_params",
    "create_collision_context",
    "make_frame",
    "narrowphase",
    "upper_trid_index",
    "vec5",
    "write_contact",
]
