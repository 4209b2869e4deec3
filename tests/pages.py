"""The pages that users read."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
"""Folder of the checkout."""

DOCS = ROOT / "docs"
"""Folder of the pages."""

_SNIPPET = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def python_snippets(page: Path) -> list[str]:
    """The Python that a page shows, block by block."""
    return _SNIPPET.findall(page.read_text())
