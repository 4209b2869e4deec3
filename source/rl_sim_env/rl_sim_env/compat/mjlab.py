"""What mjlab keeps to itself and is imported here."""

from mjlab.sim.sim import (
    # Garbage that is collected while Warp captures would be captured with it.
    _suspend_gc as suspend_gc,
)

__all__ = ["suspend_gc"]
