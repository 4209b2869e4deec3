"""How often tests repeat what chance decides, and which cases it picks.

SOAK times as often as they do by themselves. With another SOAK_SEED it picks other cases: several
soaks may run side by side.
"""

from __future__ import annotations

import os

import pytest

SOAK = int(os.environ.get("SOAK", "1"))
SEED = int(os.environ.get("SOAK_SEED", "0"))


only_in_a_soak = pytest.mark.skipif(SOAK == 1, reason="takes long: make soak runs it")
"""For what is worth its time now and then."""


def times(count: int) -> int:
    return count * SOAK


def soak_seed(number: int = 0) -> int:
    """Seed of one test's cases; the number keeps tests of one file apart."""
    return 1000 * SEED + number
