"""What an exported policy says about itself: which robot it drives, and how it was trained."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Annotated, Any

from rl_sim_env.configuration.limits import DELAY, check_limits
from rl_sim_env.errors import UserError
from rl_sim_env.mdp.hardware_sensors_cfg import HardwareSensorsCfg
from rl_sim_env.robots.robot import DRIVE_FIELDS
from rl_sim_env.typed import typed

POLICY_FILE = "policy.onnx"
"""Everything inside: sensor values and state in, joint targets, estimates and state out."""

NETWORK_FILE = "policy_no_history.onnx"
"""The networks alone: ``actor_obs``, ``vae_obs`` and the memory of the context VAE in, ``actions``,
``estimates`` and the next memory out."""

METADATA_KEY = "rl_sim_env"
"""Key of the ONNX file's properties under which the metadata stand."""

FORMAT_VERSION = 1

_BY_JOINT = ("default_joint_pos", *DRIVE_FIELDS, "action_scale")
"""Facts that are a number for each joint."""

_REMEDY = "export the policy with scripts/rsl_rl/export_policy.py"


@dataclass(frozen=True, kw_only=True)
class EstimateColumns:
    """Some columns of the output ``estimates``."""

    name: str
    width: int
    """Number of columns."""
    unit: str
    declared: Mapping[str, Any] = field(default_factory=dict)
    """The quantity as the training configuration declared it (``agent.vae.targets``); empty in
    files of the time when nobody could, and the columns are velocity of the base in the base frame,
    mass above that of the robot without load, and centre of mass of robot and load in the base link
    frame."""
    trained_range: tuple[tuple[float, float], ...] | None = None
    """Least and greatest value in training of each column [unit]; None where nobody recorded it, as
    of policies without variances."""


@dataclass(frozen=True, kw_only=True)
class RobotParts:
    """Names of parts of the robot's model; those of feet in the order of the legs."""

    base_body: str
    feet: tuple[str, ...]
    """Sites at the centres of the feet."""
    foot_geoms: tuple[str, ...]
    load_body: str | None
    """Body that carries the load; None where the robot carries nothing."""
    arm_angle_joint: str | None = None
    arm_length_joint: str | None = None
    """Joints of the boom; None where there is none."""


BASE_YAW = "base_yaw"
"""Frame of maps: origin in the base, x along its heading and level, z up."""


@dataclass(frozen=True, kw_only=True)
class LidarFacts:
    """A lidar on the trunk, as in training."""

    name: str
    position: tuple[float, float, float]
    """Base frame [m]."""
    yaw: float
    """Where it looks, about the vertical [rad]; 0 is forward."""
    pitch: float
    """How far it looks down from there [rad]."""
    half_angles: tuple[float, float]
    """How far to either side, and up and down, it sees [rad]."""


@dataclass(frozen=True, kw_only=True)
class MapFacts:
    """Maps of the ground that the policy reads; see :class:`rl_sim_env.deploy.HeightGrid`."""

    grid: tuple[int, int]
    """Number of cells forward and to the left. The input has rows from the right to the left, in
    each the cells from rear to front."""
    resolution: float
    """Side of a cell [m]."""
    offset: float
    """How far the middle of the grid is before the base [m]."""
    reference: float
    """Added to heights before the networks read them [m]; the file does that itself."""
    height_range: tuple[float, float]
    """What networks are shown at most, with the reference [m]; the file sees to that itself."""
    rate: float
    """Maps a second in training."""
    age_limit: float
    """Age from which on a map tells nothing [s]."""
    lidars: tuple[LidarFacts, ...]
    """What saw in training."""
    keep: float = 0.0
    """How long a cell stayed known that had been seen [s]; 0: until the next map, as of all files
    of before."""
    frame: str = BASE_YAW
    """Frame of the maps."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and cells of a row."""
        forward, left = self.grid
        return left, forward


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What training drew between a policy and the legs of each robot, beyond the robot's model.

    Delays are uniform from 0, and so are friction and inertia of drives; all other errors of
    hardware are about zero. Middles therefore are halves.
    """

    command_delay: Annotated[float, DELAY]
    """Longest time until drives learn of new joint targets [s]."""
    signal_delay: Annotated[float, DELAY]
    """Longest delay of what sensors say of motion [s]."""
    torque_delay: Annotated[float, DELAY]
    """Longest delay of the torques that drives report [s]."""
    hardware: HardwareSensorsCfg | None
    """How far sensors and drives were off; None: they were ideal, and drives as in the model."""

    def on_hardware(self, hardware: HardwareSensorsCfg) -> Drawn:
        """The same with sensors and drives that may be off so far."""
        late = hardware.max_delay
        return replace(self, signal_delay=late, torque_delay=late, hardware=hardware)

    @property
    def middle_friction(self) -> float:
        """Friction of a joint in the middle of those drawn, beyond the model's [N m]."""
        return 0.0 if self.hardware is None else self.hardware.joint_friction / 2.0

    @property
    def middle_armature(self) -> float:
        """Inertia of a rotor in the middle of those drawn, beyond the model's [kg m^2]."""
        return 0.0 if self.hardware is None else self.hardware.armature / 2.0


NOTHING_DRAWN = Drawn(command_delay=0.0, signal_delay=0.0, torque_delay=0.0, hardware=None)
"""What is taken of a file that does not say: nothing is late, and drives are as in the model."""


@dataclass(frozen=True, kw_only=True)
class PolicyMetadata:
    """Facts of an exported policy, at full precision.

    Values by joint are in the order of ``joint_names``, which is the order of every vector of
    joints that the policy takes or gives.
    """

    task: str
    """Id of the task it was trained on."""
    iteration: int
    """Index of the last training iteration."""
    checkpoint: str
    """File name of the checkpoint it was exported from."""
    training_commit: str
    """Git commit of the code that trained it, ``+ changes`` appended if there were any; empty where
    it was not recorded."""
    joint_names: tuple[str, ...]
    """Driven joints."""
    default_joint_pos: tuple[float, ...]
    """Pose that actions are offsets from [rad]."""
    stiffness: tuple[float, ...]
    """Gain kp of the joint controllers [N m/rad]."""
    damping: tuple[float, ...]
    """Gain kd of the joint controllers [N m s/rad]; the velocity target is zero."""
    effort_limit: tuple[float, ...]
    """Greatest torque [N m]."""
    stall_torque: tuple[float, ...]
    """Where the drive's torque-speed line meets zero speed [N m]."""
    velocity_limit: tuple[float, ...]
    """No-load speed of the drive [rad/s]."""
    action_scale: tuple[float, ...]
    """Factor from actions to offsets of the joint targets [rad]."""
    target_limits: tuple[tuple[float, float], ...] | None
    """Least and greatest joint target [rad]; None where targets are not limited."""
    target_rates: tuple[float, ...] | None
    """Greatest rate of each joint target [rad/s]; None where it is not limited, as in files of the
    time when it could not be."""
    control_period: float
    """Time between two steps of the policy [s]."""
    observation_clip: float
    """Scaled observations are clipped to plus or minus this."""
    layout: Mapping[str, Any]
    """Groups by name: terms of one frame in order, each with name, width and scale, and the number
    of frames, which are stacked frame after frame, oldest first."""
    slices: Mapping[str, Mapping[str, tuple[int, int]]]
    """First column and the one after the last of every term, by group; of the newest frame where
    frames are stacked."""
    robot: RobotParts
    """Names in the robot's model."""
    estimates: tuple[EstimateColumns, ...]
    """Columns of the output ``estimates``, in order."""
    map: MapFacts | None = None
    """Maps of the ground that it was trained with; None: it walks blind, as all files of before."""
    drawn: Drawn | None = None
    """What its training drew between it and the legs; None: the file does not say, as all of
    before."""
    quaternion_order: str = "wxyz"
    """Order of quaternions wherever one is turned into ``projected_gravity``."""
    format_version: int = FORMAT_VERSION
    """Version of this set of facts."""

    def to_json(self) -> str:
        """The facts as JSON; :meth:`from_properties` rebuilds them without loss."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_properties(properties: Mapping[str, str], source: str) -> PolicyMetadata:
        """Read the facts from the properties of an ONNX file.

        Args:
            properties: ``session.get_modelmeta().custom_metadata_map`` in onnxruntime.
            source: Where the file is, for the message.

        Raises:
            UserError: There are none, they are of another version, or facts that no robot has.
        """
        if METADATA_KEY not in properties:
            raise UserError(f"{source}: an ONNX file without metadata of rl_sim_env; {_REMEDY}")
        try:
            data = json.loads(properties[METADATA_KEY])
            version = data["format_version"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UserError(f"{source}: its metadata cannot be read; {_REMEDY} anew") from error
        if version != FORMAT_VERSION:
            raise UserError(
                f"{source}: metadata format {version}, this program reads {FORMAT_VERSION}; "
                f"{_REMEDY} of this version"
            )
        data.setdefault("target_rates", None)
        data.setdefault("map", None)
        data.setdefault("drawn", None)
        expected = {field.name for field in fields(PolicyMetadata)}
        if data.keys() != expected:
            unfit = ", ".join(sorted(expected ^ data.keys()))
            raise UserError(
                f"{source}: metadata with missing or unknown facts ({unfit}); {_REMEDY} anew"
            )
        try:
            facts: PolicyMetadata = typed(_tuples(data), PolicyMetadata, "metadata")
            facts.require_sense()
        except UserError as error:
            raise UserError(f"{source}: {error}; {_REMEDY} anew") from error
        return facts

    def require_sense(self) -> None:
        """Refuse facts that are no robot's, before anything is driven with them.

        Raises:
            UserError: Names the first such fact.
        """
        joints = len(self.joint_names)
        by_joint = {name: getattr(self, name) for name in _BY_JOINT}
        for name, values in by_joint.items():
            if len(values) != joints or not all(map(math.isfinite, values)):
                raise UserError(f"{name} is {values}; it must be {joints} finite numbers")
        for name, value in {
            "joint_names": joints,
            "control_period": self.control_period,
            "observation_clip": self.observation_clip,
        }.items():
            if not 0 < value < math.inf:
                raise UserError(f"{name} is {getattr(self, name)}; it must be more than nothing")
        limits = self.target_limits
        if limits is not None and (
            len(limits) != joints or not all(low <= high for low, high in limits)
        ):
            raise UserError(f"target_limits is {limits}; it must be a range for each joint")
        names = [columns.name for columns in self.estimates]
        if not all(names) or len({*names}) < len(names):
            raise UserError(f"estimates are named {names}; each must have a name of its own")
        rates = self.target_rates
        if rates is not None and (len(rates) != joints or not all(rate > 0.0 for rate in rates)):
            raise UserError(f"target_rates is {rates}; it must be {joints} numbers above 0")
        for columns in self.estimates:
            if columns.width < 1:
                raise UserError(f"estimate '{columns.name}' has {columns.width} columns")
            trained = columns.trained_range
            if trained is not None and (
                len(trained) != columns.width or not all(low <= high for low, high in trained)
            ):
                raise UserError(
                    f"estimate '{columns.name}': trained_range is {trained}; it must be a range "
                    "for each column"
                )
        if self.map is not None and not (
            min(self.map.grid) >= 1
            and self.map.resolution > 0.0
            and self.map.age_limit > 0.0
            and self.map.keep >= 0.0
            and self.map.frame == BASE_YAW
        ):
            raise UserError(
                f"map is {self.map}; it must have cells, an age limit, keep cells for no negative "
                f"time, and be {BASE_YAW}"
            )
        if self.drawn is not None:
            check_limits(self.drawn, "drawn")
        if self.quaternion_order != "wxyz":
            raise UserError(f"quaternion_order is {self.quaternion_order!r}; it must be 'wxyz'")


def _tuples(value: Any) -> Any:
    """JSON knows lists only; the facts are immutable."""
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, dict):
        return {name: _tuples(item) for name, item in value.items()}
    return value
