"""How often tests repeat what chance decides: SOAK times as often as they do by themselves."""

from __future__ import annotations

import os

import pytest

SOAK = int(os.environ.get("SOAK", "1"))


only_in_a_soak = pytest.mark.skipif(SOAK == 1, reason="takes long: make soak runs it")
"""For what is worth its time now and then."""


def times(count: int) -> int:
    return count * SOAK
