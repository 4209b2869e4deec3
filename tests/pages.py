"""The pages that users read."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[1]
"""Folder of the checkout."""

DOCS = ROOT / "docs"
"""Folder of the pages."""

PAGES = sorted(
    page
    for folder in (ROOT, DOCS, ROOT / "benchmarks", ROOT / "policies")
    for page in folder.glob("*.md")
)
"""All of them."""

_SNIPPET = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"^```\w+\n# ([\w./]+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"(?:rl-sim-env +|scripts/rsl_rl/)(\w[^`\n]*)")
_MAKE = re.compile(r"(?:^ {4}|`)make +(\w[^`\n]*)", re.MULTILINE)
_BENCHMARK = re.compile(r"python benchmarks/(\w+\.py[^`\n]*)")
_SETTING = re.compile(r"\b(?:env|agent)(?:\.\w+)+=(?:\{[^}]*\}|[^\s`'\"]+)")


def python_snippets(page: Path) -> list[str]:
    """The Python that a page shows, block by block."""
    return _SNIPPET.findall(page.read_text())


def write_files(page: Path, folder: Path) -> list[Path]:
    """Write down the files that a page shows, each of which begins with its name, as they stand."""
    written = []
    for name, text in _FILE.findall(page.read_text()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        written.append(path)
    return written


def commands(page: Path) -> list[list[str]]:
    """Calls of our programs that a page shows, word by word, the program's name first."""
    return [shlex.split(found, comments=True) for found in _COMMAND.findall(_joined_lines(page))]


def shell_line(page: Path, part: str) -> str:
    """The one line for a shell that a page shows with these words in it, continuations joined."""
    found = re.findall(r"^ {4}(\S.*)$", _joined_lines(page), re.MULTILINE)
    (line,) = (line for line in (" ".join(each.split()) for each in found) if part in line)
    return line


def make_commands(page: Path) -> list[list[str]]:
    """Calls of make that a page shows, word by word, the target first."""
    return [shlex.split(found, comments=True) for found in _MAKE.findall(_joined_lines(page))]


def benchmark_commands(page: Path) -> list[list[str]]:
    """Calls of the benchmarks that a page shows, word by word, the module's name first."""
    return [shlex.split(found, comments=True) for found in _BENCHMARK.findall(_joined_lines(page))]


def links(page: Path) -> list[str]:
    """What a page links to beside the web: files, from the page's folder, and headings."""
    found = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    return [target for target in found if "://" not in target]


def _joined_lines(page: Path) -> str:
    return page.read_text().replace("\\\n", " ")


def settings(page: Path) -> list[str]:
    """Settings of environment and trainer that a page shows, but for those that stand for any."""
    found = _SETTING.findall(page.read_text())
    return [setting for setting in found if not setting.endswith(".path=value")]
