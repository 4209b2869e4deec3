"""A logged scalar as people read it: what console and curves show of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One scalar that matters enough to be shown while training goes on."""

    label: str
    """What a person reads."""

    metric: str
    """End of the scalar's name, whole path elements."""

    unit: str = ""
    """Unit of the shown value."""

    factor: float = 1.0
    """From the scalar to the shown value."""

    digits: int = 3
    """Decimals shown."""

    @property
    def title(self) -> str:
        """Label and unit: ``mass error [kg]``."""
        return f"{self.label} [{self.unit}]" if self.unit else self.label

    def matches(self, scalar: str) -> bool:
        """Whether a logged scalar of this name is the one that is shown."""
        return f"/{scalar}".endswith(f"/{self.metric}")
