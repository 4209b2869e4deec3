"""The page that runs a robot in a browser, from the command line."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from rl_sim_env.cli.options import (
    ONNX_SUFFIX,
    POLICIES,
    Options,
    Unset,
    require_output,
    require_whole,
)
from rl_sim_env.cli.program import run_program
from rl_sim_env.errors import UserError


@dataclass(kw_only=True)
class WebOptions(Options):
    """Write a page that runs a trained robot in any browser, with nothing installed.

    Its folder is complete: any static host serves it.
    """

    policy: tyro.conf.Positional[Path]
    """The policy: an exported .onnx, a checkpoint, or the folder of a run."""

    output: Path = Path("site")
    """Folder for the page."""

    mjcf: Unset[Path] = None
    """The robot's model; default: that of the policy's task."""

    def __post_init__(self) -> None:
        if not self.policy.exists():
            raise UserError(f"{self.policy}: no such file or folder; the shipped: {POLICIES}")
        require_output(self.output, "the page")
        if self.mjcf is not None and not self.mjcf.is_file():
            raise UserError(f"--mjcf {self.mjcf}: no such file")

    def check_early(self) -> None:
        """See :meth:`.Options.check_early`."""
        if self.policy.suffix != ONNX_SUFFIX:
            require_whole(self.policy, root=self.policy)
            return
        from rl_sim_env.deploy import open_session
        from rl_sim_env.deploy.deployed_policy import MAP

        session, _ = open_session(self.policy)
        if MAP in {port.name for port in session.get_inputs()}:
            raise _sees(self.policy)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    run_program(WebOptions, write, argv, prog="rl-sim-env web")


def write(options: WebOptions) -> None:
    """Write the page and say how to look at it.

    Raises:
        UserError: The policy, its robot or the page's packages are not to be had, or the folder
            cannot be written.
    """
    # Only here: these imports take seconds, and a slip in the options should be told at once.
    print(f"{options.policy}: loading", flush=True)
    from rl_sim_env.deploy import open_session
    from rl_sim_env.tasks import find_task
    from rl_sim_env.web.packages import install_packages
    from rl_sim_env.web.site import size_on_the_line, write_site

    export = None if options.policy.suffix == ONNX_SUFFIX else _export_of_blind(options.policy)
    packages = install_packages()
    with tempfile.TemporaryDirectory() as folder:
        policy = options.policy if export is None else export(Path(folder))
        robot = find_task(open_session(policy)[1].task).robot
        if options.mjcf is not None:
            robot = robot.with_model(options.mjcf)
        print(f"writing the page of {robot.name}", flush=True)
        write_site(options.output, policy, robot, packages)
    megabytes = size_on_the_line(options.output) / 1e6
    print(f"page: {options.output}, {megabytes:.1f} MB for a visitor")
    print(f"serve it: python -m http.server --directory {options.output}")
    print("look at it: http://localhost:8000", flush=True)


def _export_of_blind(policy: Path) -> Callable[[Path], Path]:
    """What exports the checkpoint that is meant; refuses one that sees before anything is done."""
    from rl_sim_env.deploy.onnx_export import export_module, load_module
    from rl_sim_env.learning.checkpoint import resolve_checkpoint

    checkpoint = resolve_checkpoint(policy, root=policy)
    module, metadata = load_module(checkpoint)
    if module.map is not None:
        raise _sees(checkpoint)

    def export(folder: Path) -> Path:
        print(f"exporting {checkpoint}: that takes half a minute", flush=True)
        return export_module(module, metadata, folder)[0]

    return export


def _sees(policy: Path) -> UserError:
    return UserError(
        f"{policy}: this policy sees, and the page makes no maps of the ground; give one that "
        "walks blind"
    )
