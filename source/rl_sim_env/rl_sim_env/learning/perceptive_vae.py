"""The context VAE of a robot that sees: a map of heights joins what it feels, and is completed.

The map is cut into patches, to which the features of the frames attend. What comes of it is added
to these features through a layer that begins at zero, so that a policy that was trained blind
begins as it was, and the memory remembers what was seen, too. Out of tokens and memory each patch
is reconstructed: what is hidden or wrong, and how sure that is. The actor reads the reconstruction,
or the truth in its place, as it reads estimates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from rl_sim_env.configuration.limits import COUNT, NOT_NEGATIVE, Length
from rl_sim_env.errors import UserError
from rl_sim_env.learning.config import ContextVaeCfg
from rl_sim_env.learning.context_vae import ContextVae
from rl_sim_env.learning.error_variance import ErrorVariance
from rl_sim_env.learning.estimator import SETTINGS, EstimatorOutput, Sequences, joined
from rl_sim_env.learning.layout import ObservationLayout
from rl_sim_env.learning.learner import LearnerLoss
from rl_sim_env.learning.map_encoder import AttentionEncoder, EncodedMap, MlpEncoder
from rl_sim_env.learning.memory_cells import remember

TERRAIN_ESTIMATE = "terrain_estimate"
"""Observation group of the reconstructed map, or of the truth in its place."""

_HUBER = 0.5
"""Error [observed height] from which it counts linearly: the edge of a pit is a metre off, and must
not outweigh mass and centre of mass."""


@dataclass(kw_only=True)
class PerceptionCfg:
    """Settings of :class:`PerceptiveVae`, ``agent.vae.settings``."""

    map_group: str = "exteroception"
    """Observation group of the map, with the terms ``heights`` and ``seen``; 0 where unseen."""

    truth_group: str = "terrain"
    """Privileged observation group of the true heights, cell by cell as in the map."""

    grid: Annotated[tuple[int, int], COUNT] = (24, 16)
    """Cells of the map forward and to the left; forward is the faster index."""

    patch: Annotated[int, COUNT] = 4
    """Cells along the sides of a patch; divides those of the grid."""

    encoder: Literal["attention", "mlp"] = "attention"
    """How the map is read."""

    token_width: Annotated[int, COUNT] = 64
    """Width of a token."""

    layers: Annotated[int, NOT_NEGATIVE] = 0
    """Layers in which patches look at each other before the robot looks at them."""

    heads: Annotated[int, COUNT] = 4
    """Heads of attention; divide the token's width."""

    mlp_dims: Annotated[tuple[int, ...], COUNT, Length(1)] = (512, 128)
    """Width of each hidden layer of the encoder ``mlp``."""

    reconstruct: bool = True
    """Whether the map is reconstructed. Without, take ``terrain_estimate`` out of
    ``agent.actor.obs_groups``: the actor knows of the ground what the latent code tells."""

    remember: bool = True
    """Whether the memory sees the map, and the reconstruction the memory."""

    terrain_weight: Annotated[float, NOT_NEGATIVE] = 0.5
    """Weight of the mean error of a cell in the loss."""


class _Sight(NamedTuple):
    """What was read of observations."""

    features: torch.Tensor
    """Features of frames and map, shape (..., feature width)."""

    remembered: torch.Tensor
    """Those that the memory is told of, shape (..., feature width)."""

    encoded: EncodedMap
    """The map as it was read."""

    heights: torch.Tensor
    """What the reconstruction corrects: heights where they are seen, else a level ground, shape
    (..., patches, cells of a patch)."""

    seen: torch.Tensor
    """1 where a cell is known, shape (..., patches, cells of a patch)."""


class PerceptiveVae(ContextVae):
    """The context VAE, and what the robot sees.

    All parameters of the context VAE keep their names and shapes.

    Args:
        layout: What stands where in the observations.
        cfg: Sizes and weights; ``cfg.settings`` are those of :class:`PerceptionCfg`.

    Raises:
        LayoutError: The layout lacks a group or term.
        UserError: A setting is none, or the map has another number of cells.

    Attributes:
        perception: Its settings.
        heights_per_metre: Scale at which heights are observed.
    """

    def __init__(self, layout: ObservationLayout, cfg: ContextVaeCfg) -> None:
        super().__init__(layout, cfg)
        self.perception = perception = self.own_settings(PerceptionCfg)
        self._require_grid(layout)
        self.groups = (*cfg.obs_groups, perception.map_group)
        self._columns = tuple(
            layout.slice(perception.map_group, name) for name in ("heights", "seen")
        )
        feature_dim, width = cfg.encoder_dims[-1], perception.token_width
        cells = perception.patch**2
        forward, left = (side // perception.patch for side in perception.grid)
        # Rows of patches from right to left, each row from rear to front.
        self._rows_of_patches = (left, perception.patch, forward, perception.patch)
        sizes = (forward * left, 2 * cells, feature_dim)
        if perception.encoder == "attention":
            self.map_encoder = AttentionEncoder(
                *sizes, width=width, num_layers=perception.layers, num_heads=perception.heads
            )
        else:
            self.map_encoder = MlpEncoder(*sizes, width=width, hidden_dims=perception.mlp_dims)
        self.fusion = _zeroed(nn.Linear(width, feature_dim))
        if not perception.reconstruct:
            return
        self.reconstructs = {TERRAIN_ESTIMATE: perception.truth_group}
        scales = layout.term(perception.truth_group, layout.names(perception.truth_group)[0]).scales
        self.heights_per_metre = abs(scales[0])
        if perception.remember:
            self.recall = nn.Linear(cfg.memory_dim, forward * left * width)
        self.correction = _zeroed(nn.Linear(width, cells))
        self.terrain_variance = ErrorVariance(width, cells, cfg.variance_log_range)

    def is_seen(self, observations: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """1 where the map knows a cell, shape (..., cells)."""
        return observations[self.perception.map_group][..., self._columns[1]]

    def seen_map(self, observations: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Heights as the map has them, 0 where it does not know, shape (..., cells)."""
        return observations[self.perception.map_group][..., self._columns[0]]

    def true_map(self, observations: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """What is reconstructed, as it is observed, shape (..., cells)."""
        return observations[self.perception.truth_group]

    def forward(
        self,
        observations: Mapping[str, torch.Tensor],
        memory: torch.Tensor,
        deterministic: bool,
    ) -> EstimatorOutput:
        """Read one step; see :class:`~rl_sim_env.learning.estimator.Estimator`."""
        sight = self._see(observations)
        memory = self.memory.advance(self.memory.prepare(sight.remembered), memory)
        output = self._output(torch.cat((sight.features, memory), dim=-1), memory, deterministic)
        if not self.perception.reconstruct:
            return output
        recalled = self._recalled(sight.encoded, memory)
        patches = sight.heights + self.correction(recalled)
        logvar = self.terrain_variance(recalled)
        return output._replace(
            reconstructions={TERRAIN_ESTIMATE: self._joined_patches(patches)},
            reconstruction_logvars={TERRAIN_ESTIMATE: self._joined_patches(logvar)},
        )

    def loss(self, batch: Sequences) -> LearnerLoss:
        """Losses of a batch, with those of the map; the memory alone waits for the step before."""
        sight = self._see(batch.observations)
        memories = remember(self.memory, sight.remembered, batch.memory, batch.begins)
        of_context = self._loss(torch.cat((sight.features, memories), dim=-1), batch)
        if not self.perception.reconstruct:
            return of_context
        recalled = self._recalled(sight.encoded, memories)
        patches = sight.heights + self.correction(recalled)
        truth = self._patches(self.true_map(batch.observations))
        loss = functional.huber_loss(patches, truth, delta=_HUBER)
        nll, covered = self.terrain_variance.loss(recalled, patches, truth)
        # Whatever the weight of the latter, nothing but the variances moves by it.
        weighted = self.perception.terrain_weight * loss + nll
        squared = (patches - truth).detach().square() / self.heights_per_metre**2
        scalars = {
            "Loss/vae_terrain_loss": loss,
            "Loss/vae_terrain_variance_loss": nll,
            "Estimation/terrain_rmse": squared.mean().sqrt(),
            "Estimation/terrain_seen_rmse": _mean_where(squared, sight.seen).sqrt(),
            "Estimation/terrain_unseen_rmse": _mean_where(squared, 1.0 - sight.seen).sqrt(),
            "Estimation/terrain_coverage": covered.mean(),
        }
        return of_context._replace(
            total=of_context.total + weighted, scalars={**of_context.scalars, **scalars}
        )

    def _see(self, observations: Mapping[str, torch.Tensor]) -> _Sight:
        blind = self.encoder(joined(observations, self.cfg.obs_groups))
        of_map = observations[self.perception.map_group]
        heights, seen = (self._patches(of_map[..., columns]) for columns in self._columns)
        encoded = self.map_encoder(torch.cat((heights, seen), dim=-1), blind)
        features = blind + self.fusion(encoded.summary)
        remembered = features if self.perception.remember else blind
        return _Sight(features, remembered, encoded, heights, seen)

    def _recalled(self, seen: EncodedMap, memory: torch.Tensor) -> torch.Tensor:
        """What each patch is reconstructed from, shape (..., patches, token width)."""
        tokens = seen.tokens
        if self.perception.remember:
            tokens = tokens + self.recall(memory).unflatten(-1, tokens.shape[-2:])
        return functional.elu(tokens)

    def _patches(self, cells: torch.Tensor) -> torch.Tensor:
        """Shape (..., cells) -> (..., patches, cells of a patch)."""
        blocks = cells.unflatten(-1, self._rows_of_patches).transpose(-3, -2)
        return blocks.flatten(-2).flatten(-3, -2)

    def _joined_patches(self, patches: torch.Tensor) -> torch.Tensor:
        """The inverse of :meth:`_patches`."""
        left, side, forward, _ = self._rows_of_patches
        blocks = patches.unflatten(-1, (side, side)).unflatten(-3, (left, forward))
        return blocks.transpose(-3, -2).flatten(-4)

    def _require_grid(self, layout: ObservationLayout) -> None:
        cfg = self.perception
        forward, left = cfg.grid
        if forward % cfg.patch or left % cfg.patch:
            raise UserError(
                f"{SETTINGS}.patch is {cfg.patch}; it must divide the sides of the grid, {forward} "
                f"and {left} cells"
            )
        if cfg.encoder == "attention" and cfg.token_width % cfg.heads:
            raise UserError(
                f"{SETTINGS}.heads is {cfg.heads}; it must divide token_width, {cfg.token_width}"
            )
        widths = [layout.term(cfg.map_group, name).width for name in ("heights", "seen")]
        if cfg.reconstruct:
            widths.append(layout.width(cfg.truth_group))
        if any(width != forward * left for width in widths):
            raise UserError(
                f"{SETTINGS}.grid is {forward} x {left}, but the observations have "
                f"{', '.join(map(str, widths))} cells; set it as env.scene.sensors.exteroception"
            )


def _zeroed(linear: nn.Linear) -> nn.Linear:
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


def _mean_where(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1.0)
