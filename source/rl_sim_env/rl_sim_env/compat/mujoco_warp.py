"""What MuJoCo Warp keeps to itself and is imported here.

Contacts found here must be mixed, numbered and written as MuJoCo Warp does it with its own.
"""

from mujoco_warp._src.collision_core import (
    # Margins and gaps of two geoms, or of their pair.
    contact_margin_gap,
    # Friction, condim, solref and solimp of two geoms, or of their pair.
    contact_material_params,
    # Takes a place in the buffer of contacts, which all collision functions share.
    write_contact,
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
    "OverflowType",
    "contact_margin_gap",
    "contact_material_params",
    "make_frame",
    "upper_trid_index",
    "vec5",
    "write_contact",
]
