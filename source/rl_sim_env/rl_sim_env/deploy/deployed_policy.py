"""A trained policy on a robot: onnxruntime and numpy, nothing else.

The robot's program reads its sensors and steps the policy once per control period::

    policy = DeployedPolicy.load(
        "policy.onnx", joint_names=robot.joint_names, stiffness=70.0, damping=2.0
    )
    policy.reset()
    while robot.is_walking:
        reading = SensorReading(
            base_ang_vel=imu.gyro,
            projected_gravity=projected_gravity(imu.quaternion_wxyz),
            joint_pos=robot.joint_pos,
            joint_vel=robot.joint_vel,
            joint_torques=robot.joint_torques,
            velocity_commands=remote.velocity,
        )
        output = policy.step(reading)
        robot.set_joint_targets(output.joint_targets)
        robot.wait(policy.metadata.control_period)
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import accumulate, zip_longest
from pathlib import Path
from typing import cast

import numpy as np
import onnxruntime
from numpy.typing import ArrayLike, NDArray

from rl_sim_env.conventions import leaves_range
from rl_sim_env.deploy.digest import is_damaged
from rl_sim_env.deploy.ground import GroundInput, HeightGrid
from rl_sim_env.deploy.metadata import PolicyMetadata
from rl_sim_env.errors import UserError

FloatArray = NDArray[np.float32]

HISTORY = "history"
LAST_ACTION = "last_action"
MEMORY = "memory"
STATE = (HISTORY, LAST_ACTION, MEMORY)
"""Inputs that hold what the policy remembers. NaN means that there is nothing to remember yet."""

JOINT_TARGETS = "joint_targets"
ESTIMATES = "estimates"
STD = "estimates_std"
"""Output of a policy that says how far its estimates may be off; others have none."""

OUTPUTS = (JOINT_TARGETS, ESTIMATES, *(f"next_{name}" for name in STATE))
"""Outputs of every exported policy, the last of which the next step takes as :data:`STATE`."""

GROUND, MAP = "ground", "map"
"""What a reading and an output, and what an input calls maps of the ground."""

LARGEST = {"joint_pos": 2.0 * np.pi, "base_ang_vel": 100.0, "velocity_commands": 10.0}
"""What a sensor cannot say [rad, rad/s, m/s]: degrees are mistaken for radians, or a remote's raw
values for metres a second."""

DIRECTION_LENGTH = (0.8, 1.2)
"""Lengths that a direction may have, noise and all: zeros come from a sensor that is not up yet,
9.8 from an accelerometer."""

TARE_AFTER = 3.0
"""Time until the mass estimate of an episode has settled [s]; what came before is not averaged."""

TARE_WINDOW = 2.0
"""Time over which :meth:`DeployedPolicy.tare` averages [s]: several strides."""

_MASS, _GRAVITY = "mass", "projected_gravity"

_LISTED = 12
"""Numbers that a message shows."""

_ANEW = "export the policy anew"


@dataclass(frozen=True, kw_only=True)
class SensorReading:
    """What the robot measures, and what it is told; joints in the order of the metadata."""

    base_ang_vel: ArrayLike
    """Angular velocity of the base, base frame [rad/s]. Shape (3,)."""
    projected_gravity: ArrayLike
    """Direction of gravity in the base frame, unit length; (0, 0, -1) when level. Shape (3,)."""
    joint_pos: ArrayLike
    """Joint positions [rad]. Shape (joints,)."""
    joint_vel: ArrayLike
    """Joint velocities [rad/s]. Shape (joints,)."""
    joint_torques: ArrayLike
    """Torques that the drives apply [N m]. Shape (joints,)."""
    velocity_commands: ArrayLike
    """Wanted velocity forwards and to the left [m/s] and yaw rate [rad/s], base frame.
    Shape (3,)."""
    ground: HeightGrid | None = None
    """Map of the ground, the latest there is; None: none. Policies that walk blind read none."""


SENSORS = tuple(field.name for field in fields(SensorReading) if field.name != GROUND)
"""What a reading has of sensors and commands, in the order of its fields."""


@dataclass(frozen=True, kw_only=True)
class PolicyStep:
    """What the policy wants and believes. Arrays are the caller's to keep."""

    joint_targets: FloatArray
    """Targets of the joint controllers [rad]. Shape (joints,)."""
    estimates: Mapping[str, FloatArray]
    """Estimated quantities by name, in the SI units that ``metadata.estimates`` says; shape (width
    of the quantity,) each."""
    std: Mapping[str, FloatArray] | None = None
    """Standard deviations of their errors, in the same units and shapes: 95 % of the truths lie
    within 1.96 of them. None where the policy does not say."""
    ground: FloatArray | None = None
    """Ground over the base that it believes in, cell by cell as in its maps [m]: also where it sees
    nothing. Shape (rows, cells of a row). None where the policy does not say."""
    beyond_training: bool | None = None
    """Whether the mass may be beyond what was trained: its 95 % interval leaves the range of then.
    Neither estimates and deviations nor the walk are to be trusted there. None where the policy
    does not say."""

    @property
    def velocity(self) -> FloatArray:
        """Estimated velocity of the base, base frame [m/s]. Shape (3,).

        Raises:
            UserError: The policy does not estimate it; so do ``mass`` and ``com``.
        """
        return self._estimate("velocity")

    @property
    def mass(self) -> float:
        """Estimated mass above that of the robot without load [kg].

        The nominal one, or, after :meth:`DeployedPolicy.tare`, what was estimated then.
        """
        return float(self._estimate(_MASS)[0])

    @property
    def com(self) -> FloatArray:
        """Estimated centre of mass of robot and load, base link frame [m]. Shape (3,)."""
        return self._estimate("com")

    def _estimate(self, name: str) -> FloatArray:
        """An estimate by name.

        Raises:
            UserError: The policy makes none of that name.
        """
        if name not in self.estimates:
            known = ", ".join(self.estimates) or "nothing"
            raise UserError(f"this policy estimates no {name}; it estimates {known}")
        return self.estimates[name]


def projected_gravity(quaternion_wxyz: ArrayLike) -> NDArray[np.float64]:
    """Direction of gravity in the frame of a body.

    Args:
        quaternion_wxyz: Orientation of the body in the world, w first, unit length. Shape (4,).

    Returns:
        Unit vector. Shape (3,).

    Raises:
        UserError: The quaternion is far from unit length.
    """
    quaternion = np.asarray(quaternion_wxyz, dtype=np.float64)
    _require_direction("quaternion_wxyz", quaternion)
    w, x, y, z = quaternion
    return np.array(
        (2.0 * (w * y - x * z), -2.0 * (w * x + y * z), 2.0 * (x * x + y * y) - 1.0),
    )


def open_session(path: Path | str) -> tuple[onnxruntime.InferenceSession, PolicyMetadata]:
    """Open an exported policy for one core.

    Raises:
        UserError: There is no such file, it is no ONNX file or a damaged one, or it lacks our
            metadata.
    """
    if not os.path.isfile(path):
        raise UserError(f"{path}: no such file; give an exported policy")
    try:
        model = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    if is_damaged(model):
        raise UserError(
            f"{path}: damaged, or changed since it was exported; copy it anew from where it comes "
            "from, or export the policy again"
        )
    options = onnxruntime.SessionOptions()
    # The networks are small: handing work to other threads takes longer than the work.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        # Names that are damaged need not be text.
        properties = session.get_modelmeta().custom_metadata_map
    except Exception as error:  # onnxruntime's exceptions share no public base class
        version = onnxruntime.__version__
        raise UserError(
            f"{path}: not an ONNX file, or a damaged one, or too new for onnxruntime {version}"
        ) from error
    return session, PolicyMetadata.from_properties(properties, str(path))


class DeployedPolicy:
    """An exported policy with its memory.

    Made by itself it trusts its user to drive the joints as ``metadata`` say; :meth:`load` checks
    that a robot does.

    Args:
        path: ``policy.onnx`` as exported.

    Attributes:
        metadata: Facts of the policy: gains, limits, control period, how it was trained.
        unloaded_mass: What the mass estimates of the steps to come are counted from [kg]: 0, the
            nominal robot, or what :meth:`tare` has found. May be saved and set: it belongs to the
            robot and its drives.

    Raises:
        UserError: The file is no such policy.
    """

    def __init__(self, path: Path | str) -> None:
        self._session, self.metadata = open_session(path)
        given = {node.name for node in self._session.get_outputs()}
        if given - {STD, GROUND} != set(OUTPUTS):
            raise UserError(
                f"{path}: this file holds the networks without history and scaling; give the "
                "policy.onnx that was exported beside it"
            )
        self._outputs = (*OUTPUTS, *(name for name in (STD, GROUND) if name in given))
        self._inputs = _make_inputs(self._session, self.metadata, path)
        self._sensors = [name for name in SENSORS if name in self._inputs]
        facts = self.metadata.map
        self._ground = GroundInput(facts) if facts is not None and MAP in self._inputs else None
        ends = list(accumulate(columns.width for columns in self.metadata.estimates))
        self._estimate_ends = ends[:-1]
        period = self.metadata.control_period
        self._settling_steps = round(TARE_AFTER / period)
        self._window_steps = round(TARE_WINDOW / period)
        self._masses: deque[float] = deque(maxlen=self._window_steps)
        self.unloaded_mass = 0.0
        self.reset()
        self._require_outputs(path)

    @classmethod
    def load(
        cls,
        path: Path | str,
        *,
        joint_names: Sequence[str],
        stiffness: float | Sequence[float],
        damping: float | Sequence[float],
    ) -> DeployedPolicy:
        """Load a policy for a robot.

        Args:
            path: ``policy.onnx`` as exported.
            joint_names: The robot's driven joints in the order of its readings and targets.
            stiffness: Gain kp of its joint controllers [N m/rad]: one, or one for each joint.
            damping: Gain kd of its joint controllers [N m s/rad]: one, or one for each joint.

        Raises:
            UserError: The file is no such policy, or the robot has other joints, another order of
                joints, or other gains.
        """
        policy = cls(path)
        metadata = policy.metadata
        if tuple(joint_names) != metadata.joint_names:
            raise _misfit(path, "joints", metadata.joint_names, joint_names)
        gains = (("kp", metadata.stiffness, stiffness), ("kd", metadata.damping, damping))
        for name, trained, given in gains:
            present = np.ravel(given if np.ndim(given) else (given,) * len(trained)).tolist()
            if len(present) != len(trained) or not np.allclose(present, trained, rtol=1e-6):
                raise _misfit(path, f"gains {name}", trained, present)
        return policy

    def reset(self) -> None:
        """Forget: the next step begins an episode, its frame filling the whole history.

        What :meth:`tare` has found stays.
        """
        self._steps = 0
        self._masses.clear()
        for name in STATE:
            self._inputs[name] = np.full_like(self._inputs[name], np.nan)

    def step(self, reading: SensorReading) -> PolicyStep:
        """Decide what the joints do until the next control period.

        Args:
            reading: What the sensors say now.

        Raises:
            UserError: A sensor delivers another number of values, or values that are not finite or
                in other units; or what the policy makes of them is not finite. The policy's memory
                is as before.
        """
        for name in self._sensors:
            self._take(name, getattr(reading, name))
        if self._ground is not None:
            self._inputs[MAP][0] = self._ground.read(reading.ground)
        outputs = self._run()
        for name, values in outputs.items():
            # All of them: a limit of the targets would hide an action that is not finite.
            if not np.isfinite(values).all():
                raise UserError(
                    f"{name}: the policy's output is not finite ({_listed(values[0])}); put the "
                    "joints into damping, and export the policy anew from a checkpoint that walks"
                )
        self._inputs.update({name: outputs[f"next_{name}"] for name in STATE})
        believed = self._by_quantity(outputs[ESTIMATES])
        std = self._by_quantity(outputs[STD]) if STD in outputs else None
        beyond_training = self._is_beyond_training(believed, std)
        self._steps += 1
        if _MASS in believed:
            if self._steps > self._settling_steps:
                self._masses.append(float(believed[_MASS][0]))
            believed[_MASS] = believed[_MASS] - np.float32(self.unloaded_mass)
        return PolicyStep(
            joint_targets=outputs[JOINT_TARGETS][0],
            estimates=believed,
            std=std,
            ground=outputs[GROUND][0] if GROUND in outputs else None,
            beyond_training=beyond_training,
        )

    def tare(self) -> float:
        """Count masses from that of the robot as it is now, which shall carry nothing.

        An error of the drives' torque constants, friction of the joints and whatever has been
        mounted on the robot look like mass. They do so without load, too, and most of it goes away
        with the difference. What the policy itself acts on stays as it is.

        Returns:
            The mean of the latest estimates [kg], which later ones are counted from.

        Raises:
            UserError: The policy estimates no mass, or has not been stepped for
                :data:`TARE_AFTER` + :data:`TARE_WINDOW` since it was reset.
        """
        if _MASS not in (columns.name for columns in self.metadata.estimates):
            raise UserError("tare: this policy estimates no mass; there is nothing to count anew")
        if len(self._masses) < self._window_steps:
            raise UserError(
                f"tare: the policy has been stepped for "
                f"{self._steps * self.metadata.control_period:.1f} s since its reset; let the "
                f"robot walk or stand without load for {TARE_AFTER + TARE_WINDOW:g} s before"
            )
        self.unloaded_mass = float(np.mean(self._masses))
        return self.unloaded_mass

    def _run(self) -> dict[str, FloatArray]:
        """Outputs by name, shape (1, width) each."""
        outputs = cast("list[FloatArray]", self._session.run(self._outputs, self._inputs))
        return dict(zip(self._outputs, outputs, strict=True))

    def _by_quantity(self, columns: FloatArray) -> dict[str, FloatArray]:
        """Estimates, or their deviations, by the name of the quantity."""
        parts = np.split(columns[0], self._estimate_ends)
        names = (each.name for each in self.metadata.estimates)
        return dict(zip(names, parts, strict=True))

    def _is_beyond_training(
        self, believed: Mapping[str, FloatArray], std: Mapping[str, FloatArray] | None
    ) -> bool | None:
        """See :class:`PolicyStep`; masses are those of before a tare, as in training."""
        trained = {each.name: each.trained_range for each in self.metadata.estimates}.get(_MASS)
        if std is None or trained is None:
            return None
        ((least, greatest),) = trained
        return bool(leaves_range(believed[_MASS], std[_MASS], least, greatest).item())

    def _require_outputs(self, path: Path | str) -> None:
        """Refuse a file whose graph cannot run, or returns what its facts do not say."""
        try:
            outputs = self._run()
        except Exception as error:  # onnxruntime's exceptions share no public base class
            reason = " ".join(str(error).split())
            raise UserError(f"{path}: its graph cannot be run ({reason}); {_ANEW}") from error
        joints = len(self.metadata.joint_names)
        estimates = sum(columns.width for columns in self.metadata.estimates)
        shapes = {JOINT_TARGETS: (1, joints), ESTIMATES: (1, estimates), STD: (1, estimates)}
        shapes |= {f"next_{name}": self._inputs[name].shape for name in STATE}
        if self._ground is not None:
            shapes[GROUND] = self._inputs[MAP].shape
        for name, values in outputs.items():
            shape = shapes[name]
            if values.shape != shape:
                raise UserError(
                    f"{path}: output {name} has shape {values.shape}, where its facts say {shape}; "
                    f"{_ANEW}"
                )

    def _take(self, name: str, values: ArrayLike) -> None:
        """Put the values of one sensor where the session reads them."""
        place = self._inputs[name][0]
        given = np.asarray(values)
        if given.shape != place.shape:
            raise UserError(
                f"{name}: the robot gives values of shape {given.shape}, the policy takes "
                f"{place.shape}; see rl_sim_env.deploy.SensorReading"
            )
        place[:] = given
        if not np.isfinite(place).all():
            raise UserError(
                f"{name}: not finite ({_listed(place)}); stop the robot and check the sensor"
            )
        if name in LARGEST and np.abs(place).max() > LARGEST[name]:
            raise UserError(
                f"{name}: {_listed(place)} goes beyond {LARGEST[name]:.3g}, which no robot does; "
                "give radians and metres, as rl_sim_env.deploy.SensorReading says"
            )
        if name == _GRAVITY:
            _require_direction(name, place)


def _listed(values: NDArray[np.floating]) -> str:
    """Numbers for a message of one line, the first of them where there are many."""
    numbers = [f"{value:.4g}" for value in values.flat]
    return ", ".join(numbers[:_LISTED]) + (", ..." if numbers[_LISTED:] else "")


def _require_direction(name: str, values: NDArray[np.floating]) -> None:
    low, high = DIRECTION_LENGTH
    length = float(np.linalg.norm(values))
    if not low <= length <= high:
        raise UserError(
            f"{name}: {_listed(values)} has length {length:.3g} instead of 1; stop the robot and "
            "check the sensor, or divide by the length where it measures in other units"
        )


def _make_inputs(
    session: onnxruntime.InferenceSession, metadata: PolicyMetadata, path: Path | str
) -> dict[str, FloatArray]:
    """Arrays for the inputs of a policy, for one robot.

    Raises:
        UserError: An input is missing, unknown, or of another shape than the facts say.
    """
    by_joint = (len(metadata.joint_names),)
    shapes: dict[str, tuple[int, ...]] = {
        name: by_joint if name.startswith("joint_") else (3,) for name in SENSORS
    }
    if metadata.map is not None:
        shapes[MAP] = metadata.map.shape
    inputs = {}
    for node in session.get_inputs():
        shape = tuple(node.shape[1:])
        is_known = shapes.get(node.name) == shape or node.name in STATE
        if not is_known or node.type != "tensor(float)" or not all(map(_is_size, shape)):
            raise UserError(
                f"{path}: input {node.name} of {node.type}, shape {shape}, is none that a robot of "
                f"{by_joint[0]} joints has; {_ANEW}"
            )
        inputs[node.name] = np.zeros((1, *shape), dtype=np.float32)
    if missing := {*STATE} - inputs.keys():
        raise UserError(f"{path}: has no input {', '.join(sorted(missing))}; {_ANEW}")
    return inputs


def _is_size(dimension: object) -> bool:
    return isinstance(dimension, int) and dimension > 0


def _misfit(
    path: Path | str, what: str, trained: Sequence[object], present: Sequence[object]
) -> UserError:
    """The complaint about a robot that the policy does not fit, with both lists side by side."""
    pairs = [("policy", "robot"), *zip_longest(map(str, trained), map(str, present), fillvalue="")]
    width = max(len(left) for left, _ in pairs)
    lines = [f"{'!' if i and a != b else ' '} {a:<{width}}  {b}" for i, (a, b) in enumerate(pairs)]
    return UserError(
        f"{path}: the robot has other {what} than the policy was trained with; reorder or set "
        f"them as the policy has them:\n" + "\n".join(lines)
    )
