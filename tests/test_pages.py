"""What the pages tell users to type exists."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
_SNIPPET = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
_PAGES = [
    page
    for page in (*_ROOT.glob("*.md"), *(_ROOT / "docs").glob("*.md"))
    if _SNIPPET.search(page.read_text())
]


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_snippets_import_what_there_is(page: Path):
    for snippet in _SNIPPET.findall(page.read_text()):
        for node in ast.walk(ast.parse(snippet)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rl_sim_env"):
                module = import_module(node.module)
                assert not [name.name for name in node.names if not hasattr(module, name.name)]


def test_the_exported_policy_walks_as_the_deployment_page_shows(monkeypatch, capsys):
    snippets = _SNIPPET.findall((_ROOT / "docs" / "deployment.md").read_text())
    (snippet,) = (snippet for snippet in snippets if "import walk" in snippet)
    monkeypatch.chdir(_ROOT)
    exec(snippet, {})
    assert "SimToSimResult" in capsys.readouterr().out
