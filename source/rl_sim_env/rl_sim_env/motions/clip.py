"""One reference motion: the arrays, the file they live in, and what makes either valid.

A clip is stored as one ``.npz`` without pickled objects. With L frames, J leg joints, F feet:

| field          | shape     | unit  | meaning                                                     |
|----------------|-----------|-------|-------------------------------------------------------------|
| `name`         | ()        |       | what tables and messages call the clip                      |
| `fps`          | ()        | 1/s   | frames per second                                           |
| `cyclic`       | ()        |       | true: frame L would be frame 0 again, further along the way |
| `weight`       | ()        |       | how often the clip is sampled, relative to the others       |
| `source`       | ()        |       | where the motion comes from                                 |
| `licence`      | ()        |       | under which terms it may be used                            |
| `joint_names`  | (J,)      |       | leg joints, in the order of their columns                   |
| `foot_names`   | (F,)      |       | sites of the feet, in the order of theirs                   |
| `root_pos`     | (L, 3)    | m     | base link in the world, ground at z = 0                     |
| `root_quat`    | (L, 4)    |       | base link to world, wxyz, unit length                       |
| `root_lin_vel` | (L, 3)    | m/s   | velocity of the base link, in base coordinates              |
| `root_ang_vel` | (L, 3)    | rad/s | angular velocity of the base link, in base coordinates      |
| `joint_pos`    | (L, J)    | rad   | joint angles                                                |
| `joint_vel`    | (L, J)    | rad/s | joint speeds                                                |
| `foot_pos`     | (L, F, 3) | m     | centres of the foot spheres, in base coordinates            |
| `foot_contact` | (L, F)    |       | true while the foot stands on the ground                    |

Joints and feet are told apart by name, never by their place: another robot, or the same one with
its joints in another order, finds its own or says what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from rl_sim_env.errors import UserError, found_in
from rl_sim_env.motions.kinematics import LegKinematics
from rl_sim_env.motions.rotations import (
    quat_conjugate,
    quat_multiply,
    quat_rotate,
    quat_to_rotvec,
)

ROOT_SHAPES: dict[str, tuple[int, ...]] = {
    "root_pos": (3,),
    "root_quat": (4,),
    "root_lin_vel": (3,),
    "root_ang_vel": (3,),
}
"""Shape of one frame of every field of the trunk."""

JOINT_FIELDS = ("joint_pos", "joint_vel")
FOOT_SHAPES: dict[str, tuple[int, ...]] = {"foot_pos": (3,), "foot_contact": ()}
"""Shape of one frame of every field of the feet, for one foot."""

_Value = TypeVar("_Value")

_DTYPE_KINDS: dict[Any, str] = {str: "U", bool: "b", float: "fiu"}
"""NumPy's kinds of array that a single value may come from."""

MIN_FRAMES = 2
UNIT_QUATERNION_TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class PoseSequence:
    """Where a robot is, at moments of equal distance: a motion without its velocities.

    With N poses, J leg joints, F feet.
    """

    fps: float
    """Poses per second."""

    root_pos: np.ndarray
    """Base link in the world [m]. Shape (N, 3)."""

    root_quat: np.ndarray
    """Base link to world, wxyz. Shape (N, 4)."""

    joint_pos: np.ndarray
    """Leg joint angles [rad]. Shape (N, J)."""

    foot_contact: np.ndarray
    """Which feet stand. Shape (N, F)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MotionClip:
    """A valid reference motion; the fields are those of the file format above.

    Raises:
        UserError: On construction, if a field breaks the format; the message names the field.
    """

    name: str
    fps: float
    cyclic: bool
    weight: float
    source: str
    licence: str
    joint_names: tuple[str, ...]
    foot_names: tuple[str, ...]
    root_pos: np.ndarray
    root_quat: np.ndarray
    root_lin_vel: np.ndarray
    root_ang_vel: np.ndarray
    joint_pos: np.ndarray
    joint_vel: np.ndarray
    foot_pos: np.ndarray
    foot_contact: np.ndarray

    def __post_init__(self) -> None:
        if not (np.isfinite(self.fps) and self.fps > 0.0):
            raise UserError(f"field fps: must be a positive number, is {self.fps}")
        if not (np.isfinite(self.weight) and self.weight >= 0.0):
            raise UserError(f"field weight: must not be negative, is {self.weight}")
        _check_names("joint_names", self.joint_names)
        _check_names("foot_names", self.foot_names)
        length = len(np.atleast_1d(self.root_pos))
        if length < MIN_FRAMES:
            raise UserError(
                f"field root_pos: {length} frames, a motion needs at least {MIN_FRAMES}"
            )
        for field, shape in self._frame_shapes().items():
            _check_array(field, getattr(self, field), (length, *shape))
        norm = np.linalg.norm(self.root_quat, axis=-1)
        worst = int(np.abs(norm - 1.0).argmax())
        if abs(norm[worst] - 1.0) > UNIT_QUATERNION_TOLERANCE:
            raise UserError(
                f"field root_quat: frame {worst} has length {norm[worst]:.4f}, a rotation has 1; "
                "normalise the quaternions (order wxyz)"
            )

    @classmethod
    def from_poses(
        cls,
        poses: PoseSequence,
        kinematics: LegKinematics,
        *,
        name: str,
        source: str,
        licence: str,
        weight: float = 1.0,
        cyclic: bool = False,
    ) -> MotionClip:
        """Make a clip of L frames out of poses at L + 2 moments.

        Velocities are central differences of the poses, so that the first and the last pose serve
        the differences only; foot positions follow from the joint angles.

        Args:
            poses: The poses.
            kinematics: Legs of the robot, in the order of the poses' joint angles and contacts.
            name: Name of the clip.
            source: Where the motion comes from.
            licence: Terms of use.
            weight: Relative sampling weight.
            cyclic: Whether the frame after the last one is the first one again.

        Raises:
            UserError: The poses do not make a valid clip.
        """
        per_second = 0.5 * poses.fps
        now = slice(1, -1)
        turned = quat_multiply(quat_conjugate(poses.root_quat[:-2]), poses.root_quat[2:])
        world_vel = (poses.root_pos[2:] - poses.root_pos[:-2]) * per_second
        root_quat, joint_pos = poses.root_quat[now], poses.joint_pos[now]
        return cls(
            name=name,
            fps=poses.fps,
            cyclic=cyclic,
            weight=weight,
            source=source,
            licence=licence,
            joint_names=kinematics.joint_names,
            foot_names=kinematics.foot_names,
            root_pos=poses.root_pos[now],
            root_quat=root_quat,
            root_lin_vel=quat_rotate(quat_conjugate(root_quat), world_vel),
            # A rotation leaves its axis alone, so halfway through the axis is still this one.
            root_ang_vel=quat_to_rotvec(turned) * per_second,
            joint_pos=joint_pos,
            joint_vel=(poses.joint_pos[2:] - poses.joint_pos[:-2]) * per_second,
            foot_pos=kinematics.forward(joint_pos),
            foot_contact=poses.foot_contact[now],
        )

    @property
    def num_frames(self) -> int:
        """Number of frames L."""
        return len(self.root_pos)

    @property
    def duration(self) -> float:
        """Seconds that the clip covers; a cyclic clip also covers the way back to frame 0."""
        return (self.num_frames if self.cyclic else self.num_frames - 1) / self.fps

    def arranged(self, joint_names: Sequence[str], foot_names: Sequence[str]) -> MotionClip:
        """The same motion with its columns in another order, found by name.

        Args:
            joint_names: Joints in the wanted order.
            foot_names: Feet in the wanted order.

        Raises:
            UserError: The clip is another robot's: names are missing or left over.
        """
        columns = _columns("joints", self.name, self.joint_names, joint_names)
        feet = _columns("feet", self.name, self.foot_names, foot_names)
        joints = {field: getattr(self, field)[:, columns] for field in JOINT_FIELDS}
        of_feet = {field: getattr(self, field)[:, feet] for field in FOOT_SHAPES}
        return replace(
            self, joint_names=(*joint_names,), foot_names=(*foot_names,), **joints, **of_feet
        )

    def _frame_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of one frame of every array field."""
        joints, feet = len(self.joint_names), len(self.foot_names)
        return {
            **ROOT_SHAPES,
            **dict.fromkeys(JOINT_FIELDS, (joints,)),
            **{field: (feet, *shape) for field, shape in FOOT_SHAPES.items()},
        }

    def save(self, path: Path | str) -> None:
        """Write the clip as one ``.npz``; arrays in single precision.

        Raises:
            UserError: The file cannot be written.
        """
        arrays = {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}
        for field in self._frame_shapes().keys() - {"foot_contact"}:
            arrays[field] = arrays[field].astype(np.float32)
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            with open(path, "wb") as file:
                np.savez(file, allow_pickle=False, **arrays)
        except OSError as error:
            raise UserError(f"cannot write motion file {path}: {error.strerror}") from error

    @classmethod
    def load(cls, path: Path | str) -> MotionClip:
        """Read a clip that ``save`` wrote. Never unpickles anything.

        Raises:
            UserError: The file cannot be read or breaks the format; names the file and the field.
        """
        arrays = read_npz(path)
        missing = [field.name for field in fields(cls) if field.name not in arrays]
        if missing:
            raise UserError(
                f"motion file {path}: missing fields {', '.join(missing)}; another format must "
                "first be imported"
            )
        with found_in(f"motion file {path}"):
            return cls(
                name=_single(arrays, "name", str),
                fps=_single(arrays, "fps", float),
                cyclic=_single(arrays, "cyclic", bool),
                weight=_single(arrays, "weight", float),
                source=_single(arrays, "source", str),
                licence=_single(arrays, "licence", str),
                joint_names=tuple(arrays["joint_names"].ravel().tolist()),
                foot_names=tuple(arrays["foot_names"].ravel().tolist()),
                root_pos=arrays["root_pos"],
                root_quat=arrays["root_quat"],
                root_lin_vel=arrays["root_lin_vel"],
                root_ang_vel=arrays["root_ang_vel"],
                joint_pos=arrays["joint_pos"],
                joint_vel=arrays["joint_vel"],
                foot_pos=arrays["foot_pos"],
                foot_contact=arrays["foot_contact"],
            )


def read_npz(path: Path | str) -> dict[str, np.ndarray]:
    """All arrays of a ``.npz``, without unpickling.

    Raises:
        UserError: The file is missing, truncated, no ``.npz``, or has pickled objects inside.
    """
    field = None
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise UserError(f"motion file {path}: a single array, expected an .npz archive")
            arrays = {}
            for field in archive.files:
                arrays[field] = archive[field]
            return arrays
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"cannot read motion file {path}: {error.strerror or error}") from error
    except Exception as error:  # NumPy, zipfile and zlib raise what the bytes happen to say
        where = f"field {field}: " if field else ""
        reason = " ".join(str(error).split())
        raise UserError(
            f"motion file {path}: {where}not a plain .npz archive of numbers and names ({reason})"
        ) from error


def _single(arrays: dict[str, np.ndarray], field: str, kind: Callable[[Any], _Value]) -> _Value:
    value = arrays[field]
    if value.size != 1:
        raise UserError(f"field {field}: expected a single value, has shape {value.shape}")
    if value.dtype.kind not in _DTYPE_KINDS[kind]:
        raise UserError(f"field {field}: cannot be {value.item()!r}")
    return kind(value.item())


def _check_names(field: str, names: tuple[str, ...]) -> None:
    if not all(isinstance(name, str) for name in names):
        raise UserError(f"field {field}: must be texts, is {names}")
    repeated = sorted({str(name) for name in names if names.count(name) > 1})
    if repeated or not names:
        raise UserError(
            f"field {field}: {', '.join(repeated) or 'empty'}; each name must stand there once"
        )


def _columns(what: str, clip: str, present: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Where the wanted names stand among the present ones."""
    if odd := {*present} ^ {*wanted}:
        raise UserError(
            f"motion clip {clip}: its {what} are {', '.join(present)}, the robot's "
            f"{', '.join(wanted)}; {', '.join(sorted(odd))} only one of them has: bring it onto "
            "this robot with rl-sim-env motions import"
        )
    return [present.index(name) for name in wanted]


def _check_array(field: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise UserError(f"field {field}: has shape {array.shape}, expected {shape}")
    if field == "foot_contact":
        if array.dtype != np.bool_:
            raise UserError(f"field {field}: expected booleans, has {array.dtype}")
    elif not np.issubdtype(array.dtype, np.floating):
        raise UserError(f"field {field}: expected floating point numbers, has {array.dtype}")
    elif not np.isfinite(array).all():
        frame = int(np.argwhere(~np.isfinite(array))[0, 0])
        raise UserError(f"field {field}: frame {frame} has a value that is not finite")
