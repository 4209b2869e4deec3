"""The rooms of the package, as docs/architecture.md lists them from top to bottom."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import rl_sim_env
from pages import DOCS

_PACKAGE = Path(rl_sim_env.__file__).parent


def _rooms() -> dict[str, int]:
    """Height of each room in the table, the highest first."""
    table = re.search(
        r"\| room \| job \|\n(.*?)\n\n", (DOCS / "architecture.md").read_text(), re.DOTALL
    )
    assert table is not None
    rows = [line.split("|")[1] for line in table[1].splitlines()[1:]]
    return {
        name.removesuffix(".py").rstrip("/"): -row
        for row, cell in enumerate(rows)
        for name in re.findall(r"`([^`]+)`", cell)
    }


def _imported(tree: ast.AST) -> Iterator[str]:
    """Modules of the package that run when this one does; those for type checkers do not."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        if isinstance(node, ast.ImportFrom) and node.module == "rl_sim_env":
            yield from (f"rl_sim_env.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        else:
            yield from _imported(node)


def test_every_room_is_in_the_table():
    rooms = {path.stem for path in _PACKAGE.iterdir() if path.suffix in ("", ".py")}

    assert rooms - {"__init__", "__pycache__"} == set(_rooms())


def test_imports_run_downwards_only():
    heights = _rooms()

    upwards = []
    for file in _PACKAGE.rglob("*.py"):
        room = file.relative_to(_PACKAGE).parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        for module in _imported(ast.parse(file.read_text())):
            package, _, rest = module.partition(".")
            target = rest.split(".")[0]
            if package != "rl_sim_env" or target in ("", room):
                continue
            if heights[target] >= heights[room]:
                upwards.append(f"{file.relative_to(_PACKAGE)} imports {module}")

    assert not upwards
