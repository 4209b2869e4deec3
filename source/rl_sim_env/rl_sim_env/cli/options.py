"""Options that programs share, and the checkpoint that they mean.

Programs read their options before they import what takes seconds: nothing here or in a module of
options imports the simulator or torch.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

import tyro

from rl_sim_env.configuration import ENV, settings_for
from rl_sim_env.errors import UserError, found_in
from rl_sim_env.hardware import require_device, require_device_name
from rl_sim_env.learning.run_folder import (
    meant_checkpoints,
    named_place,
    older_checkpoints,
    require_folder,
)
from rl_sim_env.learning.seal import why_damaged
from rl_sim_env.learning.trained_task import require_task, trained_task
from rl_sim_env.robots import BoomMode
from rl_sim_env.tasks import Task, family_ids, find_task, watching_task

if TYPE_CHECKING:
    from rl_sim_env.experiment import EnvSetup

_Value = TypeVar("_Value")

Unset = Annotated[_Value | None, tyro.conf.arg(help_behavior_hint="")]
"""An option that need not be given; its text says what happens then."""

Clips = Annotated[tuple[str, ...] | None, tyro.conf.arg(metavar="FILE ...", help_behavior_hint="")]
"""Motion clips, which need not be given."""

Folders = Annotated[
    tuple[Path, ...],
    tyro.conf.Positional,
    tyro.conf.arg(metavar="FOLDER ...", help_behavior_hint=""),
]
"""Folders that a program is about."""

Flag = Annotated[bool, tyro.conf.arg(help_behavior_hint="")]
"""An option without a value, off by default."""

DEFAULT_TASK = "Rl-Sim-Env-AmpVae-Grq20-V2d3-v0"
"""Task of programs that are given neither a task nor a policy."""

LOG_ROOT = Path("logs") / "rsl_rl"
"""Folder of all experiments, in the working directory."""

ONNX_SUFFIX = ".onnx"

POLICIES = Path(__file__).parents[4] / "policies"
"""The trained policies that come with the checkout, in a folder for each robot."""

ROBOTS_OF_A_CORE = 512
"""More of them for each core of a CPU make iterations of many seconds."""

SHOWN_DIFFERENCES = 12
"""Lines on how an environment differs from the training of its policy."""


@dataclass(kw_only=True)
class Options:
    """What all options have in common: each kind checks its own, before anything heavy is imported.

    A check that needs the simulator, or torch, is the program's.
    """

    def __post_init__(self) -> None:
        """Nothing is left to check."""

    def check_early(self) -> None:
        """Refuse what needs a look around, before the program is imported, which takes seconds.

        Programs look again where it counts.

        Raises:
            UserError: Something that is named is not there, or of no use.
        """


@dataclass(kw_only=True)
class EnvironmentOptions(Options):
    """Where an environment runs, and what differs in it."""

    device: Unset[str] = None
    """cpu, cuda or cuda:N; default: CUDA if there is one."""

    settings: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="PATH=VALUE ...", help_behavior_hint=""),
    ] = ()
    """Further settings, as env.path=value; where something trains, agent.path=value, too."""

    settable: ClassVar[tuple[str, ...]] = (ENV,)
    """What settings may begin with."""

    def __post_init__(self) -> None:
        super().__post_init__()
        names = {field.name for field in fields(self)}
        for text in self.settings:
            name, equals, value = text.partition("=")
            if equals and name in names:
                raise UserError(f"{text}: did you mean --{name} {value}?")
        settings_for(ENV, self.settings, self.settable)
        if self.device is not None:
            require_device_name(self.device)

    def check_early(self) -> None:
        """See :meth:`Options.check_early`."""
        super().check_early()
        if self.device is not None:
            require_device(self.device)


@dataclass(kw_only=True)
class TaskOptions(EnvironmentOptions):
    """Which task, and where it runs."""

    task: str = DEFAULT_TASK
    """Id of the task."""

    def __post_init__(self) -> None:
        super().__post_init__()
        find_task(self.task)


@dataclass(kw_only=True)
class RobotOptions(Options):
    """How the robot differs from the task's own."""

    mjcf: Unset[Path] = None
    """The robot's model; default: the one in training, else the task's own."""

    arm: Unset[BoomMode] = None
    """Whether the boom is locked where it was drawn, or viscous, so that it drifts; default: as in
    training, else locked."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mjcf is not None and not self.mjcf.is_file():
            raise UserError(f"--mjcf {self.mjcf}: no such file")

    def task_arguments(self) -> dict[str, Any]:
        """What of it was given, as arguments of the task."""
        model = None if self.mjcf is None else str(self.mjcf.absolute())
        given = {"mjcf_path": model, "arm": self.arm}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(kw_only=True)
class PolicyOptions(Options):
    """Which policy, and where runs are."""

    task: Unset[str] = None
    """Id of the task; default: the one that the policy was trained on."""

    experiment_name: Unset[str] = None
    """Folder of the runs, below logs/rsl_rl; default: the task's own."""

    load_run: Unset[str] = None
    """Run to take the policy from: its folder's name, with or without the time it begins with, or a
    regular expression for either; where several fit, and by default, the one that saved last."""

    checkpoint: Unset[str] = None
    """Policy to take: file, file name in the run, run folder or experiment folder; default: the
    newest of the run."""

    takes_exported: ClassVar[bool] = False
    """Whether the networks of an exported policy will do where there is no checkpoint."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task is not None:
            find_task(self.task)
        # Of settings, which may stand anywhere, too.
        for text in getattr(self, "settings", ()):
            if "=" not in text and Path(text).exists():
                raise UserError(f"{text}: a policy is named as --checkpoint {text}")
        if self.looks_alone:
            self.require_policy()

    @property
    def looks_alone(self) -> bool:
        """Whether this process looks for the policy by itself, not rank 0 for all."""
        return True

    def require_policy(self) -> None:
        """Refuse a policy that is not there or of another task, as far as names and places tell.

        Raises:
            UserError: It is one.
        """
        place = named_place(self.checkpoint)
        if place is None and (self.checkpoint or self.load_run):
            self.require_runs()
        if place is not None and self.task is not None:
            self.require_task(place, find_task(self.task))

    def require_whole_policy(self) -> None:
        """Refuse a policy of which no byte can be trusted, without torch.

        Raises:
            UserError: It is one, or there is none.
        """
        place = named_place(self.checkpoint)
        if place is not None and place.suffix == ONNX_SUFFIX and self.takes_exported:
            require_networks(place)
        elif self.is_asked and not self.is_exported_folder(place):
            require_whole(self.checkpoint, root=self.runs(), load_run=self.load_run)

    @property
    def is_asked(self) -> bool:
        """Whether a certain policy is asked for."""
        return bool(self.checkpoint or self.load_run or self.experiment_name)

    def runs(self) -> Path:
        """Folder of the experiment whose runs are looked through."""
        own = find_task(self.task or DEFAULT_TASK).runner_cfg().experiment_name
        return LOG_ROOT / (self.experiment_name or own)

    def check_early(self) -> None:
        """See :meth:`Options.check_early`: the policy that is asked for."""
        super().check_early()
        if self.looks_alone:
            self.require_whole_policy()

    def is_exported_folder(self, place: Path | None) -> bool:
        """Whether a place holds an exported policy that will do, and no checkpoint."""
        if place is None or not self.takes_exported or any(place.glob("model_*.pt")):
            return False
        from rl_sim_env.deploy.metadata import NETWORK_FILE

        return (place / NETWORK_FILE).is_file()

    def require_task(self, place: Path, task: Task) -> None:
        """Refuse a policy of other tasks, as far as its file tells without torch.

        Args:
            place: The policy's file, or a folder of such.
            task: What it is wanted for.

        Raises:
            UserError: It was trained on a task of another family.
        """
        trained = task_of(place)
        if trained is not None:
            require_task(place, trained, family_ids(task.family))

    def require_runs(self) -> None:
        """Refuse to look for a run where there can be none.

        Raises:
            UserError: There is no folder of runs, or not the one that is named.
        """
        require_folder(LOG_ROOT / (self.experiment_name or ""), self.checkpoint)


def task_of(place: Path) -> str | None:
    """Id of the task that a policy was trained on, read without torch.

    Args:
        place: File of the policy, exported or not, or a folder of checkpoints.

    Returns:
        None where it cannot be told without loading the policy.
    """
    if place.suffix != ONNX_SUFFIX:
        return trained_task(place)
    from rl_sim_env.deploy import open_session

    return open_session(place)[1].task


def require_whole(
    checkpoint: str | Path | None, *, root: Path, load_run: str | None = None
) -> None:
    """Refuse a checkpoint that is not there, or of which no byte can be trusted, without torch.

    Args:
        checkpoint: See :func:`.meant_checkpoints`, as the rest.
        root: The experiment folder.
        load_run: Name of the run.

    Raises:
        UserError: There is no such checkpoint, or it is damaged and no other is meant, or it is an
            exported policy; the message names the checkpoint that this was exported from.
    """
    (first, *others), _ = meant_checkpoints(checkpoint, root=root, load_run=load_run)
    if first.suffix == ONNX_SUFFIX:
        raise UserError(
            f"{first}: an exported policy, for robots and for rl-sim-env web and evaluate; here "
            f"the checkpoint is needed that it was made of{_source_of(first)}"
        )
    damage = why_damaged(first)
    if damage is None or any(why_damaged(other) is None for other in others):
        return
    good = (file for file in older_checkpoints(first) if why_damaged(file) is None)
    before = next(good, None)
    raise UserError(damage if before is None else f"{damage}; the newest good one is {before}")


def require_networks(file: Path) -> None:
    """Refuse an exported policy that keeps history, where the environment brings its own.

    Raises:
        UserError: It does; the message names what will do.
    """
    # Only here: this import takes a quarter of a second.
    from rl_sim_env.deploy import open_session
    from rl_sim_env.deploy.deployed_policy import JOINT_TARGETS
    from rl_sim_env.deploy.metadata import NETWORK_FILE

    session, _ = open_session(file)
    if JOINT_TARGETS in {port.name for port in session.get_outputs()}:
        raise UserError(
            f"{file}: this file keeps history and scaling inside, as a robot needs them, but the "
            f"environment of an evaluation brings its own; give the {NETWORK_FILE} of the same "
            f"export, or the checkpoint that it was made of{_source_of(file)}"
        )


def _source_of(exported: Path) -> str:
    """Name of the checkpoint that a policy was exported from, and where it is, for a message."""
    from rl_sim_env.deploy import open_session

    name = open_session(exported)[1].checkpoint
    # Beside it, or in the run's folder, as export_folder() has it.
    places = (exported.parent, *exported.absolute().parents[2:3])
    found = next((place / name for place in places if (place / name).is_file()), None)
    return f", {name}" if found is None else f": --checkpoint {relative(found)}"


def find_policy(options: PolicyOptions, *, watched: bool = False) -> tuple[Path, str]:
    """Find a policy's file, and the task that it is wanted on.

    Args:
        options: What was given.
        watched: Whether the policy's own task stands for the one that it is watched on.

    Returns:
        Path of the file, and id of the task: the one given, which is told where it is not the
        policy's own, else that.

    Raises:
        UserError: There is no such task or file, or nobody knows the task it was trained on.
    """
    # Only here: these imports take seconds.
    from rl_sim_env.learning.checkpoint import Checkpoint

    path = find_checkpoint(options)
    # Whoever loads the policy reads all of the file, and need not do so twice.
    trained = task_of(path) or Checkpoint.load(path).task
    task = choose_task(options.task, trained, path)
    tell_other_task(task, trained)
    return path, watching_task(task) if watched and options.task is None else task


def choose_task(given: str | None, trained: str, path: Path) -> str:
    """Id of the task that a saved policy is wanted on: its own unless another one is given.

    Args:
        given: What the user said; None: nothing.
        trained: Id of the task that it was trained on.
        path: Where it was read from, for the message.

    Raises:
        UserError: Nothing was given, and no task is called as its own.
    """
    if given is not None:
        return given
    with found_in(path):
        find_task(trained)
    return trained


def tell_other_task(task: str, trained: str) -> None:
    """Say so where a policy is wanted on another task than it was trained on."""
    if task not in (trained, watching_task(trained)):
        print(
            f"NOTE: this policy was trained on {trained} and is taken to {task}, the --task of "
            "this command",
            flush=True,
        )


def find_checkpoint(options: PolicyOptions) -> Path:
    """Find the checkpoint's file; by default the newest of the task's experiment.

    Where nothing was trained yet and nothing is asked for, it is the policy of the checkout. Which
    one is taken then, and how to take the other, is printed.

    Raises:
        UserError: There is no such task or file.
    """
    # Only here: these imports take seconds.
    from rl_sim_env.deploy.metadata import NETWORK_FILE
    from rl_sim_env.learning.checkpoint import resolve_checkpoint

    place = named_place(options.checkpoint)
    if place is not None and options.is_exported_folder(place):
        return place / NETWORK_FILE
    root = options.runs()
    shipped = POLICIES / find_task(options.task or DEFAULT_TASK).robot.name
    if options.is_asked or not shipped.is_dir():
        return resolve_checkpoint(options.checkpoint, root=root, load_run=options.load_run)
    if not root.is_dir():
        print(f"nothing trained in {root} yet: taking the policy in {shipped}", flush=True)
        return resolve_checkpoint(root=shipped)
    path = resolve_checkpoint(root=root)
    print(
        f"taking the newest policy, {path}; for the shipped one give "
        f"--checkpoint {relative(shipped)}",
        flush=True,
    )
    return path


def relative(path: Path) -> str:
    """The path from the working directory, where it is below it; else as it is."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def tell_differences(differences: tuple[str, ...]) -> None:
    """Print how an environment differs from the training of its policy."""
    for line in differences[:SHOWN_DIFFERENCES]:
        print(f"note: {line}")
    if more := differences[SHOWN_DIFFERENCES:]:
        names = ", ".join(line.partition(":")[0] for line in more[:SHOWN_DIFFERENCES])
        others = " and others" if len(more) > SHOWN_DIFFERENCES else ""
        print(f"note: and {len(more)} differences more, of {names}{others}")
    sys.stdout.flush()


def tell_what_a_gpu_is_for(setup: EnvSetup, consequence: str) -> None:
    """Print a note where a CPU is to move more robots than it can in a reasonable time.

    Args:
        setup: The environment.
        consequence: What that means here, and what to do.
    """
    robots = setup.cfg.scene.num_envs
    if setup.device == "cpu" and robots > ROBOTS_OF_A_CORE * (os.cpu_count() or 1):
        print(f"note: {robots:,} robots are for a GPU; here {consequence}", flush=True)


def require_output(folder: Path | None, what: str) -> None:
    """Refuse a file where --output names a folder.

    Args:
        folder: As given; None where it was not.
        what: What is written into it, for the message.

    Raises:
        UserError: It is a file.
    """
    if folder is not None and folder.exists() and not folder.is_dir():
        raise UserError(f"--output {folder}: is a file; give a folder for {what}")


def require_positive(**values: float | None) -> None:
    """Refuse options that are not above 0.

    Args:
        **values: Options by name; None where one was not given.

    Raises:
        UserError: One is not; the message names it.
    """
    for name, value in values.items():
        if value is not None and not value > 0:
            raise UserError(f"--{name} {value}: must be above 0")
