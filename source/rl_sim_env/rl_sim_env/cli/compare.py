"""Put reports side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rl_sim_env.cli.options import Folders
from rl_sim_env.cli.program import run_program
from rl_sim_env.errors import UserError


@dataclass(kw_only=True)
class CompareOptions:
    """Put reports side by side: one page with their differences and the intervals of these.

    The first report is what the others are compared with.
    """

    reports: Folders
    """Folders of two reports or more, or folders that hold one as report/, or their report.json."""

    output: Path = Path("comparison")
    """Folder of the page, with the same as Markdown and JSON."""

    def __post_init__(self) -> None:
        if len(self.reports) < 2:
            count = "one report" if self.reports else "no report"
            raise UserError(f"{count} given; give the folders of two reports or more")
        for path in self.reports:
            if not path.exists():
                raise UserError(f"{path}: no such file or folder; give the folder of a report")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    run_program(CompareOptions, write, argv, prog="rl-sim-env compare")


def write(options: CompareOptions) -> None:
    """Write the comparison and say what it comes to.

    Raises:
        UserError: Something is no report, or they cannot be compared, or nothing can be written.
    """
    # Only here: these imports take a second, and a slip in the options should be told at once.
    from rl_sim_env.evaluation.comparison import compare
    from rl_sim_env.evaluation.comparison_page import HTML_NAME, write_comparison

    comparison = compare(options.reports)
    write_comparison(comparison, options.output)
    for of in comparison.reports:
        print(f"{of.letter}: {of.path}")
    for line in (*(f"note: {warning}" for warning in comparison.warnings), *comparison.summary()):
        print(line)
    print(f"comparison: {options.output / HTML_NAME}")
