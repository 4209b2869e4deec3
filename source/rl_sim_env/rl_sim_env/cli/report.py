"""Write the pages of reports anew from what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rl_sim_env.cli.options import Folders, Unset
from rl_sim_env.cli.program import quiet, run_program
from rl_sim_env.errors import UserError

if TYPE_CHECKING:
    from rl_sim_env.evaluation.report import Report


@dataclass(kw_only=True)
class ReportOptions:
    """Write page, Markdown and plots of reports anew, from the report.json in their folders.

    Nothing is measured. A report that another machine wrote, or an older version, gets today's
    page.
    """

    reports: Folders
    """Folders of reports, or folders that hold one as report/."""

    photo_of: Unset[Path] = None
    """Checkpoint, or folder of a run, whose policy is photographed as it walks, for a report from a
    machine that could not render; default: the picture that is there stays."""

    def __post_init__(self) -> None:
        if not self.reports:
            raise UserError("no report given; give the folder of a report")
        for folder in self.reports:
            if not folder.is_dir():
                wrong = "is a file" if folder.exists() else "no such folder"
                raise UserError(f"{folder}: {wrong}; give the folder of a report")
        if self.photo_of is not None and not self.photo_of.exists():
            raise UserError(f"--photo_of {self.photo_of}: no such file or folder")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    run_program(ReportOptions, write, argv, prog="rl-sim-env report")


def write(options: ReportOptions) -> None:
    """Write the pages and say where they are.

    Raises:
        UserError: A folder holds no report, or cannot be written.
    """
    # Only here: these imports take a second, and a slip in the options should be told at once.
    from rl_sim_env.evaluation.rendering import HTML_NAME, read_photo, write_report
    from rl_sim_env.evaluation.report import Report, file_of

    for folder in (file_of(given).parent for given in options.reports):
        report = Report.read(folder)
        taken = options.photo_of and _photograph(options.photo_of, report)
        write_report(report, folder, taken or read_photo(folder))
        print(f"report: {folder / HTML_NAME}", flush=True)


def _photograph(policy: Path, report: Report) -> bytes | None:
    """A policy as it walks on the task of the report."""
    from rl_sim_env.cli.evaluate import arena_in_daylight
    from rl_sim_env.evaluation.arena import Arena
    from rl_sim_env.experiment import (
        EnvOptions,
        Training,
        build_policy,
        build_vec_env,
        configure_env,
    )
    from rl_sim_env.learning.checkpoint import Checkpoint, resolve_checkpoint
    from rl_sim_env.viewer.offscreen import photograph

    path = resolve_checkpoint(policy, root=policy)
    checkpoint = Checkpoint.load(path)
    task = report.facts.get("Evaluated on", checkpoint.task)
    training = Training.of(checkpoint, path, task)
    setup = configure_env(
        EnvOptions(
            task=task,
            device="cpu",
            training=training,
            adapt=arena_in_daylight,
            num_envs=1,
            seed=0,
        )
    )
    with quiet():
        vec_env = build_vec_env(setup)
    photo = photograph(Arena(vec_env, build_policy(checkpoint, path, task, vec_env)))
    vec_env.close()
    if photo is None:
        print("note: no OpenGL to render with, so there is no new picture", flush=True)
    return photo
