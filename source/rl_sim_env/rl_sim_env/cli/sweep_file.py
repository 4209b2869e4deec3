"""Sweep files: settings x seeds, the runs that follow from them, and the commands of each."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rl_sim_env.cli.evaluate_options import EvaluateOptions
from rl_sim_env.cli.options import DEFAULT_TASK
from rl_sim_env.cli.program import check_counts, parse_options
from rl_sim_env.cli.train_options import TrainOptions
from rl_sim_env.errors import UserError, found_in
from rl_sim_env.typed import typed

SWEEPS = Path("logs") / "sweeps"
"""What sweeps write beside the folders of their runs, in a folder for each."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")

_OF_THE_SWEEP = {
    "train": (
        *("task", "device", "settings", "seed", "experiment_name", "run_name", "load_run"),
        *("checkpoint", "resume", "distributed", "headless", "evaluate"),
    ),
    "evaluate": ("task", "device", "experiment_name", "load_run", "checkpoint", "output"),
}
"""Options that the sweep itself gives."""


@dataclass(kw_only=True)
class Arm:
    """One of the things that are compared."""

    name: str
    """What it is called; its runs are NAME_seedN."""

    note: str = ""
    """What it is, and what it leaves out of what it is after; stands below the tables."""

    settings: tuple[str, ...] = ()
    """Settings of its training, behind those of all arms."""

    train: dict[str, Any] = field(default_factory=dict)
    """Options of its training, in place of those of all arms."""

    evaluate: dict[str, Any] = field(default_factory=dict)
    """Options of its evaluation, beside those of all arms: for what it must be told, such as
    ``p_boot_mean: 0`` for a policy that lives on the truth."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UserError(
                f"arms: '{self.name}' names files: give letters, digits, '_', '.' and '-'"
            )
        for program in _OF_THE_SWEEP:
            _require_free(getattr(self, program), program, f"arm '{self.name}': ")


@dataclass(kw_only=True)
class SweepFile:
    """What a sweep file says."""

    arms: tuple[Arm, ...]
    """What is compared; all with the first."""

    seeds: tuple[int, ...]
    """Seeds of training, the same for each arm."""

    task: str = DEFAULT_TASK
    """Id of the task."""

    settings: tuple[str, ...] = ()
    """Settings of all training, as env.path=value and agent.path=value."""

    train: dict[str, Any] = field(default_factory=dict)
    """Options of all training, as ``rl-sim-env train --help`` has them."""

    evaluate: dict[str, Any] = field(default_factory=dict)
    """Options of the evaluation, which is the same for all runs."""

    cores: int = 1
    """CPU cores for each run, where there is no GPU."""

    def __post_init__(self) -> None:
        if not self.arms:
            raise UserError("arms: there are none; give at least one")
        if not self.seeds or min(self.seeds) < 0:
            raise UserError(f"seeds: {list(self.seeds)}; give whole numbers from 0, at least one")
        _require_different("arms", [arm.name for arm in self.arms])
        _require_different("seeds", self.seeds)
        _require_free(self.train, "train")
        _require_free(self.evaluate, "evaluate")
        check_counts(cores=self.cores)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training of a sweep, and its evaluation."""

    arm: Arm
    seed: int

    @property
    def name(self) -> str:
        """What its folder is called, behind the time."""
        return f"{self.arm.name}_seed{self.seed}"


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A sweep: its file, and the commands that carry it out."""

    name: str
    """Name of the file, of the folder in :data:`SWEEPS`, and of the runs' experiment."""

    file: SweepFile

    @staticmethod
    def read(path: Path) -> Sweep:
        """Read a sweep file.

        Raises:
            UserError: There is none, it is no YAML, or it says what no program understands.
        """
        try:
            content = yaml.safe_load(path.read_text())
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{path}: no YAML ({reason})") from error
        if content is None:
            raise UserError(f"{path}: nothing stands in it; give arms and seeds at least")
        with found_in(path):
            file = typed(_with_flat_settings(content), SweepFile, "sweep")
            sweep = Sweep(name=path.stem, file=file)
            # By the readers of the programs that will be given them.
            for run in sweep.run_of_each_arm():
                with found_in(f"arm '{run.arm.name}'"):
                    sweep.train_options(run)
                    with found_in("evaluate"):
                        sweep.evaluate_options(run)
        return sweep

    @property
    def folder(self) -> Path:
        """Where its own files are."""
        return SWEEPS / self.name

    @property
    def reports(self) -> Path:
        """Folder of the reports; other options of all evaluations have another."""
        options = json.dumps(self.file.evaluate, sort_keys=True, default=str)
        return self.folder / f"evaluation-{hashlib.sha256(options.encode()).hexdigest()[:8]}"

    def runs(self) -> Iterator[Run]:
        """The runs in the order in which they are begun: all arms of a seed, then the next."""
        for seed in self.file.seeds:
            for arm in self.file.arms:
                yield Run(arm=arm, seed=seed)

    def run_of_each_arm(self) -> Iterator[Run]:
        """One run of each arm, for what does not depend on the seed."""
        for arm in self.file.arms:
            yield Run(arm=arm, seed=self.file.seeds[0])

    def train_command(self, run: Run, *, resume_with: str | None = None) -> list[str]:
        """Arguments that train a run.

        Args:
            run: The run.
            resume_with: One more setting, to continue the run with; None begins it.
        """
        options = {**self.file.train, **run.arm.train}
        settings = [*self.file.settings, *run.arm.settings]
        if resume_with is not None:
            options.pop("finetune", None)
            options |= {"resume": True, "load_run": run.name}
            settings.append(resume_with)
        return [
            *("train", *settings, "--task", self.file.task, "--experiment_name", self.name),
            *("--run_name", run.name, "--seed", str(run.seed), *_words(options)),
        ]

    def evaluate_command(self, run: Run) -> list[str]:
        """Arguments that evaluate a run."""
        return [
            *("evaluate", *self._evaluation(run)),
            *("--experiment_name", self.name, "--load_run", run.name),
            *("--output", str(self.reports / run.name)),
        ]

    def train_options(self, run: Run) -> TrainOptions:
        """What the training of a run reads."""
        program, *words = self.train_command(run)
        return parse_options(TrainOptions, words, prog=f"rl-sim-env {program}")

    def evaluate_options(self, run: Run) -> EvaluateOptions:
        """What the evaluation of a run reads, but for the run, which need not be there yet."""
        return parse_options(EvaluateOptions, self._evaluation(run), prog="rl-sim-env evaluate")

    def _evaluation(self, run: Run) -> list[str]:
        options = {**self.file.evaluate, **run.arm.evaluate}
        return [*options.pop("settings", ()), "--task", self.file.task, *_words(options)]

    def merged(self, earlier: SweepFile | None) -> str:
        """The file as YAML, with the arms that it had before and has no more: their runs are there.

        Args:
            earlier: What the sweep of this name was; None for a new one.

        Raises:
            UserError: Runs that were begun would go on as others; names what differs.
        """
        file = self.file
        if earlier is not None:
            before, now = _of_training(earlier), _of_training(file)
            changed = [name for name, value in before.items() if now.get(name, value) != value]
            if changed:
                raise UserError(
                    f"{self.folder} was begun with other {', '.join(changed)}; give the file "
                    f"another name, or remove {self.folder} and the runs in "
                    f"logs/rsl_rl/{self.name}"
                )
            names = {arm.name for arm in file.arms}
            left_out = (arm for arm in earlier.arms if arm.name not in names)
            file = dataclasses.replace(file, arms=(*file.arms, *left_out))
        plain = json.loads(json.dumps(dataclasses.asdict(file), default=str))
        return yaml.safe_dump(plain, sort_keys=False)


def _with_flat_settings(content: Any) -> Any:
    """What a file says, with the lists that stand among settings as parts of those.

    An anchor of YAML names one setting or a list of them: so arms share a list, and add to it.
    """
    if not isinstance(content, dict):
        return content
    flat = dict(content)
    if isinstance(flat.get("settings"), list):
        flat["settings"] = list(_flattened(flat["settings"]))
    if isinstance(flat.get("arms"), list):
        flat["arms"] = [_with_flat_settings(arm) for arm in flat["arms"]]
    return flat


def _flattened(items: list[Any]) -> Iterator[Any]:
    for item in items:
        if isinstance(item, list):
            yield from _flattened(item)
        else:
            yield item


def _of_training(file: SweepFile) -> dict[str, Any]:
    """What its runs are, by what messages call it."""
    arms = {
        f"settings of arm '{arm.name}'": (arm.settings, arm.train, arm.evaluate)
        for arm in file.arms
    }
    return {**{name: getattr(file, name) for name in ("task", "settings", "train")}, **arms}


def _words(options: Mapping[str, Any]) -> list[str]:
    """Options as a command line has them."""
    words = []
    for name, value in options.items():
        values = [str(each) for each in value] if isinstance(value, list) else [str(value)]
        if value is True:
            words.append(f"--{name}")
        elif value is not False:
            words += [f"--{name}", *values]
    return words


def _require_free(options: Mapping[str, Any], program: str, where: str = "") -> None:
    for name in options:
        if name in _OF_THE_SWEEP[program]:
            raise UserError(
                f"{where}{program}: '{name}' is given by the sweep; see task, seeds and settings"
            )


def _require_different(what: str, values: tuple[Any, ...] | list[Any]) -> None:
    doubles = sorted({value for value in values if values.count(value) > 1})
    if doubles:
        raise UserError(f"{what}: {', '.join(map(str, doubles))} stands there more than once")
