"""What the pages tell users to type exists."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pytest

from pages import DOCS, ROOT, python_snippets

_PAGES = [page for page in (*ROOT.glob("*.md"), *DOCS.glob("*.md")) if python_snippets(page)]


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_snippets_import_what_there_is(page: Path):
    for snippet in python_snippets(page):
        for node in ast.walk(ast.parse(snippet)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rl_sim_env"):
                module = import_module(node.module)
                assert not [name.name for name in node.names if not hasattr(module, name.name)]


def test_the_exported_policy_walks_as_the_deployment_page_shows(monkeypatch, capsys):
    snippets = python_snippets(DOCS / "deployment.md")
    (snippet,) = (snippet for snippet in snippets if "import walk" in snippet)
    monkeypatch.chdir(ROOT)
    exec(snippet, {})
    assert "SimToSimResult" in capsys.readouterr().out
