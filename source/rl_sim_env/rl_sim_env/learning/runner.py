"""The training loop: rollouts, updates, logs, checkpoints, and every way it can end."""

from __future__ import annotations

import json
import math
import signal
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDict

from rl_sim_env.compat.torch import pytree
from rl_sim_env.configuration import to_plain
from rl_sim_env.errors import UserError, found_in
from rl_sim_env.learning.algorithm import Algorithm
from rl_sim_env.learning.checkpoint import Checkpoint, write_atomically
from rl_sim_env.learning.config import AmpVaeRunnerCfg
from rl_sim_env.learning.console import FIGURES, IterationSummary, TrainingConsole
from rl_sim_env.learning.distributed import Distributed
from rl_sim_env.learning.finite import first_not_finite
from rl_sim_env.learning.log_writer import RunLog, mean_metrics, open_writers
from rl_sim_env.learning.motion_pairs import PairSource
from rl_sim_env.learning.random_state import random_state, restore_random_state
from rl_sim_env.learning.rescue import Rescue
from rl_sim_env.learning.reward_faults import RewardFaultWatch, observation_faults
from rl_sim_env.learning.run_files import write_run_files
from rl_sim_env.learning.stop_signals import StopSignals
from rl_sim_env.learning.structure import MisfitError
from rl_sim_env.learning.training_env import Breakdowns, TrainingEnv

_MAX_BROKEN_SHARE = 0.01
"""Share of the robots whose physics may break down in one iteration before training stops."""

_MAX_BREAKDOWNS = 10
"""Breakdowns that an iteration may have, however few its robots are."""


@dataclass(kw_only=True)
class _Report:
    """What a process tells the others after an iteration, so that all of them decide alike."""

    metrics: dict[str, tuple[float, int]]
    """Sum and number of what the environment logged."""
    breakdowns: Breakdowns = field(default_factory=Breakdowns)
    """Whose physics broke down."""
    overflow: str | None = None
    """What the physics had no room for."""
    losses: dict[str, float] = field(default_factory=dict)
    """What the update returned."""
    failure: str | None = None
    """Why the update failed."""
    collection_s: float = 0.0
    """Time of the rollout [s]."""
    learning_s: float = 0.0
    """Time of the update [s]."""
    elapsed_s: float = 0.0
    """Time since this training began; that of rank 0 counts [s]."""
    signal: signal.Signals | None = None
    """Signal that asks for the end."""


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
        """Where checkpoints go that ``log_dir`` does not take; None for the system's temporary
        folder."""
        self.current_learning_iteration = -1
        """Index of the last completed iteration; -1 before the first."""
        self.total_steps = 0
        """Environment steps so far, over all environments and processes."""
        self.total_seconds = 0.0
        """Training time so far [s]."""
        self.progress = 0.0
        """Part of the training plan that is done, 0 to 1; it never falls."""
        self.alg = Algorithm(env, cfg, expert, self.device)
        self._last_saved: Path | None = None
        self._saved_iteration: int | None = None
        self._reward_watch = RewardFaultWatch()

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
            init_at_random_ep_len: Whether the running episodes are given random ages, so that they
                do not all end together.

        Raises:
            UserError: There is nothing to do, or training cannot go on: the physics lost contacts,
                states or losses are not finite (the message names a dump), reward terms are not
                finite or absurd, or what was learned last could not be saved anywhere.
            SystemExit: SIGINT, SIGTERM or SIGHUP asked for the end and a checkpoint was saved. The
                code is 128 plus the number of the signal, as shells have it.
        """
        self.require_iterations(num_iterations)
        first = self.current_learning_iteration + 1
        end = first + num_iterations
        limit_s = math.inf if self.cfg.max_minutes is None else 60.0 * self.cfg.max_minutes
        if init_at_random_ep_len:
            self.env.episode_length_buf = torch.randint_like(
                self.env.episode_length_buf, high=int(self.env.max_episode_length)
            )
        self.alg.train_mode()
        stopped_by: signal.Signals | None = None
        with StopSignals() as stop, self._open_log() as log, self._united():
            rescue = Rescue(self.log_dir.name if self.log_dir else "", self.rescue_dir, log.say)
            obs = self.env.get_observations()
            begin = time.monotonic()
            for iteration in range(first, end):
                iterated = self._iterate(obs, stop)
                if iterated is None:
                    stopped_by = stop.received
                    break
                obs, report = iterated
                report.elapsed_s = time.monotonic() - begin
                reports = self.processes.all_gather(report)
                self._require_finite(iteration, reports)
                summary = self._advance(iteration, first, end, limit_s, reports)
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
                log.say(f"{stopped_by.name}: training ends; saved: {self._last_saved}")
                raise SystemExit(128 + stopped_by)

    @contextmanager
    def _united(self) -> Iterator[None]:
        """Give all processes the learners of rank 0, and at the end let go of their exchange."""
        if self.processes.world_size == 1:
            yield
            return
        self.alg.broadcast_parameters()
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

    def load(self, path: Path, *, tasks: Collection[str] | None = None) -> None:
        """Continue from a checkpoint: the next iteration is the one after the saved.

        Args:
            path: The checkpoint.
            tasks: Ids of the tasks to continue from; by default the runner's own.

        Raises:
            UserError: It cannot be read or does not fit.
        """
        checkpoint = Checkpoint.load(path)
        checkpoint.require(path, tasks=tasks or {self.task_id}, layout=self.env.observation_layout)
        try:
            self.alg.load(checkpoint.algorithm)
        except MisfitError as error:
            changed = "; ".join(checkpoint.config_differences(self.cfg))
            raise UserError(
                f"{path}: its networks do not fit the configuration ({changed or error}); "
                "train with the settings of the checkpoint, or anew"
            ) from error
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
        self.current_learning_iteration = checkpoint.iteration
        self.total_steps = checkpoint.total_steps
        self.total_seconds = checkpoint.total_seconds
        self.progress = checkpoint.progress
        saved = checkpoint.processes
        own = saved[self.processes.rank % len(saved)]
        with found_in(path):
            if not self.env.load_training_state(own["env"]):
                self.alg.begin_episodes()
            # A process more than were saved keeps its own seed: no two may draw the same numbers.
            if self.processes.rank < len(saved):
                restore_random_state(own.get("random"), self.device)

    def _iterate(self, obs: TensorDict, stop: StopSignals) -> tuple[TensorDict, _Report] | None:
        """Run one rollout and one update; None if a signal ended the rollout."""
        begin = time.monotonic()
        self.alg.set_progress(self.progress)
        threads = self.cfg.rollout_threads if self.device == "cpu" else torch.get_num_threads()
        with _torch_threads(threads):
            next_obs = self._rollout(obs, stop)
        if next_obs is None:
            return None
        # Reading what was logged waits for the device, so the two times are told apart rightly.
        report = _Report(metrics=self.env.read_log())
        collected = time.monotonic()
        try:
            report.breakdowns = self.env.check_health()
        except UserError as error:
            report.overflow = str(error)
        try:
            self.alg.compute_returns(next_obs)
            report.losses = self.alg.update()
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
        return obs

    def _require_finite(self, iteration: int, reports: list[_Report]) -> None:
        """End training with a dump if losses are not finite, or too much physics breaks down."""
        failures = [f"rank {rank}: {r.failure}" for rank, r in enumerate(reports) if r.failure]
        if failures:
            # What was put in comes before what came of it.
            failures = observation_faults(mean_metrics(r.metrics for r in reports))[:3] + failures
        broken = Breakdowns(
            robots=sum(report.breakdowns.robots for report in reports),
            resets=sum(report.breakdowns.resets for report in reports),
        )
        num_envs = self.env.num_envs * self.processes.world_size
        if broken.robots > _MAX_BROKEN_SHARE * num_envs and broken.resets > _MAX_BREAKDOWNS:
            failures.append(
                f"the physics of {broken.robots} of {num_envs} robots broke down, {broken.resets} "
                "times in all (NaN or absurd velocities): look for a time step too long, or "
                "forces, masses and gains too large"
            )
        if failures:
            reason = f"iteration {iteration}: {'; '.join(failures)}"
            raise UserError(f"{reason}. {self._dump(self.log_dir, iteration, reason)}")

    def _require_capacity(self, reports: list[_Report], rescue: Rescue) -> None:
        """End training, after saving it, if physics had to drop contacts or constraints."""
        overflow = next((report.overflow for report in reports if report.overflow), None)
        if overflow:
            self._save_once(rescue)
            raise UserError(f"{overflow}, and continue with --resume; saved: {self._last_saved}")

    def _require_rewards(
        self, iteration: int, scalars: Mapping[str, float], log: RunLog, rescue: Rescue
    ) -> None:
        """Warn of reward terms that were at fault; end training, after saving it, if they are."""
        for warning in self._reward_watch.news(scalars):
            log.say(warning)
        reason = self._reward_watch.reason_to_stop(scalars, self._robot_steps)
        if reason:
            self._save_once(rescue)
            raise UserError(
                f"iteration {iteration}: {reason}; then continue with --resume; saved: "
                f"{self._last_saved}"
            )

    def _advance(
        self, iteration: int, first: int, end: int, limit_s: float, reports: list[_Report]
    ) -> IterationSummary:
        """Count a completed iteration and say how far training is."""
        steps = self._robot_steps
        # The slowest process sets the pace.
        collection_s = max(report.collection_s for report in reports)
        learning_s = max(report.learning_s for report in reports)
        elapsed_s = reports[0].elapsed_s
        done = iteration + 1 - first
        plan = max(self.cfg.max_iterations, end)
        self.current_learning_iteration = iteration
        self.total_steps += steps
        self.total_seconds += collection_s + learning_s
        self.progress = min(max(self.progress, (iteration + 1) / plan, elapsed_s / limit_s), 1.0)
        return IterationSummary(
            iteration=iteration + 1,
            total_iterations=end,
            progress=min(max(done / (end - first), elapsed_s / limit_s), 1.0),
            elapsed_s=elapsed_s,
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
            self._last_saved, self._saved_iteration = path, self.current_learning_iteration
            if self.on_save is not None and self.processes.is_main:
                self.on_save(path)

    def _require_saved(self) -> None:
        """End with an error if what was learned last is lost."""
        last = self.current_learning_iteration
        if self.log_dir is not None and last not in (-1, self._saved_iteration):
            raise UserError(
                f"iteration {last} could not be saved in {self.log_dir}, nor elsewhere; free some "
                f"space or give --rescue_dir; saved: {self._last_saved or 'nothing'}"
            )

    def _gathered(self) -> Checkpoint | None:
        """The state of all processes, on rank 0. All processes call it."""
        states = self.processes.all_gather(self._process_state())
        return self._checkpoint(states) if self.processes.is_main else None

    def _checkpoint(self, processes: list[dict[str, Any]]) -> Checkpoint:
        return Checkpoint(
            task=self.task_id,
            iteration=self.current_learning_iteration,
            total_steps=self.total_steps,
            total_seconds=self.total_seconds,
            progress=self.progress,
            algorithm=self.alg.save(),
            processes=processes,
            config=to_plain(self.cfg),
            layout=self.env.observation_layout.to_dict(),
            env_cfg=to_plain(self.env.cfg, classes=True),
            task_arguments=self.task_arguments,
        )

    def _process_state(self) -> dict[str, Any]:
        env = pytree.tree_map_only(torch.Tensor, torch.Tensor.cpu, self.env.training_state())
        return {"random": random_state(self.device), "env": env}

    def _dump(self, parent: Path | None, iteration: int, reason: str) -> str:
        """Write what this process knows of a failure; say where, and what to go on from."""
        try:
            return self._dump_into(
                parent or Path(tempfile.mkdtemp(prefix="rl_sim_env_")), iteration, reason
            )
        except (OSError, RuntimeError, UserError) as error:  # torch.save raises RuntimeErrors
            if parent is not None:
                return self._dump(None, iteration, reason)
            return f"What reproduces it could not be written ({error})"

    def _dump_into(self, parent: Path, iteration: int, reason: str) -> str:
        folder = parent / f"dump_iteration_{iteration}"
        own = folder / f"rank_{self.processes.rank}"
        own.mkdir(parents=True, exist_ok=True)
        facts = {
            "reason": reason,
            "task": self.task_id,
            "seed": self.cfg.seed,
            "iteration": iteration,
            "world_size": self.processes.world_size,
            "num_envs": self.env.num_envs,
            "last_checkpoint": str(self._last_saved),
        }
        write_atomically(own / "facts.json", json.dumps(facts, indent=2).encode())
        self.env.dump_state(own / "env_state.pt")
        checkpoint, path = self._checkpoint([self._process_state()]), own / "failed.pt"
        checkpoint.write(path)
        remedy = f"what was learned is sound: go on from it with --checkpoint {path}"
        if poisoned := first_not_finite(checkpoint.algorithm):
            remedy = f"{poisoned} is not finite: go on from {self._last_saved or 'the start'}"
        return f"What reproduces it is in {folder}; {remedy}"


@contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    """Limit torch's CPU threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
