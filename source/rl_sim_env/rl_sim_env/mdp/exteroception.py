"""Maps of the ground as lidars on the trunk see it: with holes, late, and at times wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, NamedTuple

import torch
from mjlab.sensor.sensor import Sensor, SensorCfg
from mjlab.utils.lab_api.math import matrix_from_quat

from rl_sim_env.configuration.limits import NOT_EMPTY, NOT_NEGATIVE, Number
from rl_sim_env.errors import UserError
from rl_sim_env.geometry import turned
from rl_sim_env.mdp.exteroception_cfg import LidarCfg, MapCfg, MapErrorsCfg
from rl_sim_env.mdp.ground_memory import GroundMemory
from rl_sim_env.mdp.line_of_sight import LineOfSight, read_maps
from rl_sim_env.mdp.observations import base_pos_w, grid_w

if TYPE_CHECKING:
    import mujoco
    import mujoco_warp as mjwarp
    from mjlab.entity import Entity

    from rl_sim_env.envs import AmpVaeEnv

_NEVER = -1e6
"""Age of the map of a scan that has not been made [s]."""


class ExteroceptionData(NamedTuple):
    """The maps that robots have now; heights are 0 where ``seen`` is."""

    heights: torch.Tensor
    """Ground over the base [m]. Shape (num_envs, cells)."""

    seen: torch.Tensor
    """1 where a cell is known, else 0. Shape (num_envs, cells)."""


@dataclass
class ExteroceptionCfg(SensorCfg):
    """Maps of the ground around each robot."""

    name: str = "exteroception"
    rate: Annotated[float, Number(above=0, at_most=50)] = 10.0
    """Scans a second; from one to the next are as many whole control steps as come nearest."""
    lidars: Annotated[tuple[LidarCfg, ...], NOT_EMPTY] = ()
    """What sees."""
    map: MapCfg = field(default_factory=MapCfg)
    """What is mapped."""
    errors: MapErrorsCfg = field(default_factory=MapErrorsCfg)
    """How far maps may be off."""
    keep: Annotated[float, NOT_NEGATIVE] = 0.0
    """How long a cell that has been seen stays known [s]; 0: until the next map."""

    def build(self) -> Exteroception:
        """Build the sensor."""
        return Exteroception(self)


class Exteroception(Sensor[ExteroceptionData]):
    """Scans some robots in every control step, so that each is scanned at the rate of its lidars.

    Who sees what is computed from the height map. Until the next map comes, the latest is moved
    along by odometry, which is right over so short a time: at 1 m/s a robot is two cells further
    when its map comes. What the latest does not show is taken from those before, as long as the
    configuration says. Robots that begin an episode have seen nothing yet. State stays in place and
    shapes are fixed, so that a GPU may capture it.
    """

    cfg: ExteroceptionCfg

    def __init__(self, cfg: ExteroceptionCfg) -> None:
        super().__init__()
        self.cfg = cfg

    def edit_spec(self, scene_spec: mujoco.MjSpec, entities: dict[str, Entity]) -> None:
        """Nothing is added to the model."""

    def initialize(
        self, mj_model: mujoco.MjModel, model: mjwarp.Model, data: mjwarp.Data, device: str
    ) -> None:
        """Nothing is there to look at yet; see :meth:`attach`."""

    def attach(self, env: AmpVaeEnv) -> None:
        """Take the environment that is looked at.

        Raises:
            UserError: A scan takes less than a control step, a map more than from scan to scan, or
                cells are forgotten before the next map may be there.
        """
        cfg, self._env = self.cfg, env
        num_envs, device = env.num_envs, env.device
        self._period = round(1.0 / (cfg.rate * env.step_dt))
        if self._period < 1:
            raise UserError(
                f"env.scene.sensors.{cfg.name}.rate is {cfg.rate:g}; there are only "
                f"{1.0 / env.step_dt:g} control steps a second"
            )
        apart = self._period * env.step_dt
        if cfg.errors.max_delay > apart:
            raise UserError(
                f"env.scene.sensors.{cfg.name}.errors.max_delay is {cfg.errors.max_delay:g} s; it "
                f"must be at most the {apart:g} s from scan to scan: one map is under way at a time"
            )
        latest = apart + cfg.errors.max_delay
        if 0.0 < cfg.keep < latest:
            raise UserError(
                f"env.scene.sensors.{cfg.name}.keep is {cfg.keep:g} s; until the next map is there "
                f"may take {latest:g} s: keep cells at least as long, or 0 for the latest map alone"
            )
        self.sight = LineOfSight(cfg.map, cfg.lidars, env)
        self._cells = self.sight.cells
        self._scanned = torch.arange(0, num_envs, self._period, device=device)

        def zeros(*shape: int) -> torch.Tensor:
            return torch.zeros(num_envs, *shape, device=device)

        self._map, self._pose = zeros(2, cfg.map.num_cells), zeros(4)
        # The row behind the last takes what is scanned of robots that there are not.
        self._under_way = torch.zeros(num_envs + 1, 2, cfg.map.num_cells, device=device)
        self._pose_under_way = torch.zeros(num_envs + 1, 4, device=device)
        self._age = torch.full((num_envs + 1,), _NEVER, device=device)
        self._delay, self._time = zeros(), zeros()
        self._drift, self._elsewhere = zeros(3), zeros(2)
        most = (cfg.errors.drift_xy, cfg.errors.drift_xy, cfg.errors.drift_z)
        self._most_drift = torch.tensor(most, device=device)
        self._fails_until = zeros()
        self._is_wrong = zeros().bool()
        self._turn = torch.zeros((), dtype=torch.long, device=device)
        self._is_due = torch.zeros((), dtype=torch.bool, device=device)
        self._memory = GroundMemory(cfg.map, cfg.keep, num_envs, device) if cfg.keep else None
        self.reset()

    def reset(self, env_ids: torch.Tensor | slice | None = None) -> None:
        """Begin episodes: nothing has been seen, and errors are others."""
        super().reset(env_ids)
        if not hasattr(self, "_env"):
            return
        ids = slice(None) if env_ids is None else env_ids
        self._map[ids] = 0.0
        self._age[:-1][ids] = _NEVER
        self._delay[ids] = self.cfg.errors.max_delay * torch.rand_like(self._delay[ids])
        self._drift[ids] = self._most_drift * (2.0 * torch.rand_like(self._drift[ids]) - 1.0)
        self._time[ids] = 0.0
        self._fails_until[ids] = 0.0
        if self._memory is not None:
            self._memory.reset(ids)

    def update(self, dt: float) -> None:
        """A physics step has passed; what follows from all of a control step is done when asked."""
        super().update(dt)
        self._is_due.fill_(True)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Maps, those under way, errors of the running episodes, and whose turn it is."""
        kept = {} if self._memory is None else self._memory.state_dict()
        return {
            "map": self._map,
            "under_way": self._under_way,
            "pose": self._pose,
            "pose_under_way": self._pose_under_way,
            "age": self._age,
            "delay": self._delay,
            "time": self._time,
            "drift": self._drift,
            "elsewhere": self._elsewhere,
            "fails_until": self._fails_until,
            "is_wrong": self._is_wrong,
            "turn": self._turn,
            "is_due": self._is_due,
            **{f"kept_{name}": part for name, part in kept.items()},
        }

    def true_heights(self) -> torch.Tensor:
        """What a perfect map would say now [m]. Shape (num_envs, cells)."""
        position = base_pos_w(self._env)
        places = grid_w(self._cells, position, self._env.robot_heading())
        return self._env.height_map.heights(places) - position[:, 2:] + self.cfg.map.reference

    def _compute_data(self) -> ExteroceptionData:
        passed = self._is_due * self._env.step_dt
        self._time += passed
        self._age += passed
        arrived = self._is_due & (self._age[:-1] >= self._delay)
        torch.where(arrived[:, None, None], self._under_way[:-1], self._map, out=self._map)
        torch.where(arrived[:, None], self._pose_under_way[:-1], self._pose, out=self._pose)
        self._scan()
        self._turn.add_(self._is_due).remainder_(self._period)
        self._is_due.fill_(False)
        latest = self._moved_along()
        return latest if self._memory is None else self._with_kept(latest, self._memory)

    def _moved_along(self) -> ExteroceptionData:
        """The latest maps, in the frame of the robots now."""
        position, heading = base_pos_w(self._env), self._env.robot_heading()
        way, rise = (position - self._pose[:, :3]).split((2, 1), dim=-1)
        origin = turned(way, -self._pose[:, 3])
        turn = heading - self._pose[:, 3]
        places = origin[:, None] + turned(self._cells, turn[:, None])
        heights, seen = read_maps(self.cfg.map, self._map, places)
        return ExteroceptionData((heights - rise) * seen, seen)

    def _with_kept(self, latest: ExteroceptionData, memory: GroundMemory) -> ExteroceptionData:
        """The latest maps, and behind them what was seen before."""
        position = base_pos_w(self._env)
        places = grid_w(self._cells, position, self._env.robot_heading())
        before, is_known = memory.recall(places, self._time)
        is_seen = latest.seen > 0.5
        before = torch.where(is_known, before - position[:, 2:], 0.0)
        return ExteroceptionData(
            torch.where(is_seen, latest.heights, before), (is_seen | is_known).float()
        )

    def _scan(self) -> None:
        """Scan the robots whose turn it is."""
        last = len(self._delay)
        ids = (self._scanned + self._turn).clamp(max=last)
        robots = ids.clamp(max=last - 1)
        env, errors = self._env, self.cfg.errors
        position = env.sim.data.xpos[robots, env.index.base_body_global]
        rotation = matrix_from_quat(env.sim.data.xquat[robots, env.index.base_body_global])
        heading = torch.atan2(rotation[:, 1, 0], rotation[:, 0, 0])
        if self._memory is not None:
            # The latest map, which the next one will replace, is of the scan that this one follows.
            rows = torch.where(self._is_due, ids, last)
            sighted = self._time[robots] - self._age[robots]
            self._memory.store(rows, self._map[robots], self._pose[robots], sighted, position)
        places = grid_w(self._cells, position, heading)
        ground = env.height_map.heights(places)
        seen = self.sight.seen(robots, position, rotation, places, ground)

        fails, is_wrong = self._draw_failures(robots, ids < last)
        grown = (self._time[robots] / errors.drift_time).clamp(max=1.0)[:, None]
        drift = grown * self._drift[robots]
        shift = drift[:, :2] + torch.where(is_wrong[:, None], self._elsewhere[robots], 0.0)
        found = env.height_map.heights(places + shift[:, None])
        # Another place is seen from as high above its own ground.
        moved = env.height_map.heights(position[:, :2] + shift) - env.height_map.heights(
            position[:, :2]
        )
        base = position[:, 2] + torch.where(is_wrong, moved, 0.0)
        heights = found - base[:, None] + self.cfg.map.reference + drift[:, 2:]
        heights = heights + errors.noise * torch.randn_like(heights)
        low, high = errors.dropped
        dropped = low + (high - low) * torch.rand_like(base)
        is_kept = torch.rand_like(heights) >= dropped[:, None]
        seen = seen & is_kept & ~(fails & ~is_wrong)[:, None]
        scan = torch.stack((torch.where(seen, heights, 0.0), seen.float()), dim=1)
        self._under_way[ids] = torch.where(self._is_due, scan, self._under_way[ids])
        pose = torch.cat((position, heading[:, None]), dim=-1)
        self._pose_under_way[ids] = torch.where(self._is_due, pose, self._pose_under_way[ids])
        self._age[ids] = torch.where(self._is_due, 0.0, self._age[ids])

    def _draw_failures(
        self, robots: torch.Tensor, are_there: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Whose maps fail now, and whose show another place, shape (B,) each.

        Args:
            robots: Indices, shape (B,).
            are_there: Which of them are scanned; the others stand in, and nothing happens to them.
                Shape (B,).
        """
        errors, now = self.cfg.errors, self._time[robots]
        fails = self._fails_until[robots] > now
        share = self._period * self._env.step_dt / errors.failure_interval
        begins = ~fails & (torch.rand_like(now) < share) & self._is_due & are_there
        low, high = errors.failure_time
        until = now + low + (high - low) * torch.rand_like(now)
        wrong = torch.rand_like(now) < errors.wrong_share
        elsewhere = errors.wrong_distance * (2.0 * torch.rand_like(self._elsewhere[robots]) - 1.0)
        self._fails_until[robots] = torch.where(begins, until, self._fails_until[robots])
        self._is_wrong[robots] = torch.where(begins, wrong, self._is_wrong[robots])
        self._elsewhere[robots] = torch.where(begins[:, None], elsewhere, self._elsewhere[robots])
        fails = fails | begins
        return fails, fails & self._is_wrong[robots]


# Observation terms.


def seen_heights(env: AmpVaeEnv, *, sensor_name: str) -> torch.Tensor:
    """Heights of the robot's latest map [m]; 0 where unseen. Shape (num_envs, cells)."""
    return env.scene[sensor_name].data.heights


def seen_cells(env: AmpVaeEnv, *, sensor_name: str) -> torch.Tensor:
    """Which cells of the latest map are known. Shape (num_envs, cells)."""
    return env.scene[sensor_name].data.seen


def terrain_heights(env: AmpVaeEnv, *, sensor_name: str) -> torch.Tensor:
    """What a perfect map would say now [m]. Shape (num_envs, cells)."""
    return env.scene[sensor_name].true_heights()
