"""How often tests repeat what chance decides: SOAK times as often as they do by themselves."""

from __future__ import annotations

import os

SOAK = int(os.environ.get("SOAK", "1"))


def times(count: int) -> int:
    return count * SOAK
