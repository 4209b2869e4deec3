"""The Chinese page says what the English one says: what can be compared without reading either."""

from __future__ import annotations

import re
from collections import Counter
from itertools import zip_longest
from pathlib import Path

import pytest

from pages import ROOT, commands

ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"

_FIGURE = re.compile(r"(\d+(?:[.,]\d+)*) ?(million|万|亿)?")
_SCALE = {"": 1.0, "million": 1e6, "万": 1e4, "亿": 1e8}


def headings(text: str) -> list[str]:
    return re.findall(r"^(#+) ", text, re.MULTILINE)


def first_words_of_code(text: str) -> list[str]:
    return re.findall(r"^ {4,}(\S+)", text, re.MULTILINE)


def names(text: str) -> set[str]:
    """What stands between backticks, each on one line."""
    return {" ".join(name.split()) for name in re.findall(r"`([^`]+)`", text)}


def targets(text: str) -> list[str]:
    """What links and pictures point to, but for the other language."""
    found = re.findall(r"\]\(([^)]+)\)", text)
    return [target for target in found if target not in (ENGLISH.name, CHINESE.name)]


def figures(text: str) -> Counter[float]:
    return Counter(
        round(float(number.replace(",", "")) * _SCALE[unit], 6)
        for number, unit in _FIGURE.findall(text)
    )


def tables(text: str) -> list[list[list[Counter[float]]]]:
    """Figures of each cell, by table and row."""
    found = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    return [[[*map(figures, row.split("|"))] for row in table.splitlines()] for table in found]


@pytest.mark.parametrize("told", [headings, first_words_of_code, names, targets, tables])
def test_both_pages_have_the_same(told):
    assert told(CHINESE.read_text()) == told(ENGLISH.read_text())


def test_both_pages_show_the_same_commands():
    assert commands(CHINESE) == commands(ENGLISH)


def test_both_pages_tell_the_same_figures_section_by_section():
    def by_section(page: Path) -> list[Counter[float]]:
        return [figures(section) for section in re.split(r"^## ", page.read_text(), flags=re.M)]

    for chinese, english in zip_longest(by_section(CHINESE), by_section(ENGLISH)):
        assert chinese == english
