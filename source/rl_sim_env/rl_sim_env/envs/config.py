"""Configuration of the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from mjlab.envs import ManagerBasedRlEnvCfg
from mjlab.scene import SceneCfg

from rl_sim_env.configuration.limits import (
    COUNT,
    POSITIVE,
    SHARE,
    SHARE_ABOVE_0,
    Number,
    check_limits,
    require_known,
)
from rl_sim_env.envs.mjlab_limits import MJLAB_LIMITS
from rl_sim_env.envs.observation_manager import FrameStackCfg
from rl_sim_env.errors import UserError
from rl_sim_env.mdp.hardware_sensors_cfg import HardwareSensorsCfg, SensorModel
from rl_sim_env.mdp.proprioception import ProprioceptionCfg
from rl_sim_env.robots import Robot
from rl_sim_env.terrains import terrain_type_names, with_columns


@dataclass(kw_only=True)
class StyleCfg:
    """Where the style reward counts."""

    terrain_scale: Annotated[dict[str, float], SHARE] = field(default_factory=dict)
    """Factor of the style reward by terrain family; 1 where none is given."""


@dataclass(kw_only=True)
class AmpVaeEnvCfg(ManagerBasedRlEnvCfg):
    """Configuration of :class:`AmpVaeEnv`, which serves any learner; saved runs carry the name."""

    robot: Robot
    """Which robot it is: its parts by name, and what it carries."""

    frame_stacks: dict[str, FrameStackCfg] = field(default_factory=dict)
    """Observation groups made of the last frames of another group."""

    terminal_groups: tuple[str, ...] = ("critic_obs", "amp_obs")
    """Groups that are also reported for the state before resets. They must have neither noise nor
    history, so that computing them twice changes nothing."""

    observation_clip: Annotated[float, POSITIVE] = 100.0
    """Every observation is clipped to plus or minus this."""

    command_name: str = "velocity"
    """Name of the velocity command term."""

    feet_contact_sensor: str = "feet_contact"
    """Name of the contact sensor of the feet."""

    style: StyleCfg = field(default_factory=StyleCfg)
    """Where the style reward counts."""

    sensors: SensorModel = "ideal"
    """How sensors are: ``ideal``, with noise and delays of some milliseconds alone, or as on
    ``hardware``, where IMU, encoders and drives are off, too."""

    hardware_sensors: HardwareSensorsCfg = field(default_factory=HardwareSensorsCfg)
    """How far sensors and drives may be off where ``sensors`` are as on hardware."""

    terrain_columns: Annotated[int, COUNT] = 1
    """Columns of tiles of each terrain family whose tiles are drawn at random."""

    height_map_resolution: Annotated[float, Number(at_least=0.005, at_most=1)] = 0.025
    """Cell size of the height map [m]; the number of cells goes with its inverse square."""

    max_velocity: Annotated[float, POSITIVE] = 1000.0
    """A joint or base that moves faster than this [m/s, rad/s] has left physics: its robot is reset
    before a reward of astronomical size reaches the learner."""

    largest_reward: Annotated[float, POSITIVE] = 1e6
    """A weighted reward term beyond plus or minus this counts as 0, as one that is not finite does,
    and is counted. Training stops where that is more than rare."""

    fixed_shapes: bool = False
    """Whether every step runs the same operations on tensors of the same shapes and reads nothing
    from the device, as GPUs want it. One padding environment is added, the last, which stands in
    where fewer robots are due than there is room for; :class:`AmpVaeVecEnv` hides it."""

    reset_share: Annotated[float, SHARE_ABOVE_0] = 1.0 / 16.0
    """Share of the robots that fixed shapes leave room for in one step: in resets and in events at
    intervals. Others wait for the next step, and are counted."""

    capture_step: bool = False
    """Whether a GPU captures a control step of fixed shapes as a CUDA graph and replays it."""

    overlap: bool = False
    """Whether what is captured holds parts of a step that do not depend on each other side by side,
    so that a GPU does them at the same time."""

    inverse_weight_interval: Annotated[int, COUNT] = 25
    """Steps from one computation of the inverse weights to the next with fixed shapes on a GPU.
    They follow the randomised masses and say how soft contacts and joint limits are."""

    def complete_scene(self) -> SceneCfg:
        """The scene with as many columns of tiles, and sensors, as other fields say."""
        hardware = self.hardware_sensors if self.sensors == "hardware" else None
        terrain = self.scene.terrain
        return replace(
            self.scene,
            terrain=None if terrain is None else with_columns(terrain, self.terrain_columns),
            sensors=tuple(
                replace(sensor, hardware=hardware)
                if isinstance(sensor, ProprioceptionCfg)
                else sensor
                for sensor in self.scene.sensors
            ),
        )

    def configure_for_device(self, device: str) -> None:
        """Set how steps run on a device: a GPU should never wait, a CPU would not gain from it."""
        self.fixed_shapes = self.capture_step = self.overlap = device != "cpu"

    def check(self) -> None:
        """Refuse values that no environment can be made with.

        Raises:
            UserError: Names the field, what it is and what it must be.
        """
        self._require_robot_and_ground()
        check_limits(self, "env", MJLAB_LIMITS)
        self._require_names()
        if not self.auto_reset:
            raise UserError("env.auto_reset is off; this environment resets by itself, leave it on")
        if self.capture_step and not self.fixed_shapes:
            raise UserError("env.capture_step needs env.fixed_shapes; set both, or neither")
        for name, event in _present(self.events).items():
            if event.mode == "interval" and event.interval_range_s is None:
                raise UserError(
                    f"env.events.{name}.mode is 'interval'; env.events.{name}.interval_range_s "
                    "must say which"
                )

    def _require_robot_and_ground(self) -> None:
        """Refuse a scene in which a setting has switched off what every term reads."""
        present = {
            "scene.entities.robot": self.scene.entities.get("robot"),
            "scene.terrain": self.scene.terrain,
        }
        for path, part in present.items():
            if part is None:
                raise UserError(
                    f"env.{path}=null: a robot needs ground to walk on, and ground a robot; set "
                    f"fields of env.{path} instead, or choose another task"
                )

    def _require_names(self) -> None:
        """Refuse names of what the configuration does not have, or has switched off."""
        if self.scene.terrain is not None:
            terrain_type_names(self.scene.terrain)
        self._require_term("env.command_name", self.command_name, "commands")
        for place, group in enumerate(self.terminal_groups):
            self._require_term(f"env.terminal_groups.{place}", group, "observations")
        if not _present(self.actions):
            off = " and ".join(f"env.actions.{name}=null" for name in self.actions)
            raise UserError(
                f"{off or 'env.actions is empty'}: a policy acts through a term; leave one on"
            )
        sensors = [sensor.name for sensor in self.scene.sensors]
        require_known("env.feet_contact_sensor", self.feet_contact_sensor, sensors)
        feet = self.scene.sensors[sensors.index(self.feet_contact_sensor)]
        if not getattr(feet, "track_air_time", False):
            raise UserError(
                f"env.scene.sensors.{feet.name}.track_air_time is off; it must be on: steps are "
                "told by the air time of the feet"
            )
        for part in ("rewards", "terminations"):
            for name, term in _present(getattr(self, part)).items():
                if (sensor := term.params.get("sensor_name")) is not None:
                    require_known(f"env.{part}.{name}.params.sensor_name", sensor, sensors)

    def _require_term(self, path: str, name: str, table: str) -> None:
        """Refuse the name of a term that does not exist, or is switched off, in a field."""
        terms = getattr(self, table)
        if name in terms and terms[name] is None:
            raise UserError(f"env.{table}.{name}=null: {path} names it; leave it on, or set that")
        require_known(path, name, _present(terms))


def _present(terms: Mapping[str, Any]) -> dict[str, Any]:
    """The terms that no setting has switched off: those are None."""
    return {name: term for name, term in terms.items() if term is not None}
