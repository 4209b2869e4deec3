"""The one place where environment, policy and trainer are put together.

Every program configures an environment in the same order: the task's own configuration, the values
that the policy was trained with, what the program needs, number of robots, seed, device, settings
of the command line. What comes later counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rl_sim_env.configuration import (
    AGENT,
    ENV,
    NOTHING,
    AppliedSetting,
    Restored,
    apply_settings,
    blamed_on,
    in_todays_form,
    plain_at,
    restore,
    settings_for,
    to_plain,
)
from rl_sim_env.continuity import (
    AGENT_OF_THE_RUN,
    OF_THE_RUN,
    is_of_the_policy,
    matches,
    short,
    with_parts,
    without_effect,
)
from rl_sim_env.envs import AmpVaeEnv, AmpVaeEnvCfg, AmpVaeVecEnv
from rl_sim_env.errors import UserError, found_in
from rl_sim_env.learning.amp import STYLE_STATE
from rl_sim_env.learning.checkpoint import Checkpoint
from rl_sim_env.learning.config import AmpVaeRunnerCfg
from rl_sim_env.learning.discriminator import Discriminator
from rl_sim_env.learning.distributed import Distributed
from rl_sim_env.learning.layout import ObservationLayout
from rl_sim_env.learning.policy import AmpVaePolicy
from rl_sim_env.learning.runner import AmpVaeRunner
from rl_sim_env.learning.structure import require_like
from rl_sim_env.motions import MotionSampler, load_clips
from rl_sim_env.tasks import (
    REFUSED,
    beginnings,
    family_ids,
    find_task,
    make_env_cfg,
    require_arguments,
)

MODEL_ARGUMENT = "mjcf_path"
"""Argument of tasks that says where the robot's model is."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """In what a policy was trained."""

    task: str
    """Id of the task."""

    env_cfg: Mapping[str, Any]
    """Configuration of the environment, as plain values."""

    arguments: Mapping[str, Any] = field(default_factory=dict)
    """What the task was made with, as plain values."""

    source: str = "the trained configuration"
    """Where all of this was read from, for messages."""

    @staticmethod
    def of(checkpoint: Checkpoint, path: Path, task: str, *, finetune: bool = False) -> Training:
        """What a checkpoint says.

        Args:
            checkpoint: The checkpoint.
            path: Where it was read from, for messages.
            task: Id of the task that the policy is wanted for.
            finetune: Whether only the policy goes on, which may be one that the task's grows from.

        Raises:
            UserError: The policy was trained on another family of tasks, or the checkpoint does not
                say in which environment.
        """
        wanted = find_task(task)
        fitting = beginnings(wanted) if finetune else family_ids(wanted.family)
        checkpoint.require_task(path, fitting)
        return Training(
            task=checkpoint.task,
            env_cfg=in_todays_form(
                checkpoint.trained_env_cfg(path), find_task(checkpoint.task).robot
            ),
            arguments=checkpoint.task_arguments,
            source=str(path),
        )


@dataclass(frozen=True, kw_only=True)
class EnvOptions:
    """What a program wants of an environment."""

    task: str
    """Id of the task."""

    device: str
    """``cpu`` or ``cuda:N``."""

    arguments: Mapping[str, Any] = field(default_factory=dict)
    """What to make the task with, as plain values: ``mjcf_path``, ``arm``. What is left out is as
    in training, else the task's own."""

    training: Training | None = None
    """What the policy was trained in; None where there is none yet."""

    adapt: Callable[[AmpVaeEnvCfg], object] | None = None
    """Changes the configuration, in place, to what the program needs."""

    num_envs: int | None = None
    """Robots; None: the task's own number, or what ``adapt`` has set."""

    seed: int | None = None
    """Seed of all random numbers of the environment; None: a random one."""

    settings: Sequence[str] = ()
    """Settings, as ``env.path=value``."""


@dataclass(frozen=True, kw_only=True)
class EnvSetup:
    """An environment that is ready to be built."""

    task: str
    """Id of the task."""

    device: str
    """``cpu`` or ``cuda:N``."""

    arguments: Mapping[str, Any]
    """What the task was made with, as plain values."""

    cfg: AmpVaeEnvCfg
    """The configuration."""

    differences: tuple[str, ...] = ()
    """How it differs from the policy's training, from the task's defaults and from what was saved,
    line by line."""

    settings: tuple[str, ...] = ()
    """Settings that ``cfg`` was given."""

    files: tuple[str, ...] = ()
    """Where the policy's training was read from."""


def configure_env(options: EnvOptions) -> EnvSetup:
    """Configure an environment.

    Raises:
        UserError: There is no such task or setting, a value is none that a field may have, the
            model is missing, or the policy depends on something that is not as in training.
    """
    training = options.training
    trained_arguments = {} if training is None else training.arguments
    arguments = {**trained_arguments, **options.arguments}
    with found_in(training.source) if training else nullcontext():
        require_arguments(trained_arguments)
    require_arguments(arguments)
    cfg = make_env_cfg(options.task, **arguments)
    differences = [
        f"{name}: trained with {trained_arguments[name]}, now {value}"
        for name, value in options.arguments.items()
        if trained_arguments.get(name, value) != value
    ]
    restored = Restored()
    if training is not None:
        model = {name: value for name, value in arguments.items() if name == MODEL_ARGUMENT}
        default = make_env_cfg(training.task, **{**training.arguments, **model})
        restored = restore(cfg, default, training.env_cfg, left_out=with_parts(OF_THE_RUN))
        with found_in(training.source):
            _require_what_the_policy_depends_on(restored)
            cfg.check()
    if options.adapt is not None:
        options.adapt(cfg)
    if options.num_envs is not None:
        cfg.scene.num_envs = options.num_envs
    cfg.seed = options.seed
    cfg.configure_for_device(options.device)
    applied = apply_settings(options.settings, ENV, cfg, refused=REFUSED)
    cfg.check()
    if training is not None:
        differences += _differences(ENV, restored, applied, training.env_cfg)
    return EnvSetup(
        task=options.task,
        device=options.device,
        arguments=arguments,
        cfg=cfg,
        differences=tuple(differences),
        settings=tuple(options.settings),
        files=() if training is None else (training.source,),
    )


def build_env(setup: EnvSetup, render_mode: str | None = None) -> AmpVaeEnv:
    """Build an environment; it is not reset.

    Raises:
        UserError: There can be none with the configuration, or with the settings it was given.
    """
    with blamed_on(setup.settings or setup.files):
        return AmpVaeEnv(setup.cfg, setup.device, render_mode)


def build_vec_env(setup: EnvSetup) -> AmpVaeVecEnv:
    """Build an environment as trainer and policies see it, and reset it; see :func:`build_env`."""
    env = build_env(setup)
    with blamed_on(setup.settings or setup.files):
        return AmpVaeVecEnv(env)


def build_policy(
    checkpoint: Checkpoint, path: Path, task_id: str, vec_env: AmpVaeVecEnv
) -> AmpVaePolicy:
    """Rebuild the policy of a checkpoint for an environment, on its device.

    Args:
        checkpoint: The checkpoint.
        path: Where it was read from, for messages.
        task_id: Task of the environment.
        vec_env: The environment.

    Raises:
        UserError: It was trained on another family of tasks, on other observations, or with
            settings that this program does not know.
    """
    tasks = family_ids(find_task(task_id).family)
    checkpoint.require(path, tasks=tasks, layout=vec_env.observation_layout)
    return AmpVaePolicy.from_saved(
        checkpoint.algorithm,
        ObservationLayout.from_dict(checkpoint.layout),
        vec_env.num_actions,
        checkpoint.runner_cfg(path),
        str(vec_env.device),
        path,
    )


def build_style_judge(
    checkpoint: Checkpoint, path: Path, vec_env: AmpVaeVecEnv
) -> Discriminator | None:
    """Rebuild the discriminator of a checkpoint, which says how much a motion looks like the clips.

    Args:
        checkpoint: The checkpoint.
        path: Where it was read from, for messages.
        vec_env: The environment.

    Returns:
        None where the checkpoint holds none: it was trained without, or handed on as a policy only.

    Raises:
        UserError: What was saved is no such network.
    """
    saved = checkpoint.algorithm.get("learners", {}).get("discriminator")
    layout = vec_env.observation_layout
    if saved is None or STYLE_STATE not in layout.groups:
        return None
    judge = Discriminator(layout.width(STYLE_STATE), checkpoint.runner_cfg(path).amp)
    where = f"{path}: algorithm.learners.discriminator"
    require_like(saved, {"modules": {"discriminator": judge.state_dict()}}, where)
    judge.load_state_dict(saved["modules"]["discriminator"])
    return judge.to(vec_env.device).eval()


@dataclass(frozen=True, kw_only=True)
class TrainerOptions:
    """What a program wants of a trainer."""

    task: str
    """Id of the task."""

    given: Mapping[str, Any] = field(default_factory=dict)
    """Values of fields of :class:`AmpVaeRunnerCfg` by name; None: not given."""

    motion_paths: tuple[str, ...] | None = None
    """Motion clips to learn from; None: not given."""

    settings: Sequence[str] = ()
    """Settings, as ``agent.path=value``."""

    finetune: bool = False
    """Whether only the policy of a checkpoint goes on, on any task of its family: its networks ask
    for the learners of the task that it was trained on. A policy that grows has the learners of the
    task at hand."""


def configure_trainer(
    options: TrainerOptions, resumed: Checkpoint | None = None
) -> tuple[AmpVaeRunnerCfg, tuple[str, ...]]:
    """Configure a trainer.

    Args:
        options: What is wanted.
        resumed: Checkpoint whose training goes on: its learners are configured alike.

    Returns:
        The configuration, and how it differs from that of the checkpoint, line by line.

    Raises:
        UserError: There is no such task or setting, or nothing can be trained with a value.
    """
    cfg, restored = find_task(options.task).runner_cfg(), Restored()
    if resumed is not None:
        default = find_task(resumed.task).runner_cfg()
        if options.finetune and not grows(options.task, resumed):
            of_the_run = {name: getattr(cfg, name) for name in AGENT_OF_THE_RUN}
            cfg = replace(find_task(resumed.task).runner_cfg(), **of_the_run)
        left_out = (*AGENT_OF_THE_RUN, *without_effect(resumed.config))
        restored = restore(cfg, default, resumed.config, left_out=left_out)
    for name, value in options.given.items():
        if value is not None:
            setattr(cfg, name, value)
    if options.motion_paths is not None:
        cfg.amp.motion_paths = options.motion_paths
    applied = apply_settings(options.settings, AGENT, cfg)
    cfg.check()
    if resumed is None:
        return cfg, ()
    if options.finetune:
        _require_first_groups(resumed, cfg)
    return cfg, tuple(_differences(AGENT, restored, applied, resumed.config))


def grows(task: str, checkpoint: Checkpoint) -> bool:
    """Whether a task's policy observes more than that of a checkpoint, and may begin with it."""
    return find_task(checkpoint.task).family == find_task(task).grows_from


def build_trainer(
    setup: EnvSetup,
    vec_env: AmpVaeVecEnv,
    cfg: AmpVaeRunnerCfg,
    *,
    log_dir: Path | None = None,
    processes: Distributed | None = None,
    on_save: Callable[[Path], None] | None = None,
    kind: type[AmpVaeRunner] = AmpVaeRunner,
) -> AmpVaeRunner:
    """Put a trainer together; it trains from the beginning until it loads a checkpoint.

    Args:
        setup: What the environment was built of.
        vec_env: The environment.
        cfg: Configuration of the trainer.
        log_dir: Folder of the run; None to write nothing.
        processes: The processes that train together; by default this one alone.
        on_save: Called with the path of each checkpoint that training has saved.
        kind: Class of the trainer.

    Raises:
        UserError: A motion clip is missing or does not fit.
    """
    robot = setup.cfg.robot
    expert = MotionSampler(
        load_clips(cfg.amp.motion_paths, robot),
        vec_env.observation_layout.names("amp_obs"),
        vec_env.step_dt,
        setup.device,
        robot=robot,
    )
    return kind(
        vec_env,
        cfg,
        expert,
        log_dir,
        task_id=setup.task,
        task_arguments=to_plain(setup.arguments),
        processes=processes,
        on_save=on_save,
    )


def split_settings(settings: Sequence[str]) -> tuple[list[str], list[str]]:
    """Settings of the environment, and those of the trainer.

    Raises:
        UserError: One is for neither.
    """
    env, agent = (settings_for(root, settings, (ENV, AGENT)) for root in (ENV, AGENT))
    return env, agent


def _require_first_groups(checkpoint: Checkpoint, cfg: AmpVaeRunnerCfg) -> None:
    """Refuse networks that do not read first what those of a checkpoint read.

    Raises:
        UserError: They read something else, or in another order.
    """
    for name, now in (("actor", cfg.actor.obs_groups), ("vae", cfg.vae.obs_groups)):
        then = tuple(plain_at(checkpoint.config, f"{name}.obs_groups"))
        if now[: len(then)] != then:
            raise UserError(
                f"agent.{name}.obs_groups of the policy, {', '.join(then)}, must come first in "
                f"those of the one that begins with it, which are {', '.join(now)}"
            )


def _require_what_the_policy_depends_on(restored: Restored) -> None:
    """Refuse what nothing can make good: other functions, and parts that exist no more.

    Raises:
        UserError: Names each with what it was and is.
    """
    broken = [
        f"{ENV}.{path} was {short(saved)}, "
        + ("exists no more" if present is NOTHING else f"is {short(present)}")
        for path, saved, present in restored.changed
        if is_of_the_policy(path)
        and saved is not NOTHING
        and (present is not NOTHING or isinstance(saved, Mapping))
    ]
    if broken:
        raise UserError(
            f"the policy was trained with other code: {'; '.join(broken)}; use the version of "
            "rl_sim_env that trained it, or train anew"
        )


def _differences(
    root: str, restored: Restored, applied: Sequence[AppliedSetting], saved: Mapping[str, Any]
) -> list[str]:
    """Lines on what differs: what the command line sets first, for it was meant."""
    lines = []
    of_the_run = with_parts(OF_THE_RUN if root == ENV else AGENT_OF_THE_RUN)
    for setting in applied:
        if matches(setting.path, of_the_run):
            continue
        trained = plain_at(saved, setting.path)
        trained = setting.before if trained is NOTHING else trained
        if trained != setting.now:
            depends = "; the policy depends on it" if is_of_the_policy(setting.path) else ""
            lines.append(
                f"{root}.{setting.path}: trained with {short(trained)}, now "
                f"{short(setting.now)}{depends}"
            )
    overruled = {setting.path for setting in applied}
    for path, value, usual in restored.carried_over:
        if path not in overruled:
            lines.append(f"{root}.{path}: {short(value)}, as in training, not {short(usual)}")
    for path, value, present in restored.changed:
        if value is NOTHING:
            lines.append(f"{root}.{path}: did not exist in training, now {short(present)}")
        elif present is NOTHING:
            lines.append(f"{root}.{path}: trained with {short(value)}, exists no more")
        else:
            lines.append(f"{root}.{path}: trained with {short(value)}, now {short(present)}")
    return lines
