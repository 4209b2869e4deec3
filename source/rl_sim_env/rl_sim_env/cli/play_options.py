"""Options of the playing program."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rl_sim_env.cli.options import (
    DEFAULT_TASK,
    Clips,
    EnvironmentOptions,
    Flag,
    PolicyOptions,
    RobotOptions,
    Unset,
    require_positive,
    require_whole,
    task_of,
)
from rl_sim_env.errors import UserError
from rl_sim_env.learning.run_folder import named_place
from rl_sim_env.motions.files import matching_files, require_archives
from rl_sim_env.tasks import family_ids, find_task
from rl_sim_env.viewer.page import THIS_MACHINE, free_port, require_port
from rl_sim_env.viewer.video_path import check_video_path


@dataclass(kw_only=True)
class PlayOptions(EnvironmentOptions, RobotOptions, PolicyOptions):
    """Watch a policy, or the motion clips that AMP learns from."""

    task: Unset[str] = None
    """Id of the task to play on; default: the one that the policy was trained on, as it is watched:
    with -Play."""

    num_envs: Unset[int] = None
    """Robots, or with --compare pairs of them; default: the task's own number, or one pair."""

    compare: Unset[str] = None
    """A second policy, shown side by side with the first: same ground, command and load; a file, or
    a folder of runs or checkpoints."""

    p_boot_mean: float = 1.0
    """What the actor is fed: 1 its own estimates, 0 the truth (the upper bound), between them a
    linear blend, which training never showed it."""

    watch: Flag = False
    """Take new checkpoints of the run as they appear; for a training that is under way."""

    duration: Unset[float] = None
    """Simulated time after which to end [s]; default: never."""

    video: Unset[Path] = None
    """Write a video, FILE.mp4, instead of opening the viewer."""

    video_length: Unset[int] = None
    """Control steps in the video; default: the duration, or 400, or every clip once."""

    headless: Flag = False
    """No viewer: only play for the duration, and print the figures."""

    real_time: Flag = False
    """Accepted for the commands people have; the viewer keeps real time anyway."""

    host: str = THIS_MACHINE
    """Address that the viewer's page listens at; 0.0.0.0 lets others watch and steer, too."""

    port: Unset[int] = None
    """Port of the viewer's page; default: 8080, or the next one that is free."""

    seed: int = 42
    """Seed of all random numbers."""

    motions: Clips = None
    """Motion clips to show: files, folders or patterns; default: generated clips."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(
            num_envs=self.num_envs, duration=self.duration, video_length=self.video_length
        )
        if not 0.0 <= self.p_boot_mean <= 1.0:
            raise UserError(
                f"--p_boot_mean {self.p_boot_mean}: must be from 0 (truth) to 1 (estimates)"
            )
        if self.compare is not None and (self.headless or self.video is not None):
            raise UserError(
                "--compare shows two policies on the page; leave out --headless and --video, or "
                "measure both with rl-sim-env evaluate and compare"
            )
        if self.compare is not None:
            self._require_rival(Path(self.compare))
        if self.headless and self.video is None and self.duration is None:
            raise UserError("--headless shows nothing: give --duration SECONDS or --video FILE.mp4")
        if self.port is not None:
            require_port(self.port)
        if self.motions is not None:
            matching_files(self.motions)
        if self.video is not None:
            check_video_path(self.video)

    def check_early(self) -> None:
        """See :meth:`.Options.check_early`."""
        super().check_early()
        if self.motions is not None:
            require_archives(self.motions)
        if self.compare is not None:
            require_whole(self.compare, root=Path(self.compare))
        if not self.headless and self.video is None:
            free_port(self.host, self.port)

    def _require_rival(self, place: Path) -> None:
        """Refuse a second policy that is not there, or walks another robot than the first."""
        if not place.exists():
            raise UserError(
                f"--compare {place}: no such file or folder; give a policy's file or folder, such "
                "as policies/grq20_v2d3"
            )
        first, second = self._own_task(), task_of(place)
        if first is None or second is None or second in family_ids(find_task(first).family):
            return
        raise UserError(
            f"--compare {place}: trained on task {second}, but the first policy is of {first}; "
            "give two of one robot that observe the same"
        )

    def _own_task(self) -> str | None:
        """Id of the task of the first policy, as far as it is known before anything is loaded."""
        place = named_place(self.checkpoint)
        if place is not None:
            return self.task or task_of(place)
        return None if self.is_asked else self.task or DEFAULT_TASK
