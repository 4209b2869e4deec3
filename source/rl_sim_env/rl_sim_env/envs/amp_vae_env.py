"""mjlab's manager-based environment with what AMP and the context VAE need beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from mjlab.envs import ManagerBasedRlEnv
from mjlab.envs.types import VecEnvStepReturn
from mjlab.managers.action_manager import ActionManager
from mjlab.managers.command_manager import CommandManager
from mjlab.managers.metrics_manager import MetricsManager, NullMetricsManager
from mjlab.managers.recorder_manager import NullRecorderManager, RecorderManager
from mjlab.sensor import ContactSensor

from rl_sim_env.cuda_graphs import GraphedCallable, fork_join, overlapping
from rl_sim_env.envs.config import AmpVaeEnvCfg
from rl_sim_env.envs.constraint_monitor import ConstraintMonitor
from rl_sim_env.envs.episode_meter import EpisodeMeter, Totals
from rl_sim_env.envs.failure_dump import FailureDump
from rl_sim_env.envs.managers import (
    DeviceCurriculumManager,
    DeviceEventManager,
    DeviceRewardManager,
    DeviceTerminationManager,
)
from rl_sim_env.envs.observation_manager import StackedObservationManager
from rl_sim_env.envs.selection import EnvSelector
from rl_sim_env.errors import UserError
from rl_sim_env.learning.training_env import Breakdowns
from rl_sim_env.mdp.actions import fill_bounds, leg_targets
from rl_sim_env.mdp.buried_feet import BuriedFeet
from rl_sim_env.mdp.commands import TerrainVelocityCommand
from rl_sim_env.mdp.exteroception import Exteroception
from rl_sim_env.robots import RobotIndex
from rl_sim_env.robots.leg_drive import LegDrive
from rl_sim_env.simulation import WarpSimulation
from rl_sim_env.simulation.backend import simulation_class, use_simulation
from rl_sim_env.terrains import HeightMap, TerrainTypes

if TYPE_CHECKING:
    from mjlab.entity import Entity

    from rl_sim_env.learning.layout import ObservationLayout
    from rl_sim_env.simulation import NativeSimulation


_FARTHEST = 1e5
"""No ground is as large [m], and no joint turns as far [rad]."""


class AmpVaeEnv(ManagerBasedRlEnv):
    """Quadruped environment on CPU (native MuJoCo) or CUDA (MuJoCo Warp), for any learner.

    It is named after the algorithm that it was made for: saved runs and task ids carry the name.
    Differs from mjlab's environment in one thing that learning depends on: the state s_{t+1} is
    made current *before* rewards, terminations and resets, so that rewards judge it and not the
    state one physics step earlier, and so that the true terminal observation exists. It is reported
    in ``extras["terminal_obs"]`` for all environments. Contacts are those of the last physics step,
    which led to that state.

    Attributes:
        robot: The robot entity.
        index: Indices of the robot's named parts.
        terrain: The ground.
        height_map: Ground height anywhere.
        terrain_types: Terrain family of each environment.
        nominal_mass: Mass of the robot without load [kg].
        default_leg_joint_pos: Default pose [rad]. Shape (num_envs, num_leg_joints).
        leg_drive: The actuators of the leg joints.
        leg_speed_limits: No-load speeds of leg joints [rad/s]. Shape (num_envs, num_leg_joints).
        leg_effort_limits: Largest torques of leg joints [N m]. Shape (num_envs, num_leg_joints).
        constraint_monitor: How close robots come to their limits.
        buried_feet: Counts feet that are stuck in the ground.
        foot_contact_order: Columns of the feet's contact sensor in the order of the legs.
        num_robots: Number of environments that count: all but the padding of fixed shapes.
        selector: Lists the environments that something is to happen to.
        transition_terms: What extras report, besides, of the state s_{t+1} before resets, by name;
            functions of the environment, shape (num_envs, width) each, 0 where the state is broken.
            To be filled before the first step.
    """

    cfg: AmpVaeEnvCfg
    sim: NativeSimulation | WarpSimulation
    observation_manager: StackedObservationManager
    curriculum_manager: DeviceCurriculumManager
    reward_manager: DeviceRewardManager
    episode_length_buf: torch.Tensor

    def __init__(
        self, cfg: AmpVaeEnvCfg, device: str, render_mode: str | None = None, **kwargs: Any
    ) -> None:
        cfg.check()
        self.num_robots = cfg.scene.num_envs
        self.transition_terms: dict[str, Callable[[AmpVaeEnv], torch.Tensor]] = {}
        scene = cfg.complete_scene()
        if cfg.fixed_shapes:
            scene = replace(scene, num_envs=self.num_robots + 1)
        padded_cfg = replace(cfg, scene=scene)
        with use_simulation(simulation_class(device)):
            super().__init__(padded_cfg, device, render_mode, **kwargs)
        self._run_step = self._step
        if cfg.fixed_shapes and isinstance(self.sim, WarpSimulation):
            # Some robot is reset in nearly every step, which would compute the weights of all anew.
            self.sim.defers_inverse_weights = True
            if cfg.capture_step:
                self._run_step = GraphedCallable(
                    self._step,
                    what="the control step",
                    setting="env.capture_step",
                    around=self._capturing,
                )
        # A run saves the configuration that was asked for, without the padding environment.
        cfg.seed = padded_cfg.seed
        self.cfg = cfg

    # What the terms read.

    @property
    def velocity_command(self) -> TerrainVelocityCommand:
        """The velocity command term."""
        return cast("TerrainVelocityCommand", self.command_manager.get_term(self.cfg.command_name))

    @property
    def observation_layout(self) -> ObservationLayout:
        """Names, widths and scales of all observation terms."""
        return self.observation_manager.layout()

    def robot_heading(self) -> torch.Tensor:
        """Yaw of the base in the world [rad], current at any time. Shape (num_envs,)."""
        quat = self.sim.data.qpos[:, self.index.base_quat_global]
        w, x, y, z = quat.unbind(dim=-1)
        return torch.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y.square() + z.square()))

    # Life cycle.

    def load_managers(self) -> None:
        """Set up what the terms read, then the managers."""
        self.robot: Entity = self.scene["robot"]
        self.index = RobotIndex(self.robot, self.cfg.robot, self.device)
        self.default_leg_joint_pos = self.robot.data.default_joint_pos[:, self.index.leg_joints]
        self.nominal_mass = float(
            self.sim.mj_model.body_mass[self.index.bodies_global.cpu().numpy()].sum()
        )
        self.leg_drive = self._find_leg_drive()
        columns = [self.leg_drive.target_names.index(name) for name in self.cfg.robot.leg_joints]
        self.leg_speed_limits = self.leg_drive.velocity_limit_motor[:, columns]
        self.leg_effort_limits = self.leg_drive.default_force_limit[:, columns]
        assert self.scene.terrain is not None, "the task needs ground"
        self.terrain = self.scene.terrain
        self.terrain_types = TerrainTypes(self.terrain)
        self.height_map = HeightMap.from_model(
            self.sim.mj_model, resolution=self.cfg.height_map_resolution, device=self.device
        )
        for sensor in self.scene.sensors.values():
            if isinstance(sensor, Exteroception):
                sensor.attach(self)
        feet_sensor = self.scene.sensors[self.cfg.feet_contact_sensor]
        assert isinstance(feet_sensor, ContactSensor)
        # The sensor lists the feet in the model's order.
        self.foot_contact_order = torch.tensor(
            [feet_sensor.primary_names.index(geom) for geom in self.cfg.robot.foot_geoms],
            device=self.device,
        )
        capacity = math.ceil(self.cfg.reset_share * self.num_robots)
        self.selector = EnvSelector(
            self.num_robots, capacity if self.cfg.fixed_shapes else None, self.device
        )
        self._load_managers()
        self.constraint_monitor = ConstraintMonitor(self)
        self.buried_feet = BuriedFeet(self)
        self._failures = FailureDump(self)
        self._episode_meter = EpisodeMeter()
        style = self.cfg.style.terrain_scale
        self._style_scale_of_family = torch.tensor(
            [style.get(name, 1.0) for name in self.terrain_types.names], device=self.device
        )

    def _load_managers(self) -> None:
        """Build the managers, some of them ours, in mjlab's order: terms read earlier managers."""
        cfg = self.cfg
        self.event_manager = DeviceEventManager(cfg.events, self)
        self.sim.expand_model_fields(self.event_manager.domain_randomization_fields)
        self.command_manager = CommandManager(cfg.commands, self)
        fill_bounds(self)
        self.action_manager = ActionManager(cfg.actions, self)
        self.observation_manager = StackedObservationManager(
            cfg.observations, self, cfg.frame_stacks, cfg.observation_clip, self.num_robots
        )
        self.termination_manager = DeviceTerminationManager(cfg.terminations, self)
        self.reward_manager = DeviceRewardManager(
            cfg.rewards, self, scale_by_dt=cfg.scale_rewards_by_dt, largest=cfg.largest_reward
        )
        self.curriculum_manager = DeviceCurriculumManager(cfg.curriculum, self)
        self.metrics_manager = (
            MetricsManager(cfg.metrics, self) if cfg.metrics else NullMetricsManager()
        )
        self.recorder_manager = (
            RecorderManager(cfg.recorders, self) if cfg.recorders else NullRecorderManager()
        )
        self._configure_gym_env_spaces()
        if "startup" in self.event_manager.available_modes:
            self.event_manager.apply(mode="startup")

    def _find_leg_drive(self) -> LegDrive:
        legs = set(self.cfg.robot.leg_joints)
        for actuator in self.robot.actuators:
            if isinstance(actuator, LegDrive) and set(actuator.target_names) == legs:
                return actuator
        raise UserError(
            "scene.entities.robot: no LegDrive among its actuators drives exactly the leg joints "
            f"of {self.cfg.robot.name}; take what rl_sim_env.robots.entity_cfg makes of a robot"
        )

    def step(self, action: torch.Tensor) -> VecEnvStepReturn:
        """Run one control step; see mjlab's environment.

        Args:
            action: Raw actions. Shape (num_envs, num_actions).

        Returns:
            Observations, rewards, terminated, time-outs, extras. Extras hold ``terminal_obs``: the
            groups of ``cfg.terminal_groups`` in the state s_{t+1}, before resets and pushes,
            ``state_is_valid``: whose state that is no wreck of the physics, and ``style_scale``:
            the factor of the style reward, shape (num_envs,) each; and ``margins``, how far the
            step is beyond each limit; see :class:`ConstraintMonitor`.
        """
        self._sim_step_counter += self.cfg.decimation
        if (
            isinstance(self.sim, WarpSimulation)
            and self.sim.defers_inverse_weights
            and self.common_step_counter % self.cfg.inverse_weight_interval == 0
        ):
            self.sim.recompute_inverse_weights()
        self.common_step_counter += 1
        returned = self._run_step(self._pad_action(action.to(self.device)))
        if self._run_step != self._step:
            # A replay computes new sensor data behind the back of the sensors' caches.
            for sensor in self.scene.sensors.values():
                sensor._invalidate_cache()
        return returned

    @contextmanager
    def _capturing(self) -> Iterator[None]:
        assert isinstance(self.sim, WarpSimulation)
        with self.sim.capturing(), overlapping() if self.cfg.overlap else nullcontext():
            yield

    def _step(self, action: torch.Tensor) -> VecEnvStepReturn:
        """What a step does on the device; nothing else may change from step to step.

        A subclass that needs more extends one of the phases.
        """
        self._failures.begin_step()
        self._advance_physics(action)
        reset_ids = self._judge()
        self._apply_events()
        self._begin_episodes(reset_ids)
        self._observe(reset_ids)
        return (
            self.obs_buf,
            self.reward_buf,
            self.reset_terminated,
            self.reset_time_outs,
            self.extras,
        )

    def _advance_physics(self, action: torch.Tensor) -> None:
        """Act, and let the physics steps of a control step pass: s_t becomes s_{t+1}."""
        if (targets := leg_targets(self)) is not None:
            action = targets.bound(action, self.action_manager.action)
        self.action_manager.process_action(action)
        self.constraint_monitor.begin_step()
        self._write_controls()
        for remaining in reversed(range(self.cfg.decimation)):
            self.sim.step()
            if remaining:
                fork_join(self._update_sensors, self._write_controls)
            else:
                self._update_sensors()
        self.episode_length_buf += 1
        self._read_contacts()
        self.sim.refresh()

    def _judge(self) -> torch.Tensor:
        """Terminations, rewards and the true terminal observation of s_{t+1}.

        Returns:
            Whose episode ends now, as :attr:`selector` lists it.
        """
        due = self.termination_manager.compute()
        state_is_valid = self.state_is_valid()
        # A broken robot that had to wait would show its state to the networks.
        reset_ids = self.selector.select(due, urgent=~state_is_valid)
        self.reset_terminated = self.termination_manager.terminated
        self.reset_time_outs = self.termination_manager.time_outs
        self.reset_buf = self.selector.admitted(due, reset_ids)
        # In place: terms ask the manager.
        self.reset_terminated &= self.reset_buf
        self.reset_time_outs &= self.reset_buf
        self.reward_buf, *_ = fork_join(
            lambda: self.reward_manager.compute_where(state_is_valid, self.step_dt),
            lambda: self._report_transition(state_is_valid),
            self.buried_feet.watch,
        )
        self.metrics_manager.compute()
        if len(reset_ids) > 0:
            self._failures.end_step(~state_is_valid & self.reset_buf)
        return reset_ids

    def _apply_events(self) -> None:
        """What happens to robots in mid-walk: pushes, changes of load."""
        for mode in ("step", "interval"):
            if mode in self.event_manager.available_modes:
                self.event_manager.apply(mode=mode, dt=self.step_dt)

    def _begin_episodes(self, reset_ids: torch.Tensor) -> None:
        """Log the episodes that end, and begin new ones."""
        self._command_dt.fill_(self.step_dt)
        if len(reset_ids) > 0:
            self._log_episodes()
            self.recorder_manager.record_pre_reset(reset_ids)
            self._reset_idx(reset_ids)
            self._write_first_controls()
            self._command_dt[reset_ids] = 0.0

    def _observe(self, reset_ids: torch.Tensor) -> None:
        """Commands and observations of the state that the next step acts on."""
        # What resets and pushes have written becomes visible.
        self.sim.refresh()
        self.command_manager.compute(dt=self._command_dt)
        # Rays and cameras, once a step: a terminal observation has the view of a step before.
        self.sim.sense()
        self.obs_buf = self.observation_manager.compute(update_history=True)
        if len(reset_ids) > 0:
            self.recorder_manager.record_post_reset(reset_ids)
        self.recorder_manager.record_post_step()

    def _write_controls(self) -> None:
        self.action_manager.apply_action()
        self.scene.write_data_to_sim()

    def _update_sensors(self) -> None:
        self.scene.update(dt=self.physics_dt)
        self.constraint_monitor.after_physics_step()
        self.metrics_manager.compute_substep()

    def _read_contacts(self) -> None:
        """Have the contact sensors keep the contacts of the last physics step for this step.

        A refresh of native MuJoCo would look for contacts anew, one of MuJoCo Warp would not.
        """
        for sensor in self.scene.sensors.values():
            if isinstance(sensor, ContactSensor):
                _ = sensor.data

    def _pad_action(self, action: torch.Tensor) -> torch.Tensor:
        """Actions of all environments: the padding environment's are zero."""
        return torch.nn.functional.pad(action, (0, 0, 0, self.num_envs - len(action)))

    def _log_episodes(self) -> None:
        """Book the episodes that end in this step, before their sums are cleared."""
        command = self.velocity_command
        sums = self.reward_manager._episode_sums
        rates = torch.stack(tuple(sums.values())) / self.max_episode_length_s
        values = {f"Episode_Reward/{name}": rate for name, rate in zip(sums, rates, strict=True)}
        for name in self.termination_manager.active_terms:
            values[f"Episode_Termination/{name}"] = self.termination_manager.get_term(name)
        for name, total in command.metrics.items():
            values[f"Metrics/{self.cfg.command_name}/{name}"] = total / command.steps.clamp(min=1.0)
        self._episode_meter.add(values, self.reset_buf)

    def _reset_idx(self, env_ids: torch.Tensor | None = None) -> None:
        """Begin new episodes, in mjlab's order."""
        assert env_ids is not None
        self.curriculum_manager.compute(env_ids=env_ids)
        self.sim.reset(env_ids)
        self.scene.reset(env_ids)
        if "reset" in self.event_manager.available_modes:
            self.event_manager.apply(
                mode="reset", env_ids=env_ids, global_env_step_count=self.common_step_counter
            )
        for manager in (
            self.observation_manager,
            self.action_manager,
            self.reward_manager,
            self.metrics_manager,
            self.curriculum_manager,
            self.command_manager,
            self.event_manager,
            self.termination_manager,
        ):
            manager.reset(env_ids)
        self.episode_length_buf[env_ids] = 0
        self.constraint_monitor.reset(env_ids)

    def _write_first_controls(self) -> None:
        """Let the drives of the robots just reset hold their pose.

        The others keep the controls of their last physics step: their torques are observed, and
        must not depend on whether some other robot was reset.
        """
        last = self.sim.data.ctrl.clone()
        self.scene.write_data_to_sim()
        self.sim.data.ctrl[:] = torch.where(self.reset_buf[:, None], self.sim.data.ctrl[:], last)

    def _report_transition(self, state_is_valid: torch.Tensor) -> None:
        # A broken state must not reach the networks; its environment starts anew in this step.
        self.extras["state_is_valid"] = state_is_valid
        self.extras["margins"] = self.constraint_monitor.judge(state_is_valid)
        self.extras["terminal_obs"] = {
            group: torch.where(
                state_is_valid[:, None], self.observation_manager.compute_group(group), 0.0
            )
            for group in self.cfg.terminal_groups
        }
        for name, term in self.transition_terms.items():
            self.extras[name] = torch.where(state_is_valid[:, None], term(self), 0.0)
        style_scale = self._style_scale_of_family[self.terrain_types.ids]
        self.extras["style_scale"] = style_scale * self.velocity_command.is_moving * state_is_valid

    def state_is_valid(self) -> torch.Tensor:
        """Whether no position or velocity is absurd or not finite. Shape (num_envs,)."""
        data = self.sim.data
        # NaN compares as False.
        is_near = (data.qpos.abs() < _FARTHEST).all(dim=-1)
        return is_near & (data.qvel.abs() < self.cfg.max_velocity).all(dim=-1)

    # What the trainer asks between rollouts.

    def check_health(self) -> Breakdowns:
        """Look for trouble that a rollout must not stop for: breakdowns since the last call.

        Raises:
            UserError: Contacts or constraints did not fit into the simulation's buffers.
        """
        self.sim.check_overflow()
        return self._failures.count()

    def read_log(self) -> Totals:
        """What was logged since the last call: sum and number of samples by name.

        ``Episode_Reward/*``: reward per second of the longest episode; ``Episode_Termination/*``:
        share of the episodes that ended so; ``Metrics/*``: means over episodes; ``Curriculum/*``:
        what the curricula reported last; ``Reward_Faults/*``: share of the robot-steps in which a
        term was not finite or absurd; ``Perf/waiting_resets``: resets that found no room.
        """
        totals = self._episode_meter.read()
        for name, value in self.curriculum_manager.reports().items():
            totals[f"Curriculum/{name}"] = (float(value), 1)
        totals |= self.reward_manager.read_faults() | self.observation_manager.read_faults()
        totals |= self.constraint_monitor.read_log() | self.buried_feet.read_log()
        return totals | self.selector.read_log()

    def dump_state(self, path: Path) -> None:
        """Write what reproduces the present state; see :meth:`FailureDump.dump`."""
        self._failures.dump(path)
