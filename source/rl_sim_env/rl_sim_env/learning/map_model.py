"""An actor or critic that reads a map as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from rsl_rl.models import MLPModel
from rsl_rl.utils import resolve_nn_activation
from torch import nn

from rl_sim_env.errors import UserError
from rl_sim_env.learning.estimator import SETTINGS
from rl_sim_env.learning.perceptive_vae import TERRAIN_ESTIMATE, PerceptionCfg
from rl_sim_env.typed import typed

_CHANNELS = (8, 16, 16)
"""Of the convolutions; all but the first halve the sides of the map, an odd one upwards."""


class MapModel(MLPModel):
    """rsl_rl's MLP, which reads one of its groups through convolutions as well.

    To a layer of full width heights are so many numbers, and what an edge is it has to learn anew
    for each place (docs/perception.md has what that costs). What convolutions make of the map is
    read through columns of zeros behind all others, so that a model which begins as one without
    them does at first what that does. They read heights as they are observed, also where what the
    MLP reads is normalised.

    Args:
        *args: See rsl_rl's model.
        map_group: The group that is a map; among those that the model reads.
        grid: Its cells forward and to the left; forward is the faster index.
        map_width: Numbers that convolutions make of it.
        **kwargs: See rsl_rl's model.

    Raises:
        UserError: The model does not read the group, or it has another number of cells.
    """

    def __init__(
        self,
        *args: Any,
        map_group: str = TERRAIN_ESTIMATE,
        grid: tuple[int, int] = PerceptionCfg.grid,
        map_width: int = 64,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        observations, _, role, *_ = args
        where = f"agent.{role}.settings"
        if map_group not in self.obs_groups:
            raise UserError(
                f"{where}.map_group is '{map_group}', which is not among agent.{role}.obs_groups: "
                f"{', '.join(self.obs_groups)}; add it there, or name one of these that is a map"
            )
        forward, left = typed(grid, tuple[int, int], f"{where}.grid")
        cells = observations[map_group].shape[-1]
        if cells != forward * left:
            raise UserError(
                f"{where}.grid is {forward} x {left}, but '{map_group}' has {cells} cells; set it "
                f"as {SETTINGS}.grid, and map_group to a group that is heights alone"
            )
        self.map_group = map_group
        self._sides = (left, forward)
        activation = resolve_nn_activation(kwargs.get("activation", "elu"))
        fine, middle, coarse = _CHANNELS
        self.map_head = nn.Sequential(
            nn.Conv2d(1, fine, 3, padding=1),
            activation,
            nn.Conv2d(fine, middle, 3, stride=2, padding=1),
            activation,
            nn.Conv2d(middle, coarse, 3, stride=2, padding=1),
            activation,
            nn.Flatten(),
            nn.Linear(coarse * _quarter(left) * _quarter(forward), map_width),
        )
        first = self.mlp[0]
        assert isinstance(first, nn.Linear)
        wider = nn.Linear(first.in_features + map_width, first.out_features)
        with torch.no_grad():
            wider.weight.zero_()
            wider.weight[:, : first.in_features] = first.weight
            wider.bias.copy_(first.bias)
        self.mlp[0] = wider

    def get_latent(
        self, obs: Mapping[str, torch.Tensor], masks: Any = None, hidden_state: Any = None
    ) -> torch.Tensor:
        """What the MLP reads: the groups, and what convolutions make of the map."""
        plain = super().get_latent(obs, masks, hidden_state)  # pyright: ignore[reportArgumentType] (reads it by name)
        heights = obs[self.map_group]
        # Not more than one leading axis fits a convolution.
        seen = self.map_head(heights.reshape(-1, 1, *self._sides))
        return torch.cat((plain, seen.unflatten(0, heights.shape[:-1])), dim=-1)


def _quarter(cells: int) -> int:
    """What halving twice leaves of a side."""
    return -(-cells // 4)
