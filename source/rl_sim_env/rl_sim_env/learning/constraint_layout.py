"""Names and columns of the constraints of an environment."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import torch

from rl_sim_env.errors import UserError, known_names


def require_constraints(setting: str, names: Iterable[str], known: Collection[str]) -> None:
    """Refuse names of constraints that there are not.

    Args:
        setting: Path of the setting that names them, for the message.
        names: The names.
        known: Those that there are.

    Raises:
        UserError: There is no such constraint.
    """
    for name in names:
        if name not in known:
            raise UserError(f"{setting}: unknown constraint '{name}'; {known_names(name, known)}")


class ConstraintLayout:
    """Which columns of the margins belong to which constraint.

    A margin is signed and in units of the limit: -1 where nothing is used of it, 0 at the limit,
    above 0 where it is violated.

    Args:
        widths: Number of columns (joints, feet, parts) of each constraint, in order.
        device: Where margins are.

    Attributes:
        widths: As given.
    """

    def __init__(self, widths: Mapping[str, int], device: str) -> None:
        self.widths = dict(widths)
        counts = torch.tensor(list(widths.values()), dtype=torch.long, device=device)
        self._of_column = torch.repeat_interleave(
            torch.arange(len(counts), device=device), counts, output_size=sum(widths.values())
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The constraints in order."""
        return tuple(self.widths)

    def worst(self, margins: torch.Tensor) -> torch.Tensor:
        """Greatest margin of each constraint.

        Args:
            margins: Shape (..., columns).

        Returns:
            Shape (..., constraints).
        """
        worst = margins.new_full((*margins.shape[:-1], len(self.widths)), -torch.inf)
        return worst.scatter_reduce(-1, self._of_column.expand_as(margins), margins, "amax")

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """Sum over the columns of each constraint; shapes as in :meth:`worst`."""
        total = values.new_zeros((*values.shape[:-1], len(self.widths)))
        return total.scatter_add(-1, self._of_column.expand_as(values), values)

    def of_columns(self, values: torch.Tensor) -> torch.Tensor:
        """Values by constraint, shape (..., constraints), for each column."""
        return values.index_select(-1, self._of_column)

    def chosen(self, names: Collection[str]) -> tuple[str, ...]:
        """Those of ``names`` in order; all constraints where there are none."""
        return tuple(name for name in self.names if not names or name in names)

    def places(self, names: Iterable[str]) -> torch.Tensor:
        """Where some constraints stand among all, shape (names,)."""
        places = [self.names.index(name) for name in names]
        return torch.tensor(places, dtype=torch.long, device=self._of_column.device)
