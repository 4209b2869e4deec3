"""What training asks of an environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch

from rl_sim_env.learning.constraint_layout import ConstraintLayout
from rl_sim_env.learning.footing import FootSupport
from rl_sim_env.learning.layout import ObservationLayout
from rl_sim_env.learning.symmetry import Reflection

if TYPE_CHECKING:
    from tensordict import TensorDict


class Breakdowns(NamedTuple):
    """Robots that were reset because their physics broke down: NaN, or absurd velocities."""

    robots: int = 0
    """How many."""
    resets: int = 0
    """How often, all of them together."""


class TrainingEnv(Protocol):
    """What the trainer asks of an environment: rsl_rl's VecEnv and the state around it."""

    num_envs: int
    num_actions: int
    max_episode_length: int
    cfg: Any

    @property
    def device(self) -> torch.device | str:
        """Where the state lives."""
        ...

    @property
    def episode_length_buf(self) -> torch.Tensor:
        """Age of the running episodes [control steps], shape (num_envs,)."""
        ...

    @episode_length_buf.setter
    def episode_length_buf(self, value: torch.Tensor) -> None: ...

    @property
    def step_dt(self) -> float:
        """Control period [s]."""
        ...

    @property
    def observation_layout(self) -> ObservationLayout:
        """Names, widths and scales of all observation terms."""
        ...

    @property
    def constraint_layout(self) -> ConstraintLayout:
        """Names and columns of ``extras["margins"]``; of no constraints where there are none."""
        ...

    def reflections(self) -> Mapping[str, Reflection]:
        """Mirror images of observation terms and actions by name, for the mirror loss."""
        ...

    def report_footing(self) -> FootSupport:
        """Report ``extras["footing"]`` from now on; see :mod:`rl_sim_env.learning.footing`."""
        ...

    def get_observations(self) -> TensorDict:
        """Return the observations of the present state, one entry per group."""
        ...

    def step(
        self, actions: torch.Tensor
    ) -> tuple[TensorDict, torch.Tensor, torch.Tensor, dict[str, Any]]:
        """Run one control step; returns observations, rewards, dones, extras."""
        ...

    def read_log(self) -> dict[str, tuple[float, int]]:
        """Return sum and number of samples, by name, of what was logged since the last call."""
        ...

    def check_health(self) -> Breakdowns:
        """Return whose physics has broken down since the last call.

        Raises:
            UserError: The physics lost contacts or constraints.
        """
        ...

    def dump_state(self, path: Path) -> Any:
        """Write what reproduces the present state."""
        ...

    def training_state(self, *, episodes: bool = True) -> dict[str, Any]:
        """Return curricula and counters; under ``episodes``, if wanted, the running episodes."""
        ...

    def load_training_state(self, state: dict[str, Any]) -> str | None:
        """Continue from ``training_state``.

        Returns:
            None where the running episodes go on, too; else why they begin anew.
        """
        ...
