"""The rooms of the package, as docs/architecture.md lists them, and how large they may be."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import rl_sim_env
from pages import DOCS, ROOT

_PACKAGE = Path(rl_sim_env.__file__).parent
_MOST_LINES = 500
_MOST_OF_A_CONSTRUCTOR, _MOST_OF_A_FUNCTION = 8, 10
"""Parameters beside ``self``; more of them are a concept without a name."""


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


def _num_parameters(function: ast.FunctionDef) -> int:
    named = [node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)]
    return len(named) - (named[:1] in (["self"], ["cls"]))


def _is_of_warp(function: ast.FunctionDef) -> bool:
    """Whether Warp compiles it: what it reads comes in array by array."""
    return any(ast.unparse(each).startswith("wp.") for each in function.decorator_list)


def test_no_file_is_longer_than_one_can_read():
    lengths = {file: len(file.read_text().splitlines()) for file in _PACKAGE.rglob("*.py")}

    assert not [f"{file}: {lines}" for file, lines in lengths.items() if lines > _MOST_LINES]


def test_no_constructor_or_function_asks_for_too_much():
    greedy = []
    for file in _PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.FunctionDef) or _is_of_warp(node):
                continue
            most = _MOST_OF_A_CONSTRUCTOR if node.name == "__init__" else _MOST_OF_A_FUNCTION
            if _num_parameters(node) > most:
                greedy.append(f"{file.relative_to(_PACKAGE)}: {node.name}")

    assert not greedy


def test_the_second_robot_is_in_files_of_its_own():
    own = {_PACKAGE / "robots" / "go1", _PACKAGE / "tasks" / "go1.py"}
    files = [*_PACKAGE.rglob("*.py"), *(ROOT / "scripts").rglob("*.py"), ROOT / "Makefile"]
    others = [path for path in files if not own & {path, *path.parents}]
    assert len(others) < len(files)
    named = [path for path in others if re.search(r"go1(?!\d)", path.read_text(), re.IGNORECASE)]
    assert named == []
