"""Names, shapes and proxies of the tensors through which mjlab sees a native simulation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import mujoco_warp
import numpy as np
import torch
import warp as wp

INPUT_FIELDS = (
    "qpos",
    "qvel",
    "act",
    "ctrl",
    "qfrc_applied",
    "xfrc_applied",
    "mocap_pos",
    "mocap_quat",
    "qacc_warmstart",
    "eq_active",
)
"""The data fields that a world's derived fields depend on, besides its model."""

DERIVED_FIELDS = (
    "time",
    "xpos",
    "xquat",
    "xmat",
    "xipos",
    "cvel",
    "subtree_com",
    "site_xpos",
    "site_xmat",
    "qacc",
    "qfrc_actuator",
    "actuator_force",
    "sensordata",
)
"""The data fields that every task reads."""

ZERO_AFTER_RESET = (
    "qvel",
    "act",
    "ctrl",
    "qfrc_applied",
    "xfrc_applied",
    "qacc_warmstart",
    "qacc",
    "sensordata",
    "time",
)
"""The data fields that a reset clears."""

CONSTANT_INPUT_FIELDS = frozenset(
    (
        "qpos0",
        "qpos_spring",
        "body_mass",
        "body_inertia",
        "body_ipos",
        "body_iquat",
        "body_pos",
        "body_quat",
        "body_gravcomp",
        "dof_armature",
        "eq_data",
        "tendon_stiffness",
        "tendon_damping",
        "actuator_gainprm",
        "actuator_biasprm",
    )
)
"""The model fields from which MuJoCo derives constants."""

DERIVED_CONSTANT_FIELDS = (
    "body_subtreemass",
    "body_invweight0",
    "dof_invweight0",
    "tendon_length0",
    "tendon_invweight0",
    "actuator_acc0",
)
"""The constants that MuJoCo derives."""

FRAME_FIELDS = frozenset(
    (
        "body_pos",
        "body_quat",
        "body_ipos",
        "body_iquat",
        "body_mass",
        "body_inertia",
        "site_pos",
        "site_quat",
    )
)
"""The model fields that MuJoCo reads only where the compiled shortcuts allow."""

COMPILED_SHORTCUTS = (
    "body_sameframe",
    "geom_sameframe",
    "site_sameframe",
    "body_simple",
    "dof_simplenum",
)
"""The compiler's notes of coinciding frames and diagonal inertias; 0 is the general case."""

SHARED_FIELDS = frozenset(
    ("geom_size", "geom_aabb", "geom_rbound", "geom_pos", "geom_quat", "hfield_size", "mesh_vert")
)
"""The model fields that MuJoCo compiles into bounding boxes, of which there is one set."""


def _annotated_shapes(struct: type) -> dict[str, tuple[tuple[Any, ...], type]]:
    return {
        field.name: (field_type.shape, field_type.dtype)
        for field in dataclasses.fields(struct)
        if isinstance(field_type := field.type, wp.array)
    }


_SHAPES = _annotated_shapes(mujoco_warp.Model) | _annotated_shapes(mujoco_warp.Data)

PER_WORLD_FIELDS = frozenset(name for name, (shape, _) in _SHAPES.items() if shape[0] == "*")
"""The model fields that have a world dimension, whether their values differ or not."""

_MATRIX_SHAPES = {
    name: matrix
    for name, (shape, dtype) in _SHAPES.items()
    if len(matrix := (*shape[2:], *getattr(dtype, "_shape_", ()))) > 1
}
"""The trailing dimensions that MuJoCo's arrays lay out as one, by field."""


def shaped(tensor: torch.Tensor, name: str) -> torch.Tensor:
    """View a field of shape (worlds, items, n) as mjlab expects it, say (worlds, items, 3, 3)."""
    if name in _MATRIX_SHAPES:
        return tensor.view(*tensor.shape[:2], *_MATRIX_SHAPES[name])
    return tensor


def single_precision(dtype: np.dtype) -> type[np.float32] | None:
    """The type under which to bind a field: floats as float32, others (None) as they are."""
    return np.float32 if dtype == np.float64 else None


def changed_worlds(
    now: Mapping[str, torch.Tensor], before: Mapping[str, torch.Tensor]
) -> torch.Tensor:
    """Mask of the worlds in which any field of ``before`` is different ``now``, shape (worlds,)."""
    return torch.stack(
        [(now[name] != old).flatten(start_dim=1).any(dim=1) for name, old in before.items()]
    ).any(dim=0)


def saved_model(
    fields: Mapping[str, Any], default: Callable[[str], torch.Tensor]
) -> dict[str, dict[str, torch.Tensor]]:
    """How worlds differ from their model, by field.

    Args:
        fields: Fields that worlds have of their own, each (worlds, ...): tensors, or what gives one
            where it is indexed.
        default: The model's own values of a field.
    """
    return {name: _different(field[:], default(name)) for name, field in fields.items()}


def restored_model(
    fields: Mapping[str, Any],
    default: Callable[[str], torch.Tensor],
    saved: Mapping[str, Mapping[str, torch.Tensor]],
) -> dict[str, torch.Tensor]:
    """The values of fields that :func:`saved_model` returned ``saved`` of; nothing is written.

    Raises:
        ValueError: It is of other fields or of another model.
    """
    if saved.keys() != fields.keys():
        raise ValueError("their physics is that of another simulation")
    return {
        name: _with_differences(default(name), field.shape, saved[name])
        for name, field in fields.items()
    }


def _different(values: torch.Tensor, default: torch.Tensor) -> dict[str, torch.Tensor]:
    """What tells the worlds of a model's field from the model: few columns of long rows.

    Args:
        values: The field, shape (worlds, ...).
        default: The model's values, as many as a world has.

    Returns:
        ``columns`` of a flattened world that are not the model's in some world, shape (C,), and
        their ``values``, shape (worlds, C).
    """
    flat = values.flatten(start_dim=1)
    columns = (flat != default.flatten()).any(dim=0).nonzero().squeeze(-1)
    return {"columns": columns, "values": flat[:, columns]}


def _with_differences(
    default: torch.Tensor, shape: torch.Size, saved: Mapping[str, torch.Tensor]
) -> torch.Tensor:
    """The field, of a shape (worlds, ...), that :func:`_different` returned ``saved`` of.

    Raises:
        ValueError: It is of another field.
    """
    flat = default.flatten().repeat(shape[0], 1)
    columns, values = saved["columns"], saved["values"]
    fits = values.shape == (shape[0], len(columns))
    if not fits or (len(columns) and not 0 <= columns.min() <= columns.max() < flat.shape[1]):
        raise ValueError("their physics is that of another model")
    flat[:, columns.to(flat.device)] = values.to(flat.device)
    return flat.view(shape)


class Fields:
    """Tensors by attribute name, each resolved at first use; their contents are for writing to."""

    _resolve: Callable[[str], Any]
    _fixed: dict[str, Any]

    def __init__(self, resolve: Callable[[str], Any], **fixed: Any) -> None:
        """Take the function that finds a field, and fields known from the start."""
        self.__dict__.update(fixed)
        self.__dict__["_resolve"] = resolve
        self.__dict__["_fixed"] = fixed

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        value = self.__dict__[name] = self._resolve(name)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"cannot replace field {name!r}: write into it, {name}[...] = value")

    def clear_cache(self) -> None:
        """Resolve every field anew at its next use."""
        kept = self._fixed | {"_resolve": self._resolve, "_fixed": self._fixed}
        self.__dict__.clear()
        self.__dict__.update(kept)
