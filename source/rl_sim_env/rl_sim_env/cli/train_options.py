"""Options of training's program."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from rl_sim_env.cli.options import (
    DEFAULT_TASK,
    LOG_ROOT,
    Clips,
    EnvironmentOptions,
    Flag,
    PolicyOptions,
    RobotOptions,
    Unset,
    require_whole,
)
from rl_sim_env.cli.program import check_counts
from rl_sim_env.configuration import AGENT, ENV, apply_settings, settings_for
from rl_sim_env.configuration.limits import COUNT, POSITIVE, SEED, FolderName, Limit, Number
from rl_sim_env.errors import UserError
from rl_sim_env.learning.trained_task import require_task, trained_task
from rl_sim_env.motions.files import matching_files, require_archives
from rl_sim_env.tasks import REFUSED, beginnings, find_task, make_env_cfg

DRAWN = -1
"""Seed that stands for one that is drawn."""

_LIMITS: dict[str, Limit] = {
    "seed": Number(at_least=DRAWN, at_most=SEED.at_most),
    "max_iterations": COUNT,
    "max_minutes": POSITIVE,
    "experiment_name": FolderName(),
    "run_name": FolderName(may_be_empty=True),
}
"""Those of the trainer's fields that the options set."""


@dataclass(kw_only=True)
class TrainOptions(EnvironmentOptions, RobotOptions, PolicyOptions):
    """Train a policy."""

    task: Unset[str] = None
    """Id of the task; default: that of the policy which training goes on from, else
    Rl-Sim-Env-AmpVae-Grq20-V2d3-v0."""

    num_envs: Unset[int] = None
    """Robots per process; default: the task's own number."""

    seed: Unset[int] = None
    """Seed of all random numbers; -1 draws one."""

    max_iterations: Unset[int] = None
    """Iterations to train."""

    max_minutes: Unset[float] = None
    """Wall-clock limit [min]."""

    distributed: Flag = False
    """One of several processes that torchrun started."""

    headless: Flag = False
    """Accepted for the commands people have; training never opens a window."""

    run_name: str = ""
    """Appended to the time stamp that names the run's folder."""

    resume: Flag = False
    """Continue the newest run, or the one that load_run and checkpoint name."""

    finetune: Unset[str] = None
    """Policy to begin a new run with, such as policies/grq20_v2d3: file, run folder or experiment
    folder. Optimisers, critic, discriminator and schedules are new."""

    logger: Unset[Literal["tensorboard", "wandb"]] = None
    """Where the curves go."""

    log_project_name: Unset[str] = None
    """Project name for W&B."""

    motions: Clips = None
    """Motion clips to learn from: files, folders or patterns; default: generated clips."""

    evaluate: Flag = False
    """End with a short evaluation."""

    rescue_dir: Unset[Path] = None
    """Where checkpoints go that the run's folder does not take, because its disk is full or gone;
    default: the system's temporary folder."""

    viewer: Flag = False
    """Serve a page that shows the newest checkpoint: play --watch as a process of its own, on the
    CPU, with the lowest priority; its address is printed. Checkpoints are saved every
    agent.save_interval iterations."""

    export_on_save: Flag = False
    """Export each saved checkpoint to ONNX, below exported/ in the run's folder; each takes a few
    seconds of the training time."""

    settable: ClassVar[tuple[str, ...]] = (ENV, AGENT)

    def __post_init__(self) -> None:
        if self.finetune and self.is_asked:
            raise UserError(
                "--finetune begins a new run, --resume, --load_run and --checkpoint continue one; "
                "give one of them"
            )
        super().__post_init__()
        check_counts(num_envs=self.num_envs)
        for name, limit in _LIMITS.items():
            value = getattr(self, name)
            if value is not None and (unmet := limit.unmet(value)):
                raise UserError(f"--{name} {value}: must {unmet}")
        if self.motions is not None:
            matching_files(self.motions)

    @property
    def looks_alone(self) -> bool:
        """See :attr:`.PolicyOptions.looks_alone`: of many hosts some may not see a folder yet."""
        return not self.distributed

    def require_policy(self) -> None:
        """See :meth:`.PolicyOptions.require_policy`: also the one that a new run begins with."""
        super().require_policy()
        if self.finetune:
            self._require_beginning(Path(self.finetune))
        if self.resume and self.checkpoint is None:
            self.require_runs()

    def require_whole_policy(self) -> None:
        """See :meth:`.PolicyOptions.require_whole_policy`."""
        super().require_whole_policy()
        if self.finetune:
            require_whole(self.finetune, root=Path(self.finetune))

    def _require_beginning(self, place: Path) -> None:
        """Refuse a policy that is not there, or that the task's training cannot begin with."""
        if not place.exists():
            raise UserError(
                f"--finetune {place}: no such file or folder; give a checkpoint, a run folder or "
                "an experiment folder"
            )
        trained = trained_task(place)
        if self.task is not None and trained is not None:
            require_task(place, trained, beginnings(find_task(self.task)))

    @property
    def is_asked(self) -> bool:
        """Whether training goes on from a certain run."""
        return bool(self.resume or self.checkpoint or self.load_run)

    def runs(self) -> Path:
        """See :meth:`.PolicyOptions.runs`; a setting may name the folder, too."""
        cfg = find_task(self.task or DEFAULT_TASK).runner_cfg()
        cfg.experiment_name = self.experiment_name or cfg.experiment_name
        apply_settings(settings_for(AGENT, self.settings, self.settable), AGENT, cfg)
        return LOG_ROOT / cfg.experiment_name

    def check_early(self) -> None:
        """See :meth:`.Options.check_early`: settings, too, but where a checkpoint has its own."""
        super().check_early()
        if self.motions is not None:
            require_archives(self.motions)
        if self.finetune or self.is_asked:
            return
        task = self.task or DEFAULT_TASK
        # Those of the trainer first, which need no simulator.
        if agent := settings_for(AGENT, self.settings, self.settable):
            cfg = find_task(task).runner_cfg()
            apply_settings(agent, AGENT, cfg)
            cfg.check()
        if env := settings_for(ENV, self.settings, self.settable):
            cfg = make_env_cfg(task, **self.task_arguments())
            # Only here: torch takes seconds, and is there once the configuration is.
            from rl_sim_env.learning.distributed import resolve_device

            cfg.configure_for_device(resolve_device(self.device))
            apply_settings(env, ENV, cfg, refused=REFUSED)
            cfg.check()
