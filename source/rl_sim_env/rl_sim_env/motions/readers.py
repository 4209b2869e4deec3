"""Readers of the public motion formats. Each checks what it reads and says what does not fit.

| format             | file | what it holds                                                        |
|--------------------|------|----------------------------------------------------------------------|
| `amp-for-hardware` | JSON | frames of 61: root position 3, quaternion xyzw 4, joints 12, feet 12,|
|                    |      | linear and angular velocity 6, joint speeds 12, foot velocities 12   |
| `motion-imitation` | JSON | frames of 19: root position 3, quaternion xyzw 4, joints 12          |
| `grq20-npz`        | npz  | an array each for the root's position and orientation (wxyz), every  |
|                    |      | foot's position, every joint's angle; the numbers `dt` and `weight`  |

Recorded velocities are not used, but compared: our clips derive theirs from the poses, one way for
all, and where the two differ, the time of a frame is wrong, or a unit.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rl_sim_env.errors import UserError, found_in
from rl_sim_env.motions.clip import read_npz
from rl_sim_env.motions.formats import PYBULLET_LEG_ORDER
from rl_sim_env.motions.kinematics import LegKinematics
from rl_sim_env.motions.plausibility import require_speeds
from rl_sim_env.motions.retarget import Recording, SourceRobot
from rl_sim_env.motions.rotations import quat_conjugate, quat_multiply, xyzw_to_wxyz
from rl_sim_env.robots.robot import NUM_LEGS, joint_columns

MOTION_IMITATION_COLUMNS = {"root_pos": 3, "root_quat": 4, "joint_pos": 3 * NUM_LEGS}
AMP_FOR_HARDWARE_COLUMNS = {
    **MOTION_IMITATION_COLUMNS,
    "foot_pos": 3 * NUM_LEGS,
    "root_lin_vel": 3,
    "root_ang_vel": 3,
    "joint_vel": 3 * NUM_LEGS,
    "foot_vel": 3 * NUM_LEGS,
}
"""Name and width of the blocks of a frame, in order."""

FORWARD_KINEMATICS_TOLERANCE = 0.03
"""Mean distance between recorded feet and feet computed from recorded joints that passes [m]."""

QUATERNION_LENGTH_TOLERANCE = 0.05
"""How far from 1 a recorded quaternion may be in length; text files round."""


def read_amp_for_hardware(
    path: Path | str,
    robot: SourceRobot,
    leg_order: Sequence[str] = PYBULLET_LEG_ORDER,
    foot_order: Sequence[str] | None = None,
) -> Recording:
    """Read the 61-column text of AMP_for_hardware.

    Forks of that project disagree on the order of the legs, so it is declared, and checked: joint
    columns and foot columns must agree under the forward kinematics of ``robot``.

    Args:
        path: The file.
        robot: Robot that it was recorded on.
        leg_order: Order of the legs in the joint columns.
        foot_order: Order of the legs in the foot columns; None for the same.

    Raises:
        UserError: The file is malformed, another order of legs or another robot fits it, or its
            velocities are not those of its positions.
    """
    declared = _checked_leg_order(leg_order, robot)
    of_feet = declared if foot_order is None else _checked_leg_order(foot_order, robot)
    document = _read_json(path)
    with found_in(f"motion file {path}"):
        blocks = _blocks(document, AMP_FOR_HARDWARE_COLUMNS)
        by_leg = blocks["foot_pos"].reshape(-1, NUM_LEGS, 3)
        _require_feet(robot, blocks["joint_pos"], by_leg, declared, of_feet)
        fps = 1.0 / _number(document, "FrameDuration", positive=True)
        require_speeds(
            fps,
            joint_pos=blocks["joint_pos"],
            joint_vel=blocks["joint_vel"],
            root_pos=blocks["root_pos"],
            root_lin_vel=blocks["root_lin_vel"],
        )
        return Recording(
            name=Path(path).stem,
            fps=fps,
            weight=_number(document, "MotionWeight", default=1.0),
            source=f"AMP_for_hardware text, {Path(path).name}, {robot.name}",
            root_pos=blocks["root_pos"],
            root_quat=_level_attitude(xyzw_to_wxyz(blocks["root_quat"]), robot),
            foot_pos=_arranged(by_leg, robot, of_feet),
            legs=robot.legs,
        )


def read_motion_imitation(
    path: Path | str, robot: SourceRobot, leg_order: Sequence[str] = PYBULLET_LEG_ORDER
) -> Recording:
    """Read the 19-column text of motion_imitation.

    Raises:
        UserError: The file is malformed.
    """
    order = _checked_leg_order(leg_order, robot)
    document = _read_json(path)
    with found_in(f"motion file {path}"):
        blocks = _blocks(document, MOTION_IMITATION_COLUMNS)
        return Recording(
            name=Path(path).stem,
            fps=1.0 / _number(document, "FrameDuration", positive=True),
            weight=_number(document, "MotionWeight", default=1.0),
            source=f"motion_imitation text, {Path(path).name}, {robot.name}",
            root_pos=blocks["root_pos"],
            root_quat=_level_attitude(xyzw_to_wxyz(blocks["root_quat"]), robot),
            foot_pos=robot.legs.forward(_joints(blocks["joint_pos"], robot, order)),
            legs=robot.legs,
        )


def read_grq20_npz(path: Path | str, legs: LegKinematics) -> Recording:
    """Read a GRQ20 clip with one array for every joint and foot.

    Args:
        path: The file.
        legs: Legs of the robot it was recorded on.

    Raises:
        UserError: The file is malformed, or its feet are not where ``legs`` put them.
    """
    arrays = read_npz(path)
    robot = SourceRobot(name="the robot", legs=legs)
    with found_in(f"motion file {path}"):
        root_pos = _array(arrays, "root_position_world", (None, 3))
        length = len(root_pos)
        joints = [_array(arrays, f"{name}_q", (length,)) for name in legs.joint_names]
        feet = [_array(arrays, f"{name}_position_base", (length, 3)) for name in legs.foot_names]
        foot_pos = np.stack(feet, axis=1)
        error = _kinematic_error(robot, np.stack(joints, axis=-1), foot_pos)
        if error > FORWARD_KINEMATICS_TOLERANCE:
            raise UserError(
                f"foot positions are {error:.3f} m away from where the joint angles put the feet "
                "of the source robot; name the robot it was recorded on"
            )
        quat = _array(arrays, "root_quaternion_wxyz", (length, 4))
        return Recording(
            name=Path(path).stem,
            fps=1.0 / _number(arrays, "dt", positive=True),
            weight=_number(arrays, "weight", default=1.0),
            source=f"GRQ20 npz, {Path(path).name}",
            root_pos=root_pos,
            root_quat=_level_attitude(quat, robot),
            foot_pos=foot_pos,
            legs=legs,
        )


def _read_json(path: Path | str) -> Any:
    """The document of a text clip."""
    try:
        # Some editors put a mark in front of UTF-8.
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"cannot read motion file {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"motion file {path}: not JSON text in UTF-8 ({error})") from error


def _blocks(document: Any, columns: Mapping[str, int]) -> dict[str, np.ndarray]:
    """The frames of a text clip, cut into named blocks of columns: shape (N, width) each."""
    if not isinstance(document, dict) or not document.get("Frames"):
        raise UserError("field Frames: missing or empty")
    if not isinstance(document["Frames"], list):
        raise UserError("field Frames: must be a list of rows")
    width = sum(columns.values())
    for row, frame in enumerate(document["Frames"]):
        found = len(frame) if isinstance(frame, list) else 0
        if found != width:
            raise UserError(f"field Frames: row {row} has {found} columns, this format has {width}")
    frames = _finite("Frames", document["Frames"])
    ends = np.cumsum(list(columns.values()))
    return dict(zip(columns, np.split(frames, ends[:-1], axis=1), strict=True))


def _array(
    arrays: Mapping[str, np.ndarray], field: str, shape: tuple[int | None, ...]
) -> np.ndarray:
    """One array of finite numbers; None in ``shape`` stands for any length."""
    if field not in arrays:
        raise UserError(f"field {field}: missing; has {', '.join(arrays)}")
    found = arrays[field].shape
    fits = len(found) == len(shape) and all(
        wanted in (None, n) for n, wanted in zip(found, shape, strict=True)
    )
    if not fits:
        raise UserError(f"field {field}: has shape {found}, expected {shape}")
    return _finite(field, arrays[field])


def _number(
    fields: Mapping, field: str, *, default: float | None = None, positive: bool = False
) -> float:
    """A single finite number that is not negative."""
    if field not in fields and default is None:
        raise UserError(f"field {field}: missing")
    value = _finite(field, fields.get(field, default))
    if value.size != 1 or value.item() < 0.0 or (positive and value.item() == 0.0):
        kind = "positive number" if positive else "number that is not negative"
        raise UserError(f"field {field}: expected a {kind}, is {fields[field]}")
    return float(value.item())


def _finite(field: str, values: object) -> np.ndarray:
    """``values`` as an array of finite numbers."""
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise UserError(f"field {field}: not numbers ({error})") from error
    if not np.isfinite(array).all():
        where = tuple(map(int, np.argwhere(~np.isfinite(array))[0]))
        raise UserError(f"field {field}: value at {where} is not finite")
    return array


def _checked_leg_order(leg_order: Sequence[str], robot: SourceRobot) -> tuple[str, ...]:
    corners = sorted(leg.corner for leg in robot.legs.legs)
    if sorted(leg_order) != corners:
        raise UserError(
            f"leg order {','.join(leg_order)}: must name each of {', '.join(corners)} once"
        )
    return tuple(leg_order)


def _require_feet(
    robot: SourceRobot,
    joint_pos: np.ndarray,
    foot_pos: np.ndarray,
    leg_order: tuple[str, ...],
    foot_order: tuple[str, ...],
) -> None:
    """Refuse feet (N, 4, 3) that are not where the joints (N, 12) put them; say what would fit."""
    declared = _kinematic_error(
        robot, _joints(joint_pos, robot, leg_order), _arranged(foot_pos, robot, foot_order)
    )
    if declared <= FORWARD_KINEMATICS_TOLERANCE:
        return
    orders = list(itertools.permutations(leg_order))
    joints = {order: _joints(joint_pos, robot, order) for order in orders}
    feet = {order: _arranged(foot_pos, robot, order) for order in orders}
    hint = "no leg order fits: another robot's?"
    # One order for both, as most files have it, before one for each.
    for pairs in (zip(orders, orders, strict=True), itertools.permutations(orders, 2)):
        errors = {(of, to): _kinematic_error(robot, joints[of], feet[to]) for of, to in pairs}
        best = min(errors, key=errors.__getitem__)
        if errors[best] <= FORWARD_KINEMATICS_TOLERANCE:
            of, to = (",".join(order) for order in best)
            hint = (
                f"leg order {of} fits" if of == to else f"leg order {of} with foot order {to} fits"
            )
            break
    orders_told = " and ".join(dict.fromkeys((",".join(leg_order), ",".join(foot_order))))
    raise UserError(
        f"foot columns are {declared:.3f} m away from where the joint columns put the feet of "
        f"{robot.name} in leg order {orders_told}; {hint}"
    )


def _arranged(by_leg: np.ndarray, robot: SourceRobot, leg_order: Sequence[str]) -> np.ndarray:
    """Values (N, 4, 3) by leg in ``leg_order``, brought to the order of the robot's legs."""
    return by_leg[:, [leg_order.index(leg.corner) for leg in robot.legs.legs]]


def _joints(recorded: np.ndarray, robot: SourceRobot, leg_order: Sequence[str]) -> np.ndarray:
    """Recorded angles (N, 12), leg by leg, as joint angles (N, 12) in the robot's order."""
    by_leg = _arranged(recorded.reshape(-1, NUM_LEGS, 3), robot, leg_order)
    by_leg = robot.joint_sign * by_leg + robot.joint_offset
    joint_pos = np.empty_like(recorded)
    joint_pos[:, joint_columns(robot.legs.legs, robot.legs.joint_names)] = by_leg
    return joint_pos


def _level_attitude(quat: np.ndarray, robot: SourceRobot) -> np.ndarray:
    """Recorded orientations (N, 4) relative to the robot's level one, of unit length."""
    length = np.linalg.norm(quat, axis=-1, keepdims=True)
    worst = int(np.abs(length - 1.0).argmax())
    if abs(length[worst, 0] - 1.0) > QUATERNION_LENGTH_TOLERANCE:
        raise UserError(
            f"the root quaternion of frame {worst} has length {length[worst, 0]:.3f}, a rotation "
            "has 1"
        )
    return quat_multiply(quat / length, quat_conjugate(robot.level_quat))


def _kinematic_error(robot: SourceRobot, joint_pos: np.ndarray, foot_pos: np.ndarray) -> float:
    """Mean distance between feet (N, 4, 3) and where the joints (N, 12) put them [m]."""
    return float(np.linalg.norm(robot.legs.forward(joint_pos) - foot_pos, axis=-1).mean())
