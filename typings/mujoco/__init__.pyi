# MuJoCo ships no type stubs for its compiled part; everything in it counts as Any.
from typing import Any

def __getattr__(name: str) -> Any: ...
