"""The training loop: rollouts, updates, logs, checkpoints, and every way it can end."""

from __future__ import annotations

import math
import signal
import sys
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDict

from rl_sim_env.configuration import to_plain
from rl_sim_env.errors import Notice, UserError, found_in
from rl_sim_env.hardware import torch_threads
from rl_sim_env.learning.algorithm import Algorithm
from rl_sim_env.learning.checkpoint import Checkpoint
from rl_sim_env.learning.config import AmpVaeRunnerCfg
from rl_sim_env.learning.console import FIGURES, IterationSummary, TrainingConsole
from rl_sim_env.learning.distributed import Distributed
from rl_sim_env.learning.failure_report import write_dump
from rl_sim_env.learning.heartbeat import Heartbeat
from rl_sim_env.learning.host_copy import copied_to_host
from rl_sim_env.learning.iteration_report import IterationReport, failures, mean_metrics
from rl_sim_env.learning.log_writer import RunLog, open_writers
from rl_sim_env.learning.motion_pairs import PairSource
from rl_sim_env.learning.plan import Plan
from rl_sim_env.learning.random_state import random_state, restore_random_state
from rl_sim_env.learning.rescue import Rescue
from rl_sim_env.learning.reward_faults import RewardFaultWatch
from rl_sim_env.learning.run_files import write_run_files
from rl_sim_env.learning.stop_signals import StopSignals
from rl_sim_env.learning.structure import MisfitError
from rl_sim_env.learning.training_env import TrainingEnv


class AmpVaeRunner:
    """Trains a policy in an environment; the counterpart of rsl_rl's OnPolicyRunner.

    Args:
        env: The environment; learners are on its device.
        cfg: The configuration.
        expert: Source of expert pairs; None for none.
        log_dir: Folder of the run, the same for all processes; None to write nothing.
        task_id: Id of the task, kept in checkpoints.
        task_arguments: What the task was made with, as plain values by name, kept as well.
        processes: The processes that train together; by default this one alone.
        on_save: Called by rank 0 with the path of each checkpoint that training has saved.
    """

    def __init__(
        self,
        env: TrainingEnv,
        cfg: AmpVaeRunnerCfg,
        expert: PairSource | None,
        log_dir: Path | None,
        *,
        task_id: str,
        task_arguments: Mapping[str, Any] | None = None,
        processes: Distributed | None = None,
        on_save: Callable[[Path], None] | None = None,
    ) -> None:
        self.env = env
        self.cfg = cfg
        self.log_dir = log_dir
        self.device = str(env.device)
        self.task_id = task_id
        self.task_arguments = dict(task_arguments or {})
        self.processes = processes or Distributed(device=self.device)
        self.on_save = on_save
        self.rescue_dir: Path | None = None
        """Where checkpoints go that ``log_dir`` does not take; None: the temporary folder."""
        self.current_learning_iteration = -1
        """Index of the last completed iteration; -1 before the first."""
        self.total_steps = 0
        """Environment steps so far, over all environments and processes."""
        self.total_seconds = 0.0
        """Training time so far [s]."""
        self.progress = 0.0
        """Part of the training plan that is done, 0 to 1; it never falls."""
        self.alg = Algorithm(env, cfg, expert, self.device)
        self.last_saved: Path | None = None
        """Checkpoint that was saved last; None before the first."""
        self._ancestors: list[dict[str, Any]] = []
        self._saved_iteration: int | None = None
        self._begins_episodes = True
        self._reward_watch = RewardFaultWatch()
        self._heartbeat = Heartbeat(self.processes, cfg.heartbeat_seconds, self._save_alone)
        self._own_state: dict[str, Any] = {}

    def require_iterations(self, num_iterations: int) -> None:
        """Refuse what :meth:`learn` would refuse, before a folder is made for it.

        Raises:
            UserError: There is nothing to do.
        """
        if num_iterations < 1:
            raise UserError(
                f"nothing to train: {self.current_learning_iteration + 1} iterations are done "
                "already; ask for more with --max_iterations"
            )

    def learn(self, num_iterations: int, init_at_random_ep_len: bool = True) -> None:
        """Train for some iterations more, or until ``cfg.max_minutes`` have passed.

        Args:
            num_iterations: Iterations to add to those done.
            init_at_random_ep_len: Whether episodes that begin now end at random times.

        Raises:
            UserError: There is nothing to do, processes have different numbers of robots, or
                training cannot go on: the physics lost contacts, states or losses are not finite
                (the message names a dump), reward terms are not finite or absurd, another process
                is lost, or what was learned last could not be saved anywhere.
            SystemExit: SIGINT, SIGTERM or SIGHUP asked for the end and a checkpoint was saved. The
                code is 128 plus the number of the signal, as shells have it.
        """
        self.require_iterations(num_iterations)
        self.processes.require_same(robots=self.env.num_envs)
        first = self.current_learning_iteration + 1
        end = first + num_iterations
        limit_s = math.inf if self.cfg.max_minutes is None else 60.0 * self.cfg.max_minutes
        plan = Plan(self.progress, first, max(self.cfg.max_iterations, end), limit_s)
        if init_at_random_ep_len and self._begins_episodes:
            self.env.episode_length_buf = torch.randint_like(
                self.env.episode_length_buf, high=int(self.env.max_episode_length)
            )
        self.alg.train_mode()
        stopped_by: signal.Signals | None = None
        with (
            StopSignals(self.processes.is_main) as stop,
            self._open_log() as log,
            self._united(),
            self._heartbeat,
        ):
            rescue = Rescue(self.log_dir.name if self.log_dir else "", self.rescue_dir, log.say)
            obs = self.env.get_observations()
            begin = time.monotonic()
            for iteration in range(first, end):
                # The first one compiles.
                with self._heartbeat.watched(iteration > first):
                    iterated = self._iterate(obs, stop)
                if iterated is None:
                    stopped_by = stop.received
                    break
                obs, report = iterated
                report.elapsed_s = time.monotonic() - begin
                reports = self.processes.all_gather(report)
                self._require_finite(iteration, reports)
                summary = self._advance(iteration, first, end, plan, reports)
                self._heartbeat.keep(self._learned)
                log.record(summary, iteration)
                self._require_capacity(reports, rescue)
                self._require_rewards(iteration, summary.scalars, log, rescue)
                stopped_by = next((each.signal for each in reports if each.signal), None)
                if stopped_by is not None:
                    break
                if summary.elapsed_s >= limit_s:
                    log.say(f"{self.cfg.max_minutes:g} minutes are over: training ends")
                    break
                if iteration % self.cfg.save_interval == 0:
                    self._save_once(rescue)
            self._save_once(rescue)
            self._require_saved()
            # A signal that came too late to be agreed on still ends this process.
            stopped_by = stopped_by or stop.received
            if stopped_by is not None:
                log.say(f"{stopped_by.name}: training ends; saved: {self.last_saved}")
                raise SystemExit(128 + stopped_by)

    @contextmanager
    def _united(self) -> Iterator[None]:
        """Give all processes the learners of rank 0, and at the end let go of their exchange."""
        if self.processes.world_size == 1:
            yield
            return
        self.alg.broadcast_parameters()
        self._own_state = self._process_state()
        self._heartbeat.keep(self._learned)
        try:
            yield
        finally:
            self.alg.update_step.recapture()

    def save(self, path: Path) -> None:
        """Write a checkpoint. All processes call it; rank 0 writes.

        Raises:
            UserError: The file could not be written.
        """
        checkpoint = self._gathered()
        if checkpoint is not None:
            checkpoint.save(path)

    def load(
        self, path: Path, *, tasks: Collection[str] | None = None, episodes: bool = True
    ) -> None:
        """Continue from a checkpoint: the next iteration is the one after the saved.

        Where the running episodes do not go on, a notice says why.

        Args:
            path: The checkpoint.
            tasks: Ids of the tasks to continue from; by default the runner's own.
            episodes: Whether running episodes go on, if they were saved and are of as many robots.

        Raises:
            UserError: It cannot be read or does not fit.
        """
        checkpoint = self._restore(path, tasks, self.alg.load)
        self.current_learning_iteration = checkpoint.iteration
        self.total_steps = checkpoint.total_steps
        self.total_seconds = checkpoint.total_seconds
        self.progress = checkpoint.progress
        self._ancestors = checkpoint.ancestors
        with found_in(path):
            self._load_process(path, checkpoint.processes, episodes)

    def _load_process(self, path: Path, saved: list[dict[str, Any]], episodes: bool) -> None:
        """Continue with what this process has of its own."""
        rank = self.processes.rank
        own = saved[rank % len(saved)]
        self.alg.load_process_state(own.get("algorithm", {}))
        env, reason = dict(own["env"]), None
        if not episodes:
            reason = "the environment is another"
        elif rank >= len(saved):
            reason = f"the running ones are of {len(saved)} processes"
        if reason:
            env.pop("episodes", None)
        not_loaded = self.env.load_training_state(env)
        if not_loaded is not None:
            self.alg.begin_episodes()
            if rank in (0, len(saved)):  # the first of those whom it concerns
                notice = Notice(f"{path}: robots begin new episodes: {reason or not_loaded}")
                warnings.warn(notice, stacklevel=3)
        self._begins_episodes = not_loaded is not None
        # A process more than were saved keeps its own seed: no two may draw the same numbers.
        if rank < len(saved):
            restore_random_state(own.get("random", {}), self.device)

    def load_policy(self, path: Path, *, tasks: Collection[str] | None = None) -> None:
        """Begin with the policy of a checkpoint, which needs to hold nothing else.

        Critic, discriminator, optimisers, schedules and the count of iterations are new; so is what
        the policy at hand has beyond that one, see ``alg.what_is_new``.

        Args:
            path: The checkpoint.
            tasks: Ids of the tasks that the policy may be of; by default the runner's own.

        Raises:
            UserError: It cannot be read or does not fit.
        """
        begun = self._restore(path, tasks, self.alg.load_policy, grows=True)
        self._ancestors = begun.lineage()

    def _restore(
        self,
        path: Path,
        tasks: Collection[str] | None,
        load: Callable[[Mapping[str, Any]], None],
        *,
        grows: bool = False,
    ) -> Checkpoint:
        """Read a checkpoint and load its networks."""
        checkpoint = Checkpoint.load(path)
        layout = self.env.observation_layout
        checkpoint.require(path, tasks=tasks or {self.task_id}, layout=layout, grows=grows)
        try:
            load(checkpoint.algorithm)
        except MisfitError as error:
            changed = "; ".join(checkpoint.config_differences(self.cfg))
            raise UserError(
                f"{path}: its networks do not fit the configuration ({changed or error}); "
                "train with the settings of the checkpoint, or anew"
            ) from error
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
        return checkpoint

    def _iterate(
        self, obs: TensorDict, stop: StopSignals
    ) -> tuple[TensorDict, IterationReport] | None:
        """Run one rollout and one update; None if a signal ended the rollout."""
        begin = time.monotonic()
        self.alg.set_progress(self.progress)
        threads = self.cfg.rollout_threads if self.device == "cpu" else torch.get_num_threads()
        with torch_threads(threads):
            next_obs = self._rollout(obs, stop)
        if next_obs is None:
            return None
        # Reading what was logged waits for the device, so the two times are told apart rightly.
        report = IterationReport(metrics=self.env.read_log())
        collected = time.monotonic()
        try:
            report.breakdowns = self.env.check_health()
        except UserError as error:
            report.overflow = str(error)
        try:
            self.alg.compute_returns(next_obs)
            report.losses = self.alg.update(partial(self._heartbeat.step, "update"))
        except FloatingPointError as error:
            report.failure = str(error)
        report.collection_s = collected - begin
        report.learning_s = time.monotonic() - collected
        report.signal = stop.received
        return next_obs, report

    @torch.no_grad()
    def _rollout(self, obs: TensorDict, stop: StopSignals) -> TensorDict | None:
        """Collect one rollout without reading from the device.

        A process that trains alone obeys a signal within a step; among many it goes on, for the
        others wait for it in the update.
        """
        for _ in range(self.cfg.num_steps_per_env):
            if stop.received and self.processes.world_size == 1:
                self.alg.rollout.clear()
                return None
            actions = self.alg.act(obs)
            obs, rewards, dones, extras = self.env.step(actions)
            self.alg.process_env_step(obs, rewards, dones, extras)
            self._heartbeat.step("rollout")
        return obs

    def _require_finite(self, iteration: int, reports: list[IterationReport]) -> None:
        """End training with a dump if losses are not finite, or too much physics breaks down."""
        if reasons := failures(reports, self.env.num_envs * self.processes.world_size):
            reason = f"iteration {iteration}: {'; '.join(reasons)}"
            raise UserError(f"{reason}. {self._dump(iteration, reason)}")

    def _require_capacity(self, reports: list[IterationReport], rescue: Rescue) -> None:
        """End training, after saving it, if physics had to drop contacts or constraints."""
        overflow = next((report.overflow for report in reports if report.overflow), None)
        if overflow:
            self._save_once(rescue)
            raise UserError(f"{overflow}, and continue with --resume; saved: {self.last_saved}")

    def _require_rewards(
        self, iteration: int, scalars: Mapping[str, float], log: RunLog, rescue: Rescue
    ) -> None:
        """Warn of reward terms that were at fault; end training, after saving it, if they are."""
        for warning in self._reward_watch.news(scalars):
            log.say(warning)
        if reason := self._reward_watch.reason_to_stop(scalars, self._robot_steps):
            self._save_once(rescue)
            raise UserError(
                f"iteration {iteration}: {reason}; then continue with --resume; saved: "
                f"{self.last_saved}"
            )

    def _advance(
        self, iteration: int, first: int, end: int, plan: Plan, reports: list[IterationReport]
    ) -> IterationSummary:
        """Count a completed iteration and say how far training is."""
        steps = self._robot_steps
        # The slowest process sets the pace.
        collection_s = max(report.collection_s for report in reports)
        learning_s = max(report.learning_s for report in reports)
        elapsed_s = reports[0].elapsed_s
        done = iteration + 1 - first
        limit_s = plan.limit_s
        self.current_learning_iteration = iteration
        self.total_steps += steps
        self.total_seconds += collection_s + learning_s
        self.progress = plan.progress(iteration + 1, elapsed_s)
        return IterationSummary(
            iteration=iteration + 1,
            total_iterations=end,
            progress=min(max(done / (end - first), elapsed_s / limit_s), 1.0),
            elapsed_s=elapsed_s,
            limit_s=limit_s,
            remaining_s=max(min((end - 1 - iteration) * elapsed_s / done, limit_s - elapsed_s), 0),
            scalars={
                **self.alg.episode_statistics(),
                **reports[0].losses,
                **mean_metrics(report.metrics for report in reports),
                "Perf/total_fps": steps / (collection_s + learning_s),
                "Perf/collection_time": collection_s,
                "Perf/learning_time": learning_s,
                "Perf/nan_resets": sum(report.breakdowns.resets for report in reports),
                "Perf/total_steps": self.total_steps,
            },
        )

    @property
    def _robot_steps(self) -> int:
        """Environment steps of an iteration, over all environments and processes."""
        return self.cfg.num_steps_per_env * self.env.num_envs * self.processes.world_size

    def _open_log(self) -> RunLog:
        if not self.processes.is_main:
            return RunLog()
        figures = (*FIGURES, *self.alg.figures())
        if self.log_dir is None:
            return RunLog(TrainingConsole(self.task_id, figures=figures))
        console = TrainingConsole("/".join(self.log_dir.parts[-2:]), figures=figures)
        config = write_run_files(self.log_dir, env_cfg=self.env.cfg, agent_cfg=self.cfg)
        writers = open_writers(
            self.cfg.logger, self.log_dir, project=self.cfg.log_project_name, config=config
        )
        return RunLog(console, writers)

    def _save_once(self, rescue: Rescue) -> None:
        """Save what was learned since the last time, into the run's folder or somewhere else.

        What could not be written anywhere is told, and due again the next time.
        """
        if self.log_dir is None or self.current_learning_iteration in (-1, self._saved_iteration):
            return
        checkpoint = self._gathered()
        path = None
        if checkpoint is not None:
            name = Checkpoint.file_name(self.current_learning_iteration)
            path = rescue.save(checkpoint, self.log_dir / name)
        path = self.processes.broadcast(path)
        if path is not None:
            self.last_saved, self._saved_iteration = path, self.current_learning_iteration
            if self.processes.is_main:
                self.processes.note_run(path.parent)
                if self.on_save is not None:
                    self.on_save(path)

    def _save_alone(self, learned: dict[str, Any]) -> Path | None:
        """Save what this process kept on the host while others are lost; return the newest."""
        last = learned["iteration"]
        if self.log_dir is not None and last not in (-1, self._saved_iteration):
            rescue = Rescue(self.log_dir.name, self.rescue_dir, partial(print, file=sys.stderr))
            checkpoint = self._checkpoint(learned, [self._own_state])
            path = rescue.save_first(checkpoint, self.log_dir / Checkpoint.file_name(last))
            self.last_saved = path or self.last_saved
        return self.last_saved

    def _require_saved(self) -> None:
        """End with an error if what was learned last is lost."""
        last = self.current_learning_iteration
        if self.log_dir is not None and last not in (-1, self._saved_iteration):
            raise UserError(
                f"iteration {last} could not be saved in {self.log_dir}, nor elsewhere; free some "
                f"space or give --rescue_dir; saved: {self.last_saved or 'nothing'}"
            )

    def _gathered(self) -> Checkpoint | None:
        """The state of all processes, on rank 0. All processes call it."""
        self._own_state = self._process_state()
        states = self.processes.all_gather(self._own_state)
        return self._checkpoint(self._learned(), states) if self.processes.is_main else None

    def _learned(self) -> dict[str, Any]:
        """What all processes have in common, and of when it is."""
        return {
            "iteration": self.current_learning_iteration,
            "total_steps": self.total_steps,
            "total_seconds": self.total_seconds,
            "progress": self.progress,
            "algorithm": self.alg.save(),
        }

    def _checkpoint(self, learned: dict[str, Any], processes: list[dict[str, Any]]) -> Checkpoint:
        return Checkpoint(
            task=self.task_id,
            **learned,
            processes=processes,
            config=to_plain(self.cfg),
            layout=self.env.observation_layout.to_dict(),
            env_cfg=to_plain(self.env.cfg, classes=True),
            ancestors=self._ancestors,
            task_arguments=self.task_arguments,
        )

    def _process_state(self) -> dict[str, Any]:
        state = {
            "env": self.env.training_state(episodes=self.cfg.save_environment),
            "algorithm": self.alg.process_state(),
        }
        return {"random": random_state(self.device), **copied_to_host(state)}

    def _dump(self, iteration: int, reason: str) -> str:
        """Write what this process knows of a failure; say where, and what to go on from."""
        facts = {
            "reason": reason,
            "task": self.task_id,
            "seed": self.cfg.seed,
            "iteration": iteration,
            "world_size": self.processes.world_size,
            "num_envs": self.env.num_envs,
            "last_checkpoint": str(self.last_saved or "the start"),
        }
        place = Path(f"dump_iteration_{iteration}", f"rank_{self.processes.rank}")
        checkpoint = self._checkpoint(self._learned(), [self._process_state()])
        return write_dump(self.log_dir, place, facts, checkpoint, self.env.dump_state)
