"""Checkpoints: one file with everything that a resume needs, written whole or not at all."""

from __future__ import annotations

import dataclasses
import io
import platform
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, get_type_hints

import torch

import rl_sim_env
from rl_sim_env.atomic_file import write_atomically
from rl_sim_env.configuration import to_plain, with_todays_names
from rl_sim_env.errors import Notice, UserError, found_in
from rl_sim_env.learning.checkpoint_fields import require_fields
from rl_sim_env.learning.checkpoint_upgrade import (
    FORMAT_VERSION,
    require_todays_networks,
    upgrade,
)
from rl_sim_env.learning.config import AmpVaeRunnerCfg
from rl_sim_env.learning.estimate_cfg import TRUTH_GROUP
from rl_sim_env.learning.finite import first_not_finite
from rl_sim_env.learning.layout import ObservationLayout
from rl_sim_env.learning.policy import POLICY_STATE
from rl_sim_env.learning.run_files import RunFiles
from rl_sim_env.learning.run_folder import (
    listing,
    meant_checkpoints,
    older_checkpoints,
)
from rl_sim_env.learning.saved_config import runner_cfg_from_dict
from rl_sim_env.learning.seal import seal, why_damaged
from rl_sim_env.learning.trained_task import require_task
from rl_sim_env.typed import typed

_PHYSICS = ("mjlab", "mujoco", "mujoco-warp", "mjbatch")
_RECORDED_PACKAGES = ("torch", "rsl-rl-lib", *_PHYSICS)


class _DamagedError(UserError):
    """A file that another checkpoint of its run can stand in for."""


@dataclass(kw_only=True)
class Checkpoint:
    """The state of a training run between two iterations.

    The file is a dictionary of the fields below plus ``format_version``, all of it tensors,
    numbers, strings and containers of them, so that loading never runs code from the file.
    """

    task: str
    """Id of the task that was trained."""
    iteration: int
    """Index of the last completed iteration, counted from 0."""
    total_steps: int
    """Environment steps so far, over all environments and processes."""
    total_seconds: float
    """Training time so far [s]."""
    progress: float
    """Part of the training plan that is done, 0 to 1; drives the learners' schedules."""
    algorithm: dict[str, Any]
    """Networks, optimisers and everything else that the algorithm learns or adapts."""
    processes: list[dict[str, Any]]
    """What each process has of its own, by rank: random numbers, environment, algorithm."""
    config: dict[str, Any]
    """The runner configuration, as plain values."""
    layout: dict[str, Any]
    """The observation layout: groups, terms, widths, scales."""
    env_cfg: dict[str, Any] | None
    """The environment configuration, as plain values with the names of classes. None in a file that
    was written before checkpoints held it and has no ``params/env.yaml`` beside it."""
    ancestors: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    """Trainings before this one, oldest first, whose policy it began with: ``task``,
    ``iterations``, ``total_steps`` and ``total_seconds`` of each."""
    task_arguments: dict[str, Any] = dataclasses.field(default_factory=dict)
    """What the task was made with, as plain values by name, such as ``arm``; what is not in it was
    the task's own."""
    versions: dict[str, str] = dataclasses.field(default_factory=lambda: package_versions())
    """Versions of python and of the packages that matter."""

    @staticmethod
    def file_name(iteration: int) -> str:
        """Return the file name of the checkpoint after ``iteration``."""
        return f"model_{iteration}.pt"

    def save(self, path: Path) -> None:
        """Write the checkpoint; whatever interrupts it, ``path`` holds the old or the new one.

        Raises:
            UserError: What was learned is not finite and would be of no use.
            NotWrittenError: The file could not be written, for instance because the disk is full.
        """
        if poisoned := self.first_not_finite():
            raise UserError(
                f"{path}: not written, because {poisoned} is not finite, for instance after a "
                "gradient of the last mini-batch that was not; older checkpoints are intact: "
                "continue from the last one with --resume and, if it happens again, lower the "
                "learning rate of the learner that is named"
            )
        self.write(path)

    def write(self, path: Path) -> None:
        """Write whatever there is, for instance to find out what went wrong; see :meth:`save`."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        buffer = io.BytesIO()
        torch.save({"format_version": FORMAT_VERSION, **fields}, buffer)
        seal(buffer)
        write_atomically(path, buffer.getbuffer())

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read a checkpoint, all tensors on the CPU.

        One of before, which does not hold the environment's configuration, takes it from
        ``params/env.yaml`` beside it. Classes and functions that moved since have their names of
        today.

        Raises:
            UserError: The file cannot be read, is truncated or damaged, or is not a checkpoint of
                this program; or what was learned is not finite. The message names the newest good
                checkpoint of the run before it. Or its networks are no more.
        """
        try:
            return cls._load(path)
        except _DamagedError as error:
            good = (file for file in older_checkpoints(path) if _why_damaged(file) is None)
            if (before := next(good, None)) is None:
                raise
            raise UserError(f"{error}; the newest good one before it is {before}") from error

    @classmethod
    def _load(cls, path: Path) -> Checkpoint:
        content = _read(path)
        if not isinstance(content, dict) or "format_version" not in content:
            found = f" (it holds {listing(map(str, content))})" if isinstance(content, dict) else ""
            raise UserError(f"{path}: not a checkpoint of rl_sim_env{found}")
        version = content.pop("format_version")
        try:
            upgraded = upgrade(content, version)
        except UserError as error:
            raise _DamagedError(f"{path}: {error}") from error
        if upgraded is None:
            raise UserError(
                f"{path}: checkpoint format {version}, this program reads {FORMAT_VERSION}; "
                f"use the rl_sim_env that wrote it ({content.get('versions')})"
            )
        content = upgraded
        if "env_cfg" not in content:
            # Checkpoints of before left it to a file beside them.
            env_cfg = RunFiles.read(path.parent).env
            content |= {"env_cfg": env_cfg, "task_arguments": {}}
        expected = {field.name for field in dataclasses.fields(cls)}
        if content.keys() != expected:
            raise _DamagedError(
                f"{path}: damaged checkpoint: fields {listing(expected ^ content.keys())} "
                "are missing or unknown"
            )
        try:
            require_fields(content, get_type_hints(cls))
        except UserError as error:
            raise _DamagedError(f"{path}: of no use: {error}") from error
        with found_in(path):
            require_todays_networks(content["algorithm"])
        names = ("config", "env_cfg", "task_arguments")
        read = cls(**content | {name: with_todays_names(content[name]) for name in names})
        if poisoned := read.first_not_finite():
            raise _DamagedError(f"{path}: of no use: {poisoned} is not finite")
        return read

    def lineage(self) -> list[dict[str, Any]]:
        """Its ancestors and itself, for one that begins with its policy."""
        names = ("task", "total_steps", "total_seconds")
        own = {name: getattr(self, name) for name in names}
        return [*self.ancestors, own | {"iterations": self.iteration + 1}]

    def first_not_finite(self) -> str | None:
        """Name of the first tensor of what was learned that is not finite; None for none."""
        own = {"processes": [of.get("algorithm") for of in self.processes]}
        return first_not_finite(self.algorithm | own)

    def policy_only(self) -> Checkpoint:
        """The checkpoint without what only training needs: to play, to evaluate, to export."""
        env = self.processes[0]["env"]
        return dataclasses.replace(
            self,
            algorithm={POLICY_STATE: self.algorithm[POLICY_STATE]},
            processes=[{"env": {name: of for name, of in env.items() if name != "episodes"}}],
        )

    def command_state(self) -> dict[str, Any]:
        """How far commands got in training, for those of another environment.

        Raises:
            UserError: It is not said.
        """
        state = self.processes[0]["env"].get("command")
        return typed(state, dict[str, Any], "processes.0.env.command")

    def trained_env_cfg(self, path: Path) -> dict[str, Any]:
        """Return the configuration of the environment that the policy was trained in.

        Args:
            path: Where the checkpoint was read from, for the message.

        Raises:
            UserError: It is not known: a file of before, alone.
        """
        if self.env_cfg is None:
            raise UserError(
                f"{path}: does not say in which environment it was trained, as checkpoints of "
                f"before do not, and {path.parent / 'params' / 'env.yaml'} is missing; put the "
                "file back into the folder of its run, or the run's params/ beside it"
            )
        return self.env_cfg

    def runner_cfg(self, path: Path) -> AmpVaeRunnerCfg:
        """Return the configuration that the run was trained with.

        Args:
            path: Where the checkpoint was read from, for the message.

        Raises:
            UserError: Settings are missing, or this program does not know them.
        """
        return runner_cfg_from_dict(self.config, str(path))

    def config_differences(self, cfg: AmpVaeRunnerCfg) -> list[str]:
        """Return the settings of the learners that differ from ``cfg``, saved and present value."""
        saved, present = self.config, to_plain(cfg)
        return [
            f"{learner}.{name} was {saved.get(learner, {}).get(name)}, is {value}"
            for learner, settings in present.items()
            if isinstance(settings, dict)
            for name, value in settings.items()
            if saved.get(learner, {}).get(name) != value
        ]

    def require_task(self, path: Path, tasks: Collection[str]) -> None:
        """Check that the checkpoint is of one of some tasks.

        Args:
            path: Where it was read from, for the message.
            tasks: Ids of the tasks whose policies fit.

        Raises:
            UserError: It was trained on another task.
        """
        require_task(path, self.task, tasks)

    def require(
        self, path: Path, *, tasks: Collection[str], layout: ObservationLayout, grows: bool = False
    ) -> None:
        """Check that the checkpoint fits what it is wanted for.

        Args:
            path: Where it was read from, for the message.
            tasks: Ids of the tasks whose policies fit.
            layout: The layout of the environment at hand.
            grows: Whether there may be groups that it was not trained on.

        Raises:
            UserError: It was trained on another task or on other observations.
        """
        if grows:
            known = {name: of for name, of in layout.groups.items() if name in self.layout}
            layout = ObservationLayout(groups=known)
        require_fit(path, task=self.task, layout=self.layout, tasks=tasks, present=layout)


def require_fit(
    path: Path,
    *,
    task: str,
    layout: Mapping[str, Any],
    tasks: Collection[str],
    present: ObservationLayout,
) -> None:
    """Check that a saved policy, whatever its format, fits what it is wanted for.

    Args:
        path: Where it was read from, for the message.
        task: Id of the task it was trained on.
        layout: The layout it was trained with, as plain values.
        tasks: Ids of the tasks whose policies fit.
        present: The layout of the environment at hand.

    Raises:
        UserError: It was trained on another task or on other observations. Other scales of what the
            policy sees are no matter of fit: they are settings.
    """
    require_task(path, task, tasks)
    trained = ObservationLayout.from_dict(layout)
    if _what_must_fit(trained) != _what_must_fit(present):
        raise UserError(
            f"{path}: the observations that this policy was trained on (left) differ from "
            f"those of the environment (right):\n{trained.diff(present)}\n"
            "Restore the observation terms it was trained with, or train anew"
        )


def _what_must_fit(layout: ObservationLayout) -> dict[str, Any]:
    """What must be equal; scales only of the truth, for they are the units that was learned in."""
    return {
        name: (
            group.history,
            [
                (term.name, term.width, term.scales if name == TRUTH_GROUP else None)
                for term in group.terms
            ],
        )
        for name, group in layout.groups.items()
    }


def package_versions() -> dict[str, str]:
    """Return the versions of python, of this package, and of those that training depends on."""

    def version(name: str) -> str:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            return "not installed"

    packages = {name: version(name) for name in _RECORDED_PACKAGES}
    # Of the code that runs: its source may be on the path, and installed in another version.
    return {"python": platform.python_version(), "rl_sim_env": rl_sim_env.__version__, **packages}


def resolve_checkpoint(
    checkpoint: str | Path | None = None, *, root: Path, load_run: str | None = None
) -> Path:
    """Find the checkpoint that the user means.

    Args:
        checkpoint: A file; a run folder or an experiment folder to use in place of ``root``; the
            name of a file in the newest run that has it; or None for the newest checkpoint.
        root: The experiment folder to search, ``logs/rsl_rl/<experiment>``.
        load_run: Name of a run folder in ``root``, with or without the time that it begins with, or
            a regular expression for either; None for any.

    Returns:
        The checkpoint file. The newest run is the one that wrote a checkpoint last; its newest
        checkpoint is the one with the highest iteration number. Where that is damaged, a notice
        says so and the newest good one before it is taken.

    Raises:
        UserError: Nothing fits; the message lists what there is.
    """
    meant, skipped = meant_checkpoints(checkpoint, root=root, load_run=load_run)
    if skipped:
        message = f"{skipped[0].parent}: newer but without a checkpoint: "
        names = listing(run.name for run in skipped)
        warnings.warn(message + names, Notice, stacklevel=2)
    if len(meant) == 1:
        return meant[0]
    damages = []
    for file in meant:
        damage = _why_damaged(file)
        if damage is None:
            break
        damages.append(damage)
    else:
        # Whoever loads it is told why not.
        return meant[0]
    if damages:
        warnings.warn(Notice(f"{'; '.join(damages)}; taking {file}"), stacklevel=2)
    return file


def _why_damaged(path: Path) -> str | None:
    """What is wrong with a file that another one can stand in for; None where nothing is."""
    try:
        Checkpoint._load(path)
    except _DamagedError as error:
        return str(error)
    return None


def _read(path: Path) -> Any:
    if damage := why_damaged(path):
        raise _DamagedError(damage)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except Exception as error:  # what is raised depends on what the bytes happen to say
        raise _DamagedError(f"{path}: not a checkpoint of rl_sim_env, or a damaged one") from error
