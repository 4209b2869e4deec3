"""Names, widths and scales of observation terms: the one source of slices and network widths."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import zip_longest
from typing import Any

import torch

from rl_sim_env.errors import UserError
from rl_sim_env.typed import typed

_DIFF_COLUMN = 36
"""Characters of one side of a layout comparison; two sides and a mark fit 80 columns."""


class LayoutError(UserError):
    """A group or term was looked up that the layout does not have."""


@dataclass(frozen=True, kw_only=True)
class TermLayout:
    """One observation term.

    Raises:
        LayoutError: There are no elements, or the scale has neither one finite number nor one per
            element.
    """

    name: str
    """Name of the term in its group."""

    width: int
    """Number of elements."""

    scale: float | tuple[float, ...] = 1.0
    """Factor from SI units to the observed value: one for all elements, or one each."""

    def __post_init__(self) -> None:
        if isinstance(self.scale, tuple) and len(self.scale) != self.width:
            raise LayoutError(
                f"term '{self.name}' has {self.width} elements but {len(self.scale)} scales; "
                "give one scale, or one for each element."
            )
        if self.width < 1 or not all(map(math.isfinite, self.scales)):
            raise LayoutError(
                f"term '{self.name}' has {self.width} elements of scale {self.scale}; there must "
                "be at least one, and scales are finite"
            )

    @property
    def scales(self) -> tuple[float, ...]:
        """The scale of each element."""
        return self.scale if isinstance(self.scale, tuple) else (self.scale,) * self.width


@dataclass(frozen=True, kw_only=True)
class GroupLayout:
    """The ordered terms of one observation group.

    Raises:
        LayoutError: It has no frame.
    """

    terms: tuple[TermLayout, ...]
    """Terms of one frame, in order."""

    history: int = 1
    """Number of stacked frames: frame after frame, oldest first."""

    def __post_init__(self) -> None:
        if self.history < 1:
            raise LayoutError(f"a group has {self.history} frames; there must be at least one")

    @property
    def frame_width(self) -> int:
        """Number of elements of one frame."""
        return sum(term.width for term in self.terms)


@dataclass(frozen=True, kw_only=True)
class ObservationLayout:
    """What stands where in every observation group.

    Two layouts are equal when all groups have the same terms, widths, scales and history in the
    same order; only then does a network trained on one fit the other.
    """

    groups: Mapping[str, GroupLayout]
    """Groups by name."""

    def width(self, group: str) -> int:
        """Number of elements of a group, all frames included.

        Raises:
            LayoutError: There is no such group.
        """
        found = self._group(group)
        return found.frame_width * found.history

    def names(self, group: str) -> tuple[str, ...]:
        """Names of the terms of a group, in order.

        Raises:
            LayoutError: There is no such group.
        """
        return tuple(term.name for term in self._group(group).terms)

    def term(self, group: str, name: str) -> TermLayout:
        """One term of a group.

        Raises:
            LayoutError: There is no such group or term.
        """
        for term in self._group(group).terms:
            if term.name == name:
                return term
        raise LayoutError(
            f"observation group '{group}' has no term '{name}'; "
            f"it has {', '.join(self.names(group)) or 'none'}. Add the term or correct the name."
        )

    def slice(self, group: str, term: str) -> slice:
        """Columns of a term within its group; of the newest frame where frames are stacked.

        Raises:
            LayoutError: There is no such group or term.
        """
        width = self.term(group, term).width
        names = self.names(group)
        before = self._group(group).terms[: names.index(term)]
        newest_frame = self.width(group) - self._group(group).frame_width
        start = newest_frame + sum(other.width for other in before)
        return slice(start, start + width)

    def gather(self, group: str, terms: Iterable[str], values: torch.Tensor) -> torch.Tensor:
        """Columns of some terms of a group, in the order asked for.

        Args:
            group: Observation group that ``values`` holds.
            terms: Names of the terms.
            values: Shape (..., width of the group).

        Returns:
            Shape (..., sum of the terms' widths).

        Raises:
            LayoutError: There is no such group or term.
        """
        return torch.cat([values[..., self.slice(group, term)] for term in terms], dim=-1)

    def frames(self, group: str, values: torch.Tensor) -> torch.Tensor:
        """The stacked frames of a group, oldest first.

        Args:
            group: Observation group that ``values`` holds.
            values: Shape (..., width of the group).

        Returns:
            Shape (..., number of frames, width of a frame).

        Raises:
            LayoutError: There is no such group.
        """
        found = self._group(group)
        return values.unflatten(-1, (found.history, found.frame_width))

    def diff(self, other: ObservationLayout) -> str:
        """Both layouts side by side, the other on the right; ``!`` marks lines that differ."""

        def row(mark: str, left: str, right: str) -> str:
            return f"{mark} {left:<{_DIFF_COLUMN}}  {right:<{_DIFF_COLUMN}}".rstrip()

        rows = [row(" ", "this layout", "the other")]
        for group in dict.fromkeys((*self.groups, *other.groups)):
            sides = (
                layout._lines(group) if group in layout.groups else [f"{group}: none"]
                for layout in (self, other)
            )
            rows += [
                row(" " if left == right else "!", left, right)
                for left, right in zip_longest(*sides, fillvalue="")
            ]
        return "\n".join(rows)

    def to_dict(self) -> dict[str, Any]:
        """The layout as plain dicts, lists, numbers and strings."""
        return {name: asdict(group) for name, group in self.groups.items()}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> ObservationLayout:
        """Rebuild a layout from :meth:`to_dict`.

        Raises:
            LayoutError: The data do not describe a layout.
        """
        try:
            return ObservationLayout(groups=typed(data, Mapping[str, GroupLayout], "layout"))
        except UserError as error:
            raise LayoutError(f"not an observation layout: {error}") from error

    def _group(self, name: str) -> GroupLayout:
        if name not in self.groups:
            raise LayoutError(
                f"there is no observation group '{name}'; there are "
                f"{', '.join(self.groups) or 'none'}. Add the group or correct the name."
            )
        return self.groups[name]

    def _lines(self, group: str) -> list[str]:
        found = self.groups[group]
        frames = f" = {found.history} x {found.frame_width}" if found.history > 1 else ""
        lines = [f"{group}: {self.width(group)}{frames}"]
        start = 0
        for term in found.terms:
            scales = dict.fromkeys(f"{scale:g}" for scale in term.scales)
            columns = f"{start}:{start + term.width}"
            lines.append(f"  {columns:<8}{term.name:<18} x{','.join(scales)}")
            start += term.width
        return lines
