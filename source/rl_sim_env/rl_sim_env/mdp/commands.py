"""Velocity commands whose ranges belong to the terrain under the robot."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import torch
from mjlab.managers.command_manager import CommandTerm, CommandTermCfg
from mjlab.utils.lab_api.math import wrap_to_pi

from rl_sim_env.configuration.limits import ASCENDING, NOT_NEGATIVE, POSITIVE, SHARE, Range
from rl_sim_env.errors import UserError
from rl_sim_env.geometry import turned
from rl_sim_env.mdp.observations import base_ang_vel_z, base_lin_vel_xy
from rl_sim_env.typed import typed

if TYPE_CHECKING:
    from mjlab.viewer.debug_visualizer import DebugVisualizer

    from rl_sim_env.envs import AmpVaeEnv


@dataclass(kw_only=True)
class TerrainCommandRanges:
    """Command ranges on one terrain family, growing from ``start`` to ``final`` with the level."""

    lin_vel_x_start: Range
    """Forward velocity at level 0 [m/s]."""
    lin_vel_x_final: Range
    """Forward velocity at level 1 [m/s]."""
    lin_vel_y_start: Range
    """Lateral velocity at level 0 [m/s]."""
    lin_vel_y_final: Range
    """Lateral velocity at level 1 [m/s]."""
    ang_vel_z_start: Range
    """Yaw rate at level 0 [rad/s]."""
    ang_vel_z_final: Range
    """Yaw rate at level 1 [rad/s]."""

    @classmethod
    def constant(cls, lin_vel_x: Range, lin_vel_y: Range, ang_vel_z: Range) -> TerrainCommandRanges:
        """The same ranges at every level.

        Args:
            lin_vel_x: Forward velocity [m/s].
            lin_vel_y: Lateral velocity [m/s].
            ang_vel_z: Yaw rate [rad/s].
        """
        return cls(
            lin_vel_x_start=lin_vel_x,
            lin_vel_x_final=lin_vel_x,
            lin_vel_y_start=lin_vel_y,
            lin_vel_y_final=lin_vel_y,
            ang_vel_z_start=ang_vel_z,
            ang_vel_z_final=ang_vel_z,
        )


@dataclass(kw_only=True)
class TerrainVelocityCommandCfg(CommandTermCfg):
    """Velocity command per terrain family."""

    terrains: dict[str, TerrainCommandRanges]
    """Ranges by the name of the terrain family."""

    heading: Range = (-torch.pi / 2, torch.pi / 2)
    """Heading targets [rad], relative to the heading when the command is drawn."""

    heading_gain: Annotated[float, NOT_NEGATIVE] = 0.5
    """Yaw rate per heading error [1/s]."""

    heading_prob: Annotated[float, SHARE] = 0.9
    """Share of commands that give a heading instead of a yaw rate."""

    yaw_only_prob: Annotated[float, SHARE] = 0.1
    """Share of commands that turn on the spot."""

    standing_prob: Annotated[float, SHARE] = 0.05
    """Share of commands to stand still."""

    min_lin_vel: Annotated[float, NOT_NEGATIVE] = 0.1
    """Horizontal commands below this speed [m/s] become zero."""

    min_ang_vel: Annotated[float, NOT_NEGATIVE] = 0.1
    """Yaw rate commands below this rate [rad/s] become zero when the horizontal command is zero."""

    tracking_std: Annotated[float, POSITIVE] = 0.5
    """Horizontal velocity error [m/s] at which the tracking of a step has fallen to 1/e."""

    viz_height: float = 0.4
    """Height above the base at which the viewer draws the arrows [m]."""

    resampling_time_range: Annotated[tuple[float, float], POSITIVE, ASCENDING] = (10.0, 10.0)
    """Time between two draws [s]."""

    debug_vis: bool = True
    """Draw commanded and actual velocity in the viewer."""

    def build(self, env: AmpVaeEnv) -> TerrainVelocityCommand:  # type: ignore[override]
        """Build the term."""
        return TerrainVelocityCommand(self, env)


class TerrainVelocityCommand(CommandTerm):
    """Draws (vx, vy, yaw rate) from the ranges of each environment's terrain family.

    Attributes:
        level: Curriculum level of each family in [0, 1]. Shape (num_families,).
        family: Index of each environment's family. Shape (num_envs,).
        commanded_distance: Distance commanded in this episode [m]. Shape (num_envs,).
        progress: Distance moved along the command in this episode [m]. Shape (num_envs,).
        steps: Steps of this episode that were judged. Shape (num_envs,).
        tracking: Sum of exp(-error^2 / tracking_std^2) of the horizontal velocity over the judged
            steps of this episode. Shape (num_envs,).
    """

    cfg: TerrainVelocityCommandCfg

    def __init__(self, cfg: TerrainVelocityCommandCfg, env: AmpVaeEnv) -> None:
        super().__init__(cfg, env)
        self._env: AmpVaeEnv = env
        self.family_names = env.terrain_types.names
        unknown = [name for name in self.family_names if name not in cfg.terrains]
        if unknown:
            raise UserError(
                f"no command ranges for terrain {', '.join(unknown)}; "
                f"there are ranges for {', '.join(cfg.terrains)}"
            )
        ranges = [cfg.terrains[name] for name in self.family_names]

        def table(*fields: str) -> torch.Tensor:
            rows = [[getattr(r, name) for name in fields] for r in ranges]
            return torch.tensor(rows, device=self.device)  # (family, field, low/high)

        self._start = table("lin_vel_x_start", "lin_vel_y_start", "ang_vel_z_start")
        self._final = table("lin_vel_x_final", "lin_vel_y_final", "ang_vel_z_final")
        self.level = torch.zeros(len(ranges), device=self.device)

        def per_env(*shape: int, dtype: torch.dtype = torch.float) -> torch.Tensor:
            return torch.zeros(self.num_envs, *shape, device=self.device, dtype=dtype)

        self._command = per_env(3)
        self._heading_target = per_env()
        self._is_heading = per_env(dtype=torch.bool)
        self._is_yaw_only = per_env(dtype=torch.bool)
        self._is_standing = per_env(dtype=torch.bool)
        self.commanded_distance = per_env()
        self.progress = per_env()
        self.tracking = per_env()
        self.metrics["error_vel_xy"] = per_env()
        self.metrics["error_vel_yaw"] = per_env()
        self.steps = per_env()
        self._steered: torch.Tensor | None = None

    @property
    def command(self) -> torch.Tensor:
        """(vx, vy, yaw rate) in the base frame [m/s, m/s, rad/s]. Shape (num_envs, 3)."""
        return self._command

    @property
    def is_moving(self) -> torch.Tensor:
        """Whether the command is not zero. Shape (num_envs,)."""
        return self._command.any(dim=-1)

    @property
    def family(self) -> torch.Tensor:
        """Index of each environment's terrain family. Shape (num_envs,)."""
        return self._env.terrain_types.ids

    @property
    def ranges(self) -> torch.Tensor:
        """Ranges at the current levels. Shape (num_families, 3, 2): vx, vy, yaw rate; low, high."""
        return torch.lerp(self._start, self._final, self.level[:, None, None])

    def reset(self, env_ids: torch.Tensor | slice | None) -> dict[str, float]:
        """Clear the episode's statistics and draw anew."""
        assert isinstance(env_ids, torch.Tensor)
        self._clear_statistics(env_ids)
        self.command_counter[env_ids] = 0
        self._resample_command(env_ids)
        return {}

    def _clear_statistics(self, env_ids: torch.Tensor | slice) -> None:
        sums = (self.steps, self.commanded_distance, self.progress, self.tracking)
        for value in (*sums, *self.metrics.values()):
            value[env_ids] = 0.0

    def _update_metrics(self) -> None:
        velocity = base_lin_vel_xy(self._env)
        error = (self._command[:, :2] - velocity).norm(dim=-1)
        yaw_error = (self._command[:, 2:] - base_ang_vel_z(self._env)).abs().squeeze(-1)
        # A fresh episode has no past step to judge.
        counts = (self._env.episode_length_buf > 0).float()
        self.metrics["error_vel_xy"] += counts * error
        self.metrics["error_vel_yaw"] += counts * yaw_error
        self.steps += counts
        speed = self._command[:, :2].norm(dim=-1)
        along = (self._command[:, :2] * velocity).sum(dim=-1) / speed.clamp(min=1e-6)
        self.commanded_distance += counts * speed * self._env.step_dt
        self.progress += counts * torch.minimum(along, speed) * self._env.step_dt
        self.tracking += counts * torch.exp(-error.square() / self.cfg.tracking_std**2)

    def _resample_command(self, env_ids: torch.Tensor) -> None:
        due = torch.zeros_like(self._is_heading)
        due[env_ids] = True
        self._draw(due)

    def _draw(self, due: torch.Tensor) -> None:
        """Draw anew where it is due, a mask: all draw, so that nothing waits for the device."""
        low, high = self.ranges[self.family].unbind(dim=-1)
        command = low + (high - low) * torch.rand_like(low)
        heading, *shares, duration = torch.rand(5, self.num_envs, device=self.device)
        heading_low, heading_high = self.cfg.heading
        target = self._env.robot_heading() + heading_low + (heading_high - heading_low) * heading
        probabilities = (self.cfg.heading_prob, self.cfg.yaw_only_prob, self.cfg.standing_prob)
        is_heading, is_yaw_only, is_standing = (
            share < probability for share, probability in zip(shares, probabilities, strict=True)
        )
        # What does not change until the next draw is settled here, the heading in every step.
        slow = command[:, :2].norm(dim=-1) < self.cfg.min_lin_vel
        no_translation = slow | is_yaw_only | is_standing
        command[:, :2] = torch.where(no_translation[:, None], 0.0, command[:, :2])
        command[:, 2] = torch.where(is_standing, 0.0, command[:, 2])
        shortest, longest = self.cfg.resampling_time_range
        for value, drawn in (
            (self._command, command),
            (self._heading_target, wrap_to_pi(target)),
            (self._is_heading, is_heading),
            (self._is_yaw_only, is_yaw_only),
            (self._is_standing, is_standing),
            (self.time_left, shortest + (longest - shortest) * duration),
            (self.command_counter, self.command_counter + 1),
        ):
            where = due[:, None] if value.ndim > 1 else due
            torch.where(where, drawn, value, out=value)

    def _update_command(self, env_ids: torch.Tensor | None) -> None:
        del env_ids  # A function of the present state: harmless for all.
        error = wrap_to_pi(self._heading_target - self._env.robot_heading())
        low, high = self.ranges[self.family][:, 2].unbind(dim=-1)
        toward_heading = torch.clamp(self.cfg.heading_gain * error, low, high)
        # Turning on the spot means a yaw rate, not the last degrees of a heading.
        steers = self._is_heading & ~self._is_standing & ~self._is_yaw_only
        yaw = torch.where(steers, toward_heading, self._command[:, 2])
        idle = (self._command[:, :2] == 0.0).all(dim=-1) & (yaw.abs() < self.cfg.min_ang_vel)
        self._command[:, 2] = torch.where(idle, 0.0, yaw)

    def set_constant(self, command: tuple[float, float, float] | torch.Tensor) -> None:
        """Hold one command (or one per environment) until the next draw.

        Args:
            command: (vx, vy, yaw rate) [m/s, m/s, rad/s]; a tensor has shape (num_envs, 3).
        """
        self._command[:] = torch.as_tensor(command, device=self.device)
        self._is_heading[:] = False
        self._is_yaw_only[:] = False
        self._is_standing[:] = False
        self.time_left[:] = torch.inf

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The levels, and what the running episodes have of their own."""
        return {
            "level": self.level,
            "command": self._command,
            "heading_target": self._heading_target,
            "is_heading": self._is_heading,
            "is_yaw_only": self._is_yaw_only,
            "is_standing": self._is_standing,
            "time_left": self.time_left,
            "counter": self.command_counter,
            "steps": self.steps,
            "commanded_distance": self.commanded_distance,
            "progress": self.progress,
            "tracking": self.tracking,
            **self.metrics,
        }

    def training_state(self) -> dict[str, dict[str, float]]:
        """What a resumed run needs: the level of each family by name."""
        return {"level": dict(zip(self.family_names, self.level.tolist(), strict=True))}

    def load_training_state(self, state: dict[str, dict[str, float]]) -> None:
        """Restore :meth:`training_state`; families that it does not know keep their level.

        Raises:
            UserError: It is of another form.
        """
        levels = typed(state.get("level"), dict[str, float], "command.level")
        for index, name in enumerate(self.family_names):
            if not math.isfinite(level := levels.get(name, 0.0)):
                raise UserError(f"command.level.{name} is {level}; it must be finite")
            if name in levels:
                self.level[index] = level
        # What the running episodes have shown so far was under other levels.
        self._clear_statistics(slice(None))

    # Viewer.

    def steer(self, command: torch.Tensor | None) -> None:
        """Have somebody take over commands, from the next step on.

        Args:
            command: (vx, vy, yaw rate) [m/s, m/s, rad/s]; NaN where it stays as drawn. Shape
                (num_envs, 3). The tensor is kept: what is written into it later counts, in steps
                that a GPU has captured, too. None: nobody steers.
        """
        self._steered = command

    def compute(self, dt: float | torch.Tensor, env_ids: torch.Tensor | None = None) -> None:
        """Advance by ``dt`` [s]; whoever steers has the last word."""
        self._update_metrics()
        self.time_left[slice(None) if env_ids is None else env_ids] -= dt
        self._draw(self.time_left <= 0.0)
        self._update_command(env_ids)
        if (steered := self._steered) is not None:
            torch.where(steered.isnan(), self._command, steered, out=self._command)

    def _debug_vis_impl(self, visualizer: DebugVisualizer) -> None:
        env_ids = visualizer.get_env_indices(self.num_envs)
        robot = self._env.robot.data
        position = robot.root_link_pos_w.cpu().numpy()
        heading = self._env.robot_heading()
        arrows = [
            (turned(velocity[:, :2], heading).cpu().numpy(), color)
            for velocity, color in (
                (self._command, (0.2, 0.4, 1.0, 0.8)),
                (robot.root_link_lin_vel_b, (0.1, 0.8, 0.4, 0.8)),
            )
        ]
        for env_id in env_ids:
            start = position[env_id].copy()
            start[2] += self.cfg.viz_height
            for velocity, color in arrows:
                end = start.copy()
                end[:2] += velocity[env_id]
                visualizer.add_arrow(start, end, color=color, width=0.02)
