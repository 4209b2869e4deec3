"""Exporting a policy from the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rl_sim_env.cli.options import (
    POLICIES,
    Flag,
    PolicyOptions,
    Unset,
    find_checkpoint,
    require_output,
)
from rl_sim_env.cli.program import run_program


@dataclass(kw_only=True)
class ExportOptions(PolicyOptions):
    """Write a trained policy as ONNX files that run without torch and without the simulator."""

    task: Unset[str] = None
    """Id of the task whose newest run is exported where no checkpoint is named."""

    output: Unset[Path] = None
    """Folder for the files; default: exported/<checkpoint>, beside the checkpoint, and for the
    policy of the checkout in the working directory."""

    with_checkpoint: Flag = False
    """Write the checkpoint, too, without what only training needs: to hand a policy on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_output(self.output, "the ONNX files")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the export program."""
    run_program(ExportOptions, export, argv, prog="rl-sim-env export")


def export(options: ExportOptions) -> None:
    """Export as the options say, and tell where the files are.

    Raises:
        UserError: There is no such checkpoint, or the files cannot be written.
    """
    # Only here: these imports take seconds, and a slip in the options should be told at once.
    from rl_sim_env.deploy.onnx_export import export_folder, export_policy
    from rl_sim_env.learning.checkpoint import Checkpoint

    path = find_checkpoint(options)
    folder = options.output
    if folder is None:
        # What comes with the checkout stays as it is.
        is_shipped = path.parent.resolve().parent == POLICIES.resolve()
        own = Path(path.name) if is_shipped else path
        folder = export_folder(own)
    files = [*export_policy(path, folder)]
    if options.with_checkpoint:
        files.append(folder / path.name)
        Checkpoint.load(path).policy_only().save(files[-1])
    for file in files:
        print(file)
